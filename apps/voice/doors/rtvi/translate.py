"""TOM's live events in RTVI's messages: (telling, event) -> (telling, messages).

What RTVI has no message for reaches the client's application as `server-message`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from apps.voice.doors.rtvi.messages import LABEL

HAND_OVER = "transfer_to_human"

Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Telling:
    """What the door remembers of what it told.

    Attributes:
        sent: Messages so far; their ids count them.
        turn_id: The assistant's turn that is under way, or None.
        segments: Its sentences, each with its id.
        said: Sentences so far, in all turns.
        audible: Whether audio of it was played.
    """

    sent: int = 0
    turn_id: int | None = None
    segments: tuple[tuple[int, str], ...] = ()
    said: int = 0
    audible: bool = False


class Script:
    """What one step sends; it lives for that step alone."""

    def __init__(self, telling: Telling) -> None:
        self.now = telling
        self.messages: list[Message] = []

    def send(self, kind: str, data: Any = None, id: str | None = None) -> None:
        """Send a message, under the id of the one that it answers, or a new one."""
        self.now = replace(self.now, sent=self.now.sent + 1)
        message = {"label": LABEL, "type": kind, "id": id or f"tom-{self.now.sent}"}
        self.messages.append(message if data is None else message | {"data": data})

    def change(self, **changes: Any) -> None:
        """Change what is remembered."""
        self.now = replace(self.now, **changes)


Result = tuple[Telling, list[Message]]


def translate(telling: Telling, kind: str, data: Mapping[str, Any], now_s: float) -> Result:
    """Return what a live event of the call tells the client.

    Args:
        telling: What was told so far.
        kind: The event's, as docs/protocol.md lists them.
        data: Its fields.
        now_s: The Unix time.
    """
    script = Script(telling)
    match kind, data:
        case "speech.started", {"role": "caller"}:
            script.send("user-started-speaking")
        case "speech.ended", {"role": "caller"}:
            script.send("user-stopped-speaking")
        case "transcript.partial", {"text": text}:
            script.send("user-transcription", _heard(text, now_s, final=False))
        case "transcript.final", {"role": "caller", "text": text}:
            script.send("user-transcription", _heard(text, now_s, final=True))
            script.send("user-llm-text", {"text": text})
        case "transcript.final", {"role": "assistant", "turn_id": turn_id, "text": text}:
            _said(script, turn_id, text)
        case "speech.ended", {"role": "assistant", "turn_id": turn_id}:
            if script.now.turn_id == turn_id:
                _finish(script, None)
        case "heard", {"turn_id": turn_id, "text": text}:
            if script.now.turn_id == turn_id:
                _finish(script, text)
        case "turn.latency", {"ms": ms, "stages": stages}:
            script.send("metrics", _metrics(ms, stages))
        case "error", {"message": message}:
            script.send("error", {"error": message, "fatal": False, "message": message})
        case "call.ended", _:
            _finish(script, "")
            script.send("server-message", {"type": kind, **data})
        case _:
            script.send("server-message", {"type": kind, **data})
    return script.now, script.messages


def played(telling: Telling) -> Result:
    """Note that audio of the assistant's was played: the first of a turn is told."""
    script = Script(telling)
    if telling.turn_id is not None and not telling.audible:
        script.change(audible=True)
        script.send("bot-tts-started")
        script.send("bot-started-speaking")
    return script.now, script.messages


def hand_over(telling: Telling, call_id: str, target: str, summary: str) -> Result:
    """Call the client's function that connects the caller to a person."""
    script = Script(telling)
    script.send("llm-function-call-started", {"function_name": HAND_OVER})
    arguments = {"target": target, "summary": summary}
    call = {"function_name": HAND_OVER, "tool_call_id": call_id, "arguments": arguments}
    script.send("llm-function-call-in-progress", call)
    return script.now, script.messages


def _heard(text: str, now_s: float, *, final: bool) -> Message:
    timestamp = datetime.fromtimestamp(now_s, UTC).isoformat(timespec="milliseconds")
    return {"text": text, "final": final, "timestamp": timestamp, "user_id": "caller"}


def _said(script: Script, turn_id: int, text: str) -> None:
    if script.now.turn_id != turn_id:
        _finish(script, "")
        script.change(turn_id=turn_id)
        script.send("bot-llm-started")
    segment = script.now.said + 1
    script.change(said=segment, segments=(*script.now.segments, (segment, text)))
    script.send("bot-llm-text", {"text": text})
    script.send("bot-output", _output(segment, text, "new", {"spoken": True}))
    script.send("bot-transcription", {"text": text})
    script.send("bot-tts-text", {"text": text})


def _finish(script: Script, heard: str | None) -> None:
    """End the assistant's turn; `heard` are the words of it that were heard, None for all."""
    if script.now.turn_id is None:
        return
    for segment, text in script.now.segments:
        spoken = text if heard is None or text in heard else ""
        progress = {"accumulated_text": spoken, "remaining_text": text.removeprefix(spoken)}
        if spoken:
            done = {"spoken": True, "spoken_progress": progress}
            script.send("bot-output", _output(segment, text, "completed", done))
    script.send("bot-llm-stopped")
    if script.now.audible:
        script.send("bot-tts-stopped")
        script.send("bot-stopped-speaking")
    script.change(turn_id=None, segments=(), audible=False)


def _output(segment: int, text: str, status: str, more: Message) -> Message:
    about = {"text": text, "aggregated_by": "sentence", "segment_id": segment}
    return {**about, "will_be_spoken": True, "spoken_status": status, **more}


def _metrics(ms: float, stages: Mapping[str, float]) -> Message:
    """Return the time to the first sound, and each stage's share of it, in seconds."""
    shares = [{"processor": stage, "value": share / 1000} for stage, share in stages.items()]
    return {"ttfb": [{"processor": "turn", "value": ms / 1000}], "processing": shares}
