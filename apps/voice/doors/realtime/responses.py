"""The assistant's side of a Realtime conversation: responses, and calls of client's functions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from apps.voice.doors.realtime.caller import settle
from apps.voice.doors.realtime.conversation import Event, Item, Response, Script
from apps.voice.doors.realtime.happenings import Interrupted, Played, Said

_USAGE = {"total_tokens": 0, "input_tokens": 0, "output_tokens": 0}


def said(script: Script, said: Said) -> None:
    """Add a sentence to its turn's response, which its first sentence opens."""
    if said.turn_id == script.now.cancelled:
        return
    open_response = script.now.response
    if open_response is not None and open_response.turn_id != said.turn_id:
        close(script, "cancelled", "turn_detected")
    response = script.now.response or _open(script, said.turn_id)
    delta = f" {said.text}" if response.text else said.text
    script.change(response=replace(response, text=response.text + delta))
    script.edit(response.item_id, text=response.text + delta)
    kind = "output_audio_transcript" if response.modality == "audio" else "output_text"
    script.send(f"response.{kind}.delta", **_place(response), delta=delta)


def _open(script: Script, turn_id: int) -> Response:
    settle(script)
    modality = script.now.session.modality
    response = Response(
        script.mint("resp"),
        turn_id,
        script.mint("item"),
        modality,
        metadata=script.now.metadata,
    )
    script.change(response=response, latest=(turn_id, response.item_id), metadata=None)
    script.change(awaited=False)
    script.send("response.created", response=_described(script, response, "in_progress", []))
    content = f"output_{modality}"
    item = Item(response.item_id, role="assistant", status="in_progress", content=content)
    shown = {"response_id": response.id, "output_index": 0}
    script.send("response.output_item.added", **shown, item=item.as_dict())
    script.add(item)
    script.send("response.content_part.added", **_place(response), part=_part(response))
    return response


def played(script: Script, played: Played) -> None:
    """Add audio to the open response."""
    response = script.now.response
    if response is None or response.modality != "audio":
        return
    script.change(response=replace(response, audio_ms=response.audio_ms + played.length_ms))
    script.send("response.output_audio.delta", **_place(response), delta=played.audio)


def interrupted(script: Script, interrupted: Interrupted) -> None:
    """Cancel a turn's response; its item keeps what was heard of it."""
    response = script.now.response
    if response is not None and response.turn_id == interrupted.turn_id:
        script.edit(response.item_id, text=interrupted.heard)
        close(script, "cancelled", "turn_detected")
    elif script.now.latest[0] == interrupted.turn_id:  # the client cancelled it already
        script.edit(script.now.latest[1], text=interrupted.heard)


def close(script: Script, status: str, reason: str | None = None) -> None:
    """Close the open response: its audio, its text, its item, itself."""
    response = script.now.response
    assert response is not None
    place = _place(response)
    if response.modality == "audio":
        script.send("response.output_audio.done", **place)
        script.send("response.output_audio_transcript.done", **place, transcript=response.text)
    else:
        script.send("response.output_text.done", **place, text=response.text)
    script.send("response.content_part.done", **place, part=_part(response))
    done = "completed" if status == "completed" else "incomplete"
    script.edit(response.item_id, status=done, audio_ms=response.audio_ms)
    script.finish(response.item_id)
    item = script.now.items.get(response.item_id)
    output = [item.as_dict()] if item is not None else []
    for shown in output:
        script.send(
            "response.output_item.done", response_id=response.id, output_index=0, item=shown
        )
    script.change(response=None)
    script.send("response.done", response=_described(script, response, status, output, reason))


def _place(response: Response) -> dict[str, Any]:
    return {
        "response_id": response.id,
        "item_id": response.item_id,
        "output_index": 0,
        "content_index": 0,
    }


def _part(response: Response) -> Event:
    if response.modality == "audio":
        return {"type": "audio", "transcript": response.text}
    return {"type": "text", "text": response.text}


def _described(
    script: Script,
    response: Response,
    status: str,
    output: list[Event],
    reason: str | None = None,
) -> Event:
    why = {"reason": reason} if reason else {}
    ended = status != "in_progress"
    return {
        "object": "realtime.response",
        "id": response.id,
        "status": status,
        "status_details": {"type": status, **why} if ended else None,
        "output": output,
        "conversation_id": f"conv_{script.now.token}",
        "output_modalities": [response.modality],
        "max_output_tokens": "inf",
        "audio": {"output": script.now.session.voice()},
        "usage": _USAGE if ended else None,
        "metadata": response.metadata,
    }


def call(script: Script, name: str, arguments: Mapping[str, Any]) -> None:
    """Call a function of the client's side: a response of its own, complete at once."""
    if script.now.response is not None:
        close(script, "completed")
    text = json.dumps(arguments, ensure_ascii=False)
    item = Item(
        script.mint("item"),
        kind="function_call",
        status="in_progress",
        text="",
        name=name,
        call_id=script.mint("call"),
    )
    response = Response(script.mint("resp"), 0, item.id, script.now.session.modality)
    place = {"response_id": response.id, "output_index": 0}
    script.send("response.created", response=_described(script, response, "in_progress", []))
    script.send("response.output_item.added", **place, item=item.as_dict())
    script.add(item)
    call = {**place, "item_id": item.id, "call_id": item.call_id}
    script.send("response.function_call_arguments.delta", **call, delta=text)
    script.send("response.function_call_arguments.done", **call, name=name, arguments=text)
    script.edit(item.id, status="completed", text=text)
    script.finish(item.id)
    shown = replace(item, status="completed", text=text).as_dict()
    script.send("response.output_item.done", **place, item=shown)
    script.send("response.done", response=_described(script, response, "completed", [shown]))
