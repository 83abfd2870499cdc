"""AudioSocket's packets: `type:u8, length:u16 big-endian, payload`, read from any pieces; pure."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from uuid import UUID

from apps.core.errors import ProtocolError
from apps.voice.doors.base import CallerDigit
from apps.voice.doors.carriers.door import read_key
from apps.voice.doors.messages import MAX_FRAME_MS

HANG_UP, ID, DTMF, ERROR = 0x00, 0x01, 0x03, 0xFF
RATES_HZ = {0x10: 8000, 0x12: 16000}
"""Kinds of audio that TOM takes, all 16-bit linear; those between and above have other rates."""
_OTHER_AUDIO = range(0x10, 0x20)
_HEAD = struct.Struct(">BH")


@dataclass(frozen=True, slots=True)
class CallId:
    """The call's UUID: the connection's first packet."""

    call: UUID


@dataclass(frozen=True, slots=True)
class Audio:
    """16-bit little-endian samples, and their rate."""

    pcm: bytes
    rate_hz: int


@dataclass(frozen=True, slots=True)
class HangUp:
    """The call is over."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Asterisk could not do something."""


Packet = CallId | Audio | CallerDigit | HangUp | Trouble


class PacketReader:
    """Cuts a stream of bytes into packets; holds at most one that is not whole (64 KiB)."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def push(self, data: bytes) -> None:
        """Add bytes as they came."""
        self._rest += data

    def next(self) -> tuple[int, bytes] | None:
        """Return the next whole packet's kind and payload, or None until more has come."""
        if len(self._rest) < _HEAD.size:
            return None
        kind, length = _HEAD.unpack_from(self._rest)
        end = _HEAD.size + length
        if len(self._rest) < end:
            return None
        payload = bytes(self._rest[_HEAD.size : end])
        del self._rest[:end]
        return kind, payload


def read_packet(kind: int, payload: bytes) -> Packet:
    """Read one packet.

    Raises:
        ProtocolError: With code ``unknown_message``, ``bad_message``, ``bad_frame``,
            ``frame_too_long`` or ``unsupported_rate``.
    """
    if kind in _OTHER_AUDIO:
        return _audio(kind, payload)
    match kind:
        case 0x00:
            return HangUp()
        case 0x01 if len(payload) == 16:
            return CallId(UUID(bytes=payload))
        case 0x03:
            return read_key(payload.decode("latin-1"))
        case 0xFF:
            return Trouble()
        case 0x01:
            raise ProtocolError("A call's id is no UUID.", code="bad_message")
    raise ProtocolError("A packet is of no known kind.", code="unknown_message")


def write_packet(kind: int, payload: bytes = b"") -> bytes:
    """Return a packet as it travels."""
    return _HEAD.pack(kind, len(payload)) + payload


def audio_kind(rate_hz: int) -> int:
    """Return the kind of audio of one of `RATES_HZ`."""
    return next(kind for kind, rate in RATES_HZ.items() if rate == rate_hz)


def _audio(kind: int, payload: bytes) -> Audio:
    if kind not in RATES_HZ:
        raise ProtocolError(
            "Audio is neither 8 nor 16 kHz.",
            hint="Dial with c(slin) or c(slin16).",
            code="unsupported_rate",
        )
    if not payload or len(payload) % 2:
        raise ProtocolError("A frame is not a whole number of samples.", code="bad_frame")
    if len(payload) > 2 * RATES_HZ[kind] * MAX_FRAME_MS // 1000:
        raise ProtocolError(f"A frame is longer than {MAX_FRAME_MS} ms.", code="frame_too_long")
    return Audio(payload, RATES_HZ[kind])
