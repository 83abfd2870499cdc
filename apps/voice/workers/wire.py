"""What goes over a worker's pipes: frames of a kind, a stream id, a JSON header and a payload.

Sans I/O: bytes in, frames out. Layout, little-endian: kind (1 byte), stream (4), header length
(4), payload length (4), the header (a JSON object in UTF-8; nothing when empty), the payload.
Both lengths are bounded, so that a broken peer can never make this side hoard memory.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from apps.core.errors import EngineError

MAX_HEADER_BYTES = 1 << 20
MAX_PAYLOAD_BYTES = 1 << 23
MAX_STREAM = (1 << 32) - 1

_PREFIX = struct.Struct("<BIII")


class WireError(EngineError):
    """Bytes that are no frame; the connection cannot be used any more."""

    code = "engine_wire"


class Kind(IntEnum):
    """What a frame means; stream 0 is the worker itself."""

    READY = 1  # worker: loaded and warm; header: name, version, loaded, warm_up_ms
    OPEN = 2  # host: a new stream, with its options
    DATA = 3  # host: more for an open stream
    CANCEL = 4  # host: give the stream up
    REPLY = 5  # worker: something for the stream's owner
    END = 6  # worker: the stream is complete
    ERROR = 7  # worker: the stream (or, on stream 0, loading) failed; header: code, message, hint
    ACK = 8  # worker: so many bytes of the stream are handled; header: bytes
    PING = 9  # host: are you still turning?
    PONG = 10  # worker: yes


@dataclass(frozen=True, slots=True)
class Frame:
    """One message between a host and its worker."""

    kind: Kind
    stream: int = 0
    header: Mapping[str, Any] = field(default_factory=dict)
    payload: bytes = b""


def encode(frame: Frame) -> bytes:
    """Return a frame as bytes.

    Raises:
        WireError: The header or the payload is longer than the peer would accept.
    """
    header = b""
    if frame.header:
        header = json.dumps(dict(frame.header), ensure_ascii=False).encode()
    if len(header) > MAX_HEADER_BYTES or len(frame.payload) > MAX_PAYLOAD_BYTES:
        raise WireError(
            f"A {frame.kind.name} frame of {len(header)} + {len(frame.payload)} bytes is too long.",
            hint=f"At most {MAX_HEADER_BYTES} + {MAX_PAYLOAD_BYTES} bytes fit.",
        )
    prefix = _PREFIX.pack(frame.kind, frame.stream, len(header), len(frame.payload))
    return prefix + header + frame.payload


class FrameParser:
    """Cuts a byte stream into frames, however it was chunked."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """Add bytes and return the frames that are now complete.

        Raises:
            WireError: The bytes are no frame; the parser must not be fed again.
        """
        self._buffer += data
        frames = []
        while (frame := self._next()) is not None:
            frames.append(frame)
        return frames

    def _next(self) -> Frame | None:
        buffer = self._buffer
        if len(buffer) < _PREFIX.size:
            return None
        kind, stream, header_length, payload_length = _PREFIX.unpack_from(buffer)
        if header_length > MAX_HEADER_BYTES or payload_length > MAX_PAYLOAD_BYTES:
            raise WireError("A frame announces more bytes than are allowed.")
        middle = _PREFIX.size + header_length
        end = middle + payload_length
        if len(buffer) < end:
            return None
        frame = Frame(
            _kind(kind),
            stream,
            _header(bytes(buffer[_PREFIX.size : middle])),
            bytes(buffer[middle:end]),
        )
        del buffer[:end]
        return frame


def _kind(value: int) -> Kind:
    try:
        return Kind(value)
    except ValueError:
        raise WireError(f"There is no frame of kind {value}.") from None


def _header(raw: bytes) -> dict[str, Any]:
    if not raw:
        return {}
    try:
        header = json.loads(raw)
    except (ValueError, RecursionError):
        raise WireError("A frame's header is no JSON.") from None
    if not isinstance(header, dict):
        raise WireError("A frame's header is no JSON object.")
    return header
