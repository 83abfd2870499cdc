"""What a Realtime client sends, read into plain values; what TOM cannot do is refused here."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from apps.core.errors import ProtocolError
from apps.core.json_text import read_json
from apps.voice.doors.messages import MAX_TEXT_CHARS

MAX_ID_CHARS = 64
MAX_OUTPUT_CHARS = 10_000


class Refused(ProtocolError):
    """A client event that is not carried out; the session goes on.

    Args:
        message: One sentence for a person.
        code: What is wrong, for a program.
        param: Which field is wrong, where it is one.
        event_id: The client's id of the event.
    """

    def __init__(
        self, message: str, *, code: str, param: str | None = None, event_id: str | None = None
    ) -> None:
        super().__init__(message, code=code)
        self.param, self.event_id = param, event_id


class _Event(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    event_id: str | None = Field(None, max_length=512)


Id = Annotated[str, Field(min_length=1, max_length=MAX_ID_CHARS)]


class UpdateSession(_Event):
    """Change the session: `session.py` says what can be."""

    type: Literal["session.update"]
    session: dict[str, Any]


class Append(_Event):
    """Add audio of the caller, base64 in the session's input format."""

    type: Literal["input_audio_buffer.append"]
    audio: str

    def decoded(self) -> bytes:
        """Return the audio's bytes.

        Raises:
            Refused: It is not base64, or empty.
        """
        try:
            audio = base64.b64decode(self.audio, validate=True)
        except (binascii.Error, ValueError):
            raise self._bad("Audio is not base64.") from None
        if not audio:
            raise self._bad("There is no audio in it.")
        return audio

    def _bad(self, message: str) -> Refused:
        return Refused(message, code="invalid_audio", param="audio", event_id=self.event_id)


class Commit(_Event):
    """End the caller's turn with the audio so far."""

    type: Literal["input_audio_buffer.commit"]


class Clear(_Event):
    """Forget the audio that was not committed."""

    type: Literal["input_audio_buffer.clear"]


class CreateItem(_Event):
    """Add an item; `item` reads it."""

    type: Literal["conversation.item.create"]
    item: dict[str, Any]
    previous_item_id: str | None = None


class RetrieveItem(_Event):
    """Ask for an item."""

    type: Literal["conversation.item.retrieve"]
    item_id: Id


class DeleteItem(_Event):
    """Remove an item from the list that the client sees."""

    type: Literal["conversation.item.delete"]
    item_id: Id


class Truncate(_Event):
    """Tell how much of an answer was heard."""

    type: Literal["conversation.item.truncate"]
    item_id: Id
    content_index: int
    audio_end_ms: int = Field(ge=0)


class CreateResponse(_Event):
    """Ask for an answer to what was said or typed."""

    type: Literal["response.create"]
    response: dict[str, Any] | None = None


class CancelResponse(_Event):
    """Silence the answer that is being given."""

    type: Literal["response.cancel"]
    response_id: Id | None = None


class ClearOutput(_Event):
    """Silence the answer that is being played."""

    type: Literal["output_audio_buffer.clear"]


ClientEvent = (
    UpdateSession
    | Append
    | Commit
    | Clear
    | CreateItem
    | RetrieveItem
    | DeleteItem
    | Truncate
    | CreateResponse
    | CancelResponse
    | ClearOutput
)
_CLIENT: TypeAdapter[ClientEvent] = TypeAdapter(Annotated[ClientEvent, Field(discriminator="type")])
TYPES = tuple(event.model_fields["type"].annotation.__args__[0] for event in ClientEvent.__args__)


def read_event(raw: str | bytes) -> ClientEvent:
    """Read one client event.

    Raises:
        Refused: With code ``invalid_json``, ``unknown_event`` or ``invalid_value``.
    """
    try:
        data = read_json(raw)
    except ValueError:
        raise Refused("An event is not JSON.", code="invalid_json") from None
    given = data.get("event_id") if isinstance(data, dict) else None
    event_id = given if isinstance(given, str) and len(given) <= 512 else None
    if not isinstance(data, dict) or data.get("type") not in TYPES:
        message = f"An event's type must be one of {', '.join(TYPES)}."
        raise Refused(message, code="unknown_event", param="type", event_id=event_id)
    try:
        return _CLIENT.validate_python(data)
    except ValidationError as error:
        raise invalid(error, event_id=event_id, skip=1) from None


def invalid(
    error: ValidationError, *, event_id: str | None = None, where: str = "", skip: int = 0
) -> Refused:
    """Return the first thing that a model found wrong, as the refusal that names the field.

    Args:
        error: What the model found.
        event_id: The client's id of the event.
        where: The path of the model within the event.
        skip: Parts of the error's own path that name no field.
    """
    first = error.errors(include_url=False, include_input=False)[0]
    param = ".".join(part for part in (where, *map(str, first["loc"][skip:])) if part) or None
    return Refused(f"{first['msg']}.", code="invalid_value", param=param, event_id=event_id)


# --- items


@dataclass(frozen=True, slots=True)
class TypedText:
    """Words that the caller typed."""

    item_id: str | None
    text: str


@dataclass(frozen=True, slots=True)
class CallOutput:
    """What came of a function call."""

    item_id: str | None
    call_id: str
    output: str

    @property
    def failed(self) -> bool:
        """Whether it says that the function failed: an object with an ``error``."""
        try:
            result = json.loads(self.output)
        except (ValueError, RecursionError):
            return False
        return isinstance(result, dict) and (bool(result.get("error")) or not result.get("ok", 1))


def read_item(event: CreateItem) -> TypedText | CallOutput:
    """Read the item that a client adds.

    Raises:
        Refused: It is none that a caller may add, or it is not right.
    """

    def refused(message: str, code: str, param: str = "item") -> Refused:
        return Refused(message, code=code, param=param, event_id=event.event_id)

    item = event.item
    item_id = item.get("id")
    if item_id is not None and not (isinstance(item_id, str) and 0 < len(item_id) <= MAX_ID_CHARS):
        message = f"An item's id has 1 to {MAX_ID_CHARS} characters."
        raise refused(message, "invalid_value", "item.id")
    match item:
        case {"type": "message", "role": "user", "content": [_, *_] as parts}:
            text = " ".join(_text(part) or "" for part in parts).strip()
            if any(_text(part) is None for part in parts):
                message = "Only text can be added; audio comes by input_audio_buffer.append."
                raise refused(message, "unsupported_content", "item.content")
            if not 0 < len(text) <= MAX_TEXT_CHARS:
                message = f"A text has 1 to {MAX_TEXT_CHARS} characters."
                raise refused(message, "invalid_value", "item.content")
            return TypedText(item_id, text)
        case {"type": "function_call_output", "call_id": str(call_id), "output": str(output)} if (
            len(call_id) <= MAX_ID_CHARS and len(output) <= MAX_OUTPUT_CHARS
        ):
            return CallOutput(item_id, call_id, output)
        case {"type": "message", "role": "system"}:
            message = "A caller's side gives the assistant no instructions: its operator does."
            raise refused(message, "instructions_not_taken", "item.role")
    message = "An item is a user's message with text, or a function_call_output."
    raise refused(message, "unsupported_item")


def _text(part: object) -> str | None:
    match part:
        case Mapping() if part.get("type") in ("input_text", "text"):
            text = part.get("text")
            return text if isinstance(text, str) else None
    return None
