"""The Telnyx door: bidirectional media streaming (`rtp` mode) over any socket.

Telnyx sends 20 ms of 8 kHz G.711 as base64 in JSON, plays what it is sent in order, drops it on
`clear` and returns each `mark`. Its media may come out of order, so they are put in order by their
chunk numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from apps.core.errors import ProtocolError
from apps.voice.doors.base import DoorEvent
from apps.voice.doors.carriers.door import read_key
from apps.voice.doors.carriers.media import (
    JsonMediaDoor,
    read_json,
    read_payload,
)
from apps.voice.doors.carriers.messages import (
    Admitted,
    CarrierMessage,
    Connected,
    Mark,
    Media,
    Notice,
    Stop,
    StreamStart,
)
from apps.voice.doors.peer import Socket

MAX_WAITING_CHUNKS = 5
"""So many chunks (100 ms) wait for one before them; then it is taken for lost."""
_ENCODINGS = {"PCMU": "mulaw", "PCMA": "alaw"}
_MAX_CHUNK = 2**53


def read_telnyx(raw: str | bytes) -> CarrierMessage:
    """Read one message of a media stream; fields that TOM has no use for are ignored.

    Raises:
        ProtocolError: With code ``bad_json``, ``unknown_message``, ``bad_message``, ``bad_frame``,
            ``frame_too_long`` or ``unsupported_rate``.
    """
    match read_json(raw):
        case {"event": "media", "media": {"payload": str(payload), "chunk": chunk}}:
            return Media(read_payload(payload), _chunk(chunk))
        case {"event": "mark", "mark": {"name": str(name)}}:
            return Mark(name)
        case {"event": "dtmf", "dtmf": {"digit": digit}}:
            return read_key(digit)
        case {"event": "start", "start": {"call_control_id": str(call), **start}} if (
            0 < len(call) <= 256
        ):
            return StreamStart(call, _parameters(start), encoding=_encoding(start))
        case {"event": "connected"}:
            return Connected()
        case {"event": "stop"}:
            return Stop()
        case {"event": "error"}:  # Telnyx could not do what it was told
            return Notice()
        case {"event": "media" | "mark" | "dtmf" | "start" as event}:
            raise ProtocolError(f"A {event} message is not right.", code="bad_message")
        case _:
            raise ProtocolError("A message has no known event.", code="unknown_message")


def _chunk(given: object) -> int:
    """Return a chunk's number, which Telnyx writes as a string."""
    if isinstance(given, str) and given.isascii() and given.isdigit() and len(given) <= 16:
        given = int(given)
    if not isinstance(given, int) or isinstance(given, bool) or not 0 <= given <= _MAX_CHUNK:
        raise ProtocolError("A chunk's number is none.", code="bad_message")
    return given


def _encoding(start: Mapping[Any, Any]) -> str:
    match start.get("media_format"):
        case {"encoding": str(name), "sample_rate": 8000, "channels": 1} if name in _ENCODINGS:
            return _ENCODINGS[name]
    raise ProtocolError(
        "A stream's media format is not 8 kHz G.711.",
        hint="Ask for PCMU or PCMA in the stream's codec.",
        code="unsupported_rate",
    )


def _parameters(start: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """Return the stream's parameters; Telnyx writes them as an object, or as names and values."""
    match start.get("custom_parameters"):
        case dict(given):
            return given
        case list(given):
            pairs = [x for x in given if isinstance(x, dict) and isinstance(x.get("name"), str)]
            return {x["name"]: x.get("value", "") for x in pairs}
    return {}


@dataclass(slots=True)
class ChunkOrder:
    """Puts chunks into their order; pure.

    A chunk that is missing is waited for until `MAX_WAITING_CHUNKS` have come after it. One that
    comes later still, or twice, is dropped.
    """

    _next: int | None = None
    _waiting: dict[int, bytes] = field(default_factory=dict)

    def push(self, chunk: int, audio: bytes) -> list[bytes]:
        """Take one chunk; returns what is in order now."""
        if self._next is None:
            self._next = chunk
        if chunk >= self._next:
            self._waiting.setdefault(chunk, audio)
        if len(self._waiting) > MAX_WAITING_CHUNKS:
            self._next = min(self._waiting)
        ready = []
        while (audio_next := self._waiting.pop(self._next, None)) is not None:
            ready.append(audio_next)
            self._next += 1
        return ready


class TelnyxDoor(JsonMediaDoor):
    """One call over one media stream, whose audio may come out of order."""

    name = "telnyx"
    read = staticmethod(read_telnyx)

    def __init__(self, socket: Socket, start: StreamStart, admitted: Admitted) -> None:
        super().__init__(socket, start, admitted)
        self._order = ChunkOrder()

    def _hear_chunk(self, media: Media) -> DoorEvent | None:
        ready = b"".join(self._order.push(media.chunk, media.audio))
        return self._hear(ready) if ready else None
