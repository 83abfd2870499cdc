"""What a Realtime client asks for: (conversation, event) -> (conversation, answers, arrivals).

What cannot be done raises `Refused` and changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from apps.voice.doors.base import (
    CallerInterrupted,
    CallerText,
    CallerTurnEnded,
    DoorEvent,
    TurnsByHand,
)
from apps.voice.doors.messages import MAX_TEXT_CHARS
from apps.voice.doors.realtime.caller import commit_turn
from apps.voice.doors.realtime.conversation import Conversation, Event, Item, Script
from apps.voice.doors.realtime.messages import (
    CallOutput,
    CancelResponse,
    Clear,
    ClearOutput,
    ClientEvent,
    Commit,
    CreateItem,
    CreateResponse,
    DeleteItem,
    Refused,
    RetrieveItem,
    Truncate,
    TypedText,
    UpdateSession,
    read_item,
)
from apps.voice.doors.realtime.responses import close
from apps.voice.doors.realtime.session import update

MIN_COMMIT_MS = 100.0
"""Less audio than this is no turn."""
_MAX_METADATA = 16


@dataclass(frozen=True, slots=True)
class Outcome:
    """What comes of a client's event.

    Attributes:
        conversation: Its next value.
        answers: What the client is sent.
        arrivals: What the call is told.
    """

    conversation: Conversation
    answers: list[Event]
    arrivals: tuple[DoorEvent, ...] = ()


def carry_out(conversation: Conversation, event: ClientEvent) -> Outcome:
    """Carry out what a client asks for; audio is the door's own.

    Raises:
        Refused: It cannot be done; nothing has changed.
    """
    script = Script(conversation)
    arrivals: tuple[DoorEvent, ...] = ()
    match event:
        case UpdateSession():
            arrivals = _update(script, event)
        case Commit():
            arrivals = _commit(script, event)
        case Clear():
            arrivals = _clear(script)
        case CreateItem():
            _create_item(script, event)
        case RetrieveItem(item_id=item_id):
            item = _item(conversation, item_id, event, "item_retrieve_invalid_item_id")
            script.send("conversation.item.retrieved", item=item.as_dict())
        case DeleteItem():
            _delete(script, event)
        case Truncate():
            _truncate(script, event)
        case CreateResponse():
            arrivals = _respond(script, event)
        case CancelResponse() | ClearOutput():
            arrivals = _cancel(script, event)
    return Outcome(script.now, script.events, arrivals)


def _update(script: Script, event: UpdateSession) -> tuple[DoorEvent, ...]:
    was = script.now.session
    session = update(was, event.session, event.event_id)
    script.change(session=session)
    script.send("session.updated", session=session.as_dict())
    if (session.turns is None) == (was.turns is None):
        return ()
    return (TurnsByHand(session.turns is None),)


# --- the caller's audio


def _commit(script: Script, event: Commit) -> tuple[DoorEvent, ...]:
    now = script.now
    by_hand = now.session.turns is None
    given_ms = now.heard_ms - now.settled_ms
    if given_ms < MIN_COMMIT_MS or not (by_hand or now.open_turn):
        message = (
            f"There are {given_ms:.0f} ms of audio in the buffer; a turn has at least "
            f"{MIN_COMMIT_MS:.0f} ms, and somebody's voice unless the client says when turns end."
        )
        raise Refused(message, code="input_audio_buffer_commit_empty", event_id=event.event_id)
    if by_hand:
        commit_turn(script, now.heard_ms)
    return (CallerTurnEnded(),)  # otherwise the end that the ear tells commits the turn


def _clear(script: Script) -> tuple[DoorEvent, ...]:
    turn = script.now.open_turn
    script.change(settled_ms=script.now.heard_ms)
    script.send("input_audio_buffer.cleared")
    if turn is None:
        return ()
    script.drop_turn(turn.item_id)
    _forget(script, turn.item_id)
    return (CallerTurnEnded(discard=True),)


# --- items


def _create_item(script: Script, event: CreateItem) -> None:
    given = read_item(event)
    previous = event.previous_item_id
    if previous is not None and previous != script.now.newest:
        message = "Items are added at the end alone: leave previous_item_id out."
        raise _refused(event, message, "unsupported_position", "previous_item_id")
    if given.item_id is not None and (
        given.item_id in script.now.items or script.now.token in given.item_id
    ):
        message = f"There is an item {given.item_id!r} already."
        raise _refused(event, message, "item_already_exists", "item.id")
    item_id = given.item_id or script.mint("item")
    match given:
        case TypedText(text=text):
            if len(f"{_typed(script.now)} {text}") > MAX_TEXT_CHARS:
                message = f"More than {MAX_TEXT_CHARS} characters wait for a response.create."
                raise _refused(event, message, "text_too_long", "item.content")
            script.add(Item(item_id, text=text))
            script.change(typed=(*script.now.typed, item_id))
        case CallOutput(call_id=call_id, output=output):
            called = any(
                item.kind == "function_call" and item.call_id == call_id
                for item in script.now.items.values()
            )
            if not called:
                message = f"No function was called as {call_id!r}."
                raise _refused(event, message, "invalid_call_id", "item.call_id")
            script.add(Item(item_id, "function_call_output", text=output, call_id=call_id))
            script.change(awaited=True)
    script.finish(item_id)


def _delete(script: Script, event: DeleteItem) -> None:
    _item(script.now, event.item_id, event, "item_delete_invalid_item_id")
    response = script.now.response
    if response is not None and response.item_id == event.item_id:
        message = "The item is being given: cancel the response first."
        raise _refused(event, message, "item_in_progress", "item_id")
    script.drop_turn(event.item_id)
    _forget(script, event.item_id)


def _forget(script: Script, item_id: str) -> None:
    items = {known: item for known, item in script.now.items.items() if known != item_id}
    typed = tuple(waiting for waiting in script.now.typed if waiting != item_id)
    script.change(items=items, typed=typed)
    script.send("conversation.item.deleted", item_id=item_id)


def _truncate(script: Script, event: Truncate) -> None:
    item = _item(script.now, event.item_id, event, "item_truncate_invalid_item_id")
    if item.role != "assistant" or item.content != "output_audio" or event.content_index != 0:
        message = "Only the assistant's audio can be truncated, content part 0."
        raise _refused(event, message, "invalid_value", "item_id")
    response = script.now.response
    is_open = response is not None and response.item_id == item.id
    sent_ms = response.audio_ms if response is not None and is_open else item.audio_ms
    if event.audio_end_ms > sent_ms:
        message = f"Audio content of {sent_ms:.0f} ms is already shorter than that."
        raise _refused(event, message, "invalid_value", "audio_end_ms")
    if item.status == "completed":  # else its text is what TOM knows to have been heard
        words = (item.text or "").split()
        heard = words[: round(len(words) * event.audio_end_ms / max(1.0, sent_ms))]
        script.edit(item.id, text=" ".join(heard), audio_ms=float(event.audio_end_ms))
    script.send(
        "conversation.item.truncated",
        item_id=item.id,
        content_index=0,
        audio_end_ms=event.audio_end_ms,
    )


def _item(conversation: Conversation, item_id: str, event: ClientEvent, code: str) -> Item:
    if (item := conversation.items.get(item_id)) is None:
        raise _refused(event, f"There is no item {item_id!r}.", code, "item_id")
    return item


# --- responses


def _respond(script: Script, event: CreateResponse) -> tuple[DoorEvent, ...]:
    wanted = event.response or {}
    if wanted.get("conversation", "auto") != "auto":
        message = "Every response belongs to the conversation."
        raise _refused(event, message, "unsupported_value", "response.conversation")
    if wanted.get("input"):
        message = "A response answers the conversation; add items to it instead."
        raise _refused(event, message, "unsupported_value", "response.input")
    metadata = _metadata(event, wanted.get("metadata"))
    now = script.now
    if now.typed:
        text = _typed(now)
        script.change(typed=(), awaited=True, metadata=metadata)
        return (CallerText(text),)
    if now.response is not None:
        message = f"{now.response.id} is being given; wait for response.done, or cancel it."
        raise _refused(event, message, "conversation_already_has_active_response", None)
    if not now.awaited:
        message = "There is nothing to answer: speak, or add a user's message first."
        raise _refused(event, message, "nothing_to_answer", None)
    script.change(metadata=metadata)
    return ()


def _typed(conversation: Conversation) -> str:
    """Return the typed text that waits to be answered."""
    known = (conversation.items.get(item_id) for item_id in conversation.typed)
    return " ".join(item.text for item in known if item is not None and item.text)


def _metadata(event: ClientEvent, given: Any) -> dict[str, str] | None:
    match given:
        case None:
            return None
        case dict() if len(given) <= _MAX_METADATA and all(
            isinstance(value, str) and len(key) <= 64 and len(value) <= 512
            for key, value in given.items()
        ):
            return given
    message = f"Metadata is at most {_MAX_METADATA} pairs of short texts."
    raise _refused(event, message, "invalid_value", "response.metadata")


def _cancel(script: Script, event: CancelResponse | ClearOutput) -> tuple[DoorEvent, ...]:
    response = script.now.response
    wanted = event.response_id if isinstance(event, CancelResponse) else None
    if response is None or wanted not in (None, response.id):
        message = "There is no such response to be cancelled now."
        raise _refused(event, message, "response_cancel_not_active", "response_id")
    if script.now.state != "speaking":
        message = "The greeting, the rating question and the farewell are said to their end."
        raise _refused(event, message, "not_interruptible", None)
    script.send("output_audio_buffer.cleared", response_id=response.id)
    script.change(cancelled=response.turn_id)
    close(script, "cancelled", "client_cancelled")
    return (CallerInterrupted(),)


def _refused(event: ClientEvent, message: str, code: str, param: str | None) -> Refused:
    return Refused(message, code=code, param=param, event_id=event.event_id)
