"""What carriers' streams say, whatever their words for it; reading each carrier's is its door's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from apps.voice.doors.base import CallerDigit, CallRequest
from apps.voice.doors.carriers.door import HandOver
from apps.voice.doors.carriers.requests import read_request


@dataclass(frozen=True, slots=True)
class Connected:
    """A connection's first message, where the carrier greets before a stream starts."""


@dataclass(frozen=True, slots=True)
class StreamStart:
    """The stream begins.

    Attributes:
        call: The carrier's id of the call; empty where the stream does not name it.
        parameters: What TOM's answer to the webhook gave the stream to bring.
        stream: The stream's own id, where messages must name it.
        encoding: ``mulaw``, ``alaw`` or ``pcm_s16le``.
        rate_hz: The sample rate.
    """

    call: str = ""
    parameters: Mapping[Any, Any] = field(default_factory=dict)
    stream: str = ""
    encoding: str = "mulaw"
    rate_hz: int = 8000


@dataclass(frozen=True, slots=True)
class Media:
    """Audio of the caller, and its place in the stream where the carrier numbers it."""

    audio: bytes
    chunk: int = 0


@dataclass(frozen=True, slots=True)
class Mark:
    """What was sent before the mark of this name has been played, or cleared."""

    name: str


@dataclass(frozen=True, slots=True)
class Stop:
    """The stream is over: the caller hung up, or the call went elsewhere."""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that TOM has no use for."""


CarrierMessage = Connected | StreamStart | Media | CallerDigit | Mark | Stop | Notice


@dataclass(frozen=True, slots=True)
class Admitted:
    """What a stream turned out to be.

    Attributes:
        request: Whom the call is for.
        hand_over: Hands its caller over to a person; None where nothing can.
    """

    request: CallRequest
    hand_over: HandOver | None = None


Admit = Callable[[StreamStart], Admitted]
"""Tells what a stream is; raises ProtocolError where it may not be a call."""


def as_told(start: StreamStart) -> Admitted:
    """Believe a stream's own parameters."""
    return Admitted(read_request(start.parameters))
