"""The WebSocket door's control messages, and the pure reading of what a client sends.

docs/protocol.md is the specification; a test holds it against these models.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)

from apps.core.errors import ProtocolError
from apps.core.json_text import read_json
from apps.voice.doors.base import (
    CallerDigit,
    CallerHungUp,
    CallerRating,
    CallerText,
    DoorEvent,
)

PROTOCOL_VERSION = 1
RATES_HZ = (8000, 16000, 24000, 44100, 48000)
MAX_TEXT_CHARS = 1000
MAX_FRAME_MS = 200

CLOSE_NORMAL = 1000
CLOSE_BUSY = 1013
CLOSE_BAD_MESSAGES = 4400
CLOSE_FORBIDDEN = 4403
CLOSE_TIMEOUT = 4408
CLOSE_UNSUPPORTED = 4415


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class AudioFormat(_Message):
    """How audio travels in both directions."""

    encoding: Literal["pcm_s16le", "mulaw"] = "pcm_s16le"
    rate: int = 16000
    channels: Literal[1] = 1


class Start(_Message):
    """The first message of a call."""

    type: Literal["start"]
    protocol: Literal[1] = 1
    mode: Literal["audio", "text"] = "audio"
    profile: str = Field("", max_length=40)
    language: Literal["", "de", "en"] = ""
    caller: str = Field("", max_length=100)
    audio: AudioFormat = AudioFormat()
    observe: bool = False
    token: str = Field("", max_length=200)


class Text(_Message):
    """Words that the caller typed."""

    type: Literal["text"]
    text: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_TEXT_CHARS)
    ]


class Dtmf(_Message):
    """A key that the caller pressed."""

    type: Literal["dtmf"]
    digit: str = Field(pattern=r"^[0-9*#]$")


class Rating(_Message):
    """Stars that the caller chose."""

    type: Literal["rating"]
    stars: int = Field(ge=1, le=5)


class HangUp(_Message):
    """The caller hangs up; the server settles the call, reports, and closes."""

    type: Literal["hangup"]


class Ping(_Message):
    """Keeps a silent connection open."""

    type: Literal["ping"]


ClientMessage = Start | Text | Dtmf | Rating | HangUp | Ping
_CLIENT: TypeAdapter[ClientMessage] = TypeAdapter(
    Annotated[ClientMessage, Field(discriminator="type")]
)
_TYPES = ("start", "text", "dtmf", "rating", "hangup", "ping")


def read_message(raw: str) -> ClientMessage:
    """Read one control message.

    Raises:
        ProtocolError: With code ``bad_json``, ``unknown_message``, ``unsupported_rate`` or
            ``bad_message``.
    """
    try:
        data = read_json(raw)
    except ValueError:
        raise ProtocolError(
            "A control message is not JSON.", hint="Send one JSON object.", code="bad_json"
        ) from None
    if not isinstance(data, dict) or data.get("type") not in _TYPES:
        raise ProtocolError(
            "A control message has no known type.",
            hint=f"Types are {', '.join(_TYPES)}.",
            code="unknown_message",
        )
    try:
        message = _CLIENT.validate_python(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"][1:]) or "the message"
        raise ProtocolError(
            f"A {data['type']} message is not right: {where}: {first['msg']}.",
            hint="docs/protocol.md lists every field.",
            code="bad_message",
        ) from None
    if isinstance(message, Start):
        _check_audio(message.audio)
    return message


def call_event(message: ClientMessage) -> DoorEvent | None:
    """Return what a message is for a call that has begun; None for a ping, which wants a pong.

    Raises:
        ProtocolError: It would begin the call again; code ``already_started``.
    """
    match message:
        case Start():
            raise ProtocolError("The call has already started.", code="already_started")
        case Text(text=text):
            return CallerText(text)
        case Dtmf(digit=digit):
            return CallerDigit(digit)
        case Rating(stars=stars):
            return CallerRating(stars)
        case HangUp():
            return CallerHungUp()
        case Ping():
            return None


def _check_audio(audio: AudioFormat) -> None:
    if audio.rate not in RATES_HZ or (audio.encoding == "mulaw" and audio.rate != 8000):
        raise ProtocolError(
            f"Audio of {audio.encoding} at {audio.rate} Hz is not supported.",
            hint=f"Use pcm_s16le at one of {', '.join(map(str, RATES_HZ))} Hz, or mulaw at 8000.",
            code="unsupported_rate",
        )


def check_frame(frame: bytes, audio: AudioFormat) -> None:
    """Check one binary message against the declared format.

    Raises:
        ProtocolError: With code ``bad_frame`` or ``frame_too_long``.
    """
    sample_bytes = 2 if audio.encoding == "pcm_s16le" else 1
    if not frame or len(frame) % sample_bytes:
        raise ProtocolError(
            f"A frame of {len(frame)} bytes is not a whole number of samples.",
            hint="Send little-endian 16-bit samples." if sample_bytes == 2 else "",
            code="bad_frame",
        )
    if len(frame) > audio.rate * sample_bytes * MAX_FRAME_MS // 1000:
        raise ProtocolError(
            f"A frame is longer than {MAX_FRAME_MS} ms.",
            hint="Send 20 ms at a time.",
            code="frame_too_long",
        )
