"""The Twilio door: Media Streams, both ways, over any socket that can receive and send.

Twilio sends 20 ms of 8 kHz µ-law as base64 in JSON, and plays what it is sent in order. `clear`
drops what it has not played; a `mark` comes back once what was sent before it has been played, so
the door knows how late its audio is heard. Messages that Twilio never sends are dropped with an
error, within the bounds of the WebSocket door.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from apps.core.errors import ProtocolError
from apps.voice.doors.carriers.door import read_key
from apps.voice.doors.carriers.media import (
    RATE_HZ,
    JsonMediaDoor,
    read_json,
    read_payload,
)
from apps.voice.doors.carriers.messages import (
    CarrierMessage,
    Connected,
    Mark,
    Media,
    Stop,
    StreamStart,
)

_FORMAT = {"encoding": "audio/x-mulaw", "sampleRate": RATE_HZ, "channels": 1}


def read_twilio(raw: str | bytes) -> CarrierMessage:
    """Read one message of a media stream; fields that TOM has no use for are ignored.

    Raises:
        ProtocolError: With code ``bad_json``, ``unknown_message``, ``bad_message``, ``bad_frame``,
            ``frame_too_long`` or ``unsupported_rate``.
    """
    match read_json(raw):
        case {"event": "media", "media": {"payload": str(payload)}}:
            return Media(read_payload(payload))
        case {"event": "mark", "mark": {"name": str(name)}}:
            return Mark(name)
        case {"event": "dtmf", "dtmf": {"digit": digit}}:
            return read_key(digit)
        case {"event": "start", "start": {"streamSid": str(sid), **start}} if 0 < len(sid) <= 64:
            return _start(sid, start)
        case {"event": "connected"}:
            return Connected()
        case {"event": "stop"}:
            return Stop()
        case {"event": "media" | "mark" | "dtmf" | "start" as event}:
            raise ProtocolError(f"A {event} message is not right.", code="bad_message")
        case _:
            raise ProtocolError("A message has no known event.", code="unknown_message")


def _start(sid: str, start: Mapping[Any, Any]) -> StreamStart:
    if start.get("mediaFormat", _FORMAT) != _FORMAT:
        raise ProtocolError("A stream's media format is not 8 kHz µ-law.", code="unsupported_rate")
    call, given = start.get("callSid", ""), start.get("customParameters")
    if not isinstance(call, str):
        raise ProtocolError("A stream's callSid is none.", code="bad_message")
    return StreamStart(call, given if isinstance(given, dict) else {}, stream=sid)


class TwilioDoor(JsonMediaDoor):
    """One call over one media stream."""

    name = "twilio"
    read = staticmethod(read_twilio)
