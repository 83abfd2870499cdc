"""chan_websocket's control messages: the older plain text and the newer JSON, read and written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apps.core.audio import FRAME_MS
from apps.core.errors import ProtocolError
from apps.voice.doors.base import CallerDigit
from apps.voice.doors.carriers.door import read_key
from apps.voice.doors.carriers.media import read_json
from apps.voice.doors.carriers.messages import Mark, Notice, Stop

FORMATS = {
    "ulaw": ("mulaw", 8000),
    "alaw": ("alaw", 8000),
    "slin": ("pcm_s16le", 8000),
    "slin16": ("pcm_s16le", 16000),
}
"""Asterisk's names of the formats that TOM takes: encoding and sample rate."""
MAX_MESSAGE_BYTES = 65_500
"""A longer message closes an Asterisk's connection."""
_IGNORED = ("STATUS", "MEDIA_BUFFERING_COMPLETED", "QUEUE_DRAINED", "ERROR")
_MAX_FRAME_BYTES = 32_000


@dataclass(frozen=True, slots=True)
class MediaStart:
    """The call's audio begins.

    Attributes:
        encoding: ``mulaw``, ``alaw`` or ``pcm_s16le``.
        rate_hz: The sample rate.
        frame_bytes: What Asterisk makes one frame of.
        is_json: Whether control messages are JSON.
    """

    encoding: str
    rate_hz: int
    frame_bytes: int
    is_json: bool

    @property
    def sample_bytes(self) -> int:
        """How long a sample is."""
        return 2 if self.encoding == "pcm_s16le" else 1

    @property
    def own_frame_bytes(self) -> int:
        """How long TOM's 20 ms are in this format."""
        return self.rate_hz * FRAME_MS // 1000 * self.sample_bytes


@dataclass(frozen=True, slots=True)
class FlowControl:
    """Whether more audio may be sent."""

    on: bool


AsteriskMessage = MediaStart | FlowControl | CallerDigit | Mark | Stop | Notice


def read_control(raw: str) -> AsteriskMessage:
    """Read one control message.

    Raises:
        ProtocolError: With code ``bad_json``, ``unknown_message``, ``bad_message`` or
            ``unsupported_rate``.
    """
    is_json = raw.lstrip().startswith("{")
    told = read_json(raw) if is_json else _read_plain(raw)
    match told:
        case {"event": "MEDIA_START"}:
            return _media_start(told, is_json)
        case {"event": "DTMF_END", "digit": digit}:
            return read_key(digit)
        case {"event": "MEDIA_MARK_PROCESSED", **rest}:
            return Mark(str(rest.get("correlation_id", "")))
        case {"event": "MEDIA_XOFF" | "MEDIA_XON" as event}:
            return FlowControl(on=event == "MEDIA_XON")
        case {"event": str(event)} if event in _IGNORED:
            return Notice()
        case {"event": "DTMF_END"}:
            raise ProtocolError("A DTMF_END names no digit.", code="bad_message")
    raise ProtocolError("A message has no known event.", code="unknown_message")


def write_command(command: str, *, is_json: bool, correlation_id: str = "") -> str:
    """Return a command as a control message."""
    if not is_json:
        return f"{command} {correlation_id}".rstrip()
    told = {"command": command}
    return json.dumps(told | ({"correlation_id": correlation_id} if correlation_id else {}))


def _read_plain(raw: str) -> dict[str, str]:
    """Read ``EVENT key:value key:value``; a value alone is an id."""
    event, *rest = raw.split(" ") if len(raw) <= MAX_MESSAGE_BYTES else [""]
    told = {"event": event}
    for part in rest:
        name, colon, value = part.partition(":")
        told |= {name: value} if colon else {"correlation_id": name}
    return told | {"event": event}


def _media_start(told: Mapping[Any, Any], is_json: bool) -> MediaStart:
    name = told.get("format")
    if not isinstance(name, str) or name not in FORMATS:
        raise ProtocolError(
            "The call's format is none that TOM takes.",
            hint=f"Dial with c(...) and one of {', '.join(FORMATS)}.",
            code="unsupported_rate",
        )
    return MediaStart(*FORMATS[name], _whole(told.get("optimal_frame_size")), is_json)


def _whole(given: object) -> int:
    """Return a frame's size, which plain text writes as digits."""
    if isinstance(given, str) and given.isascii() and given.isdigit() and len(given) <= 6:
        given = int(given)
    if not isinstance(given, int) or isinstance(given, bool) or not 0 < given <= _MAX_FRAME_BYTES:
        raise ProtocolError("A MEDIA_START has no optimal_frame_size.", code="bad_message")
    return given
