"""One call's audio over RTP: a datagram endpoint, and what it agreed on with the peer.

    session = await RtpSession.open(RtpOptions(host="0.0.0.0", ports=(10000, 10999)), on_event)
    session.local_port                  # for the description that the peer is sent
    session.connect(negotiated, "203.0.113.7")   # again after every re-INVITE
    session.play(frame)                 # 20 ms of 16 kHz PCM; leaves on a 20 ms clock
    session.flush()                     # drops what has not left yet
    session.unsent_ms                   # how much that is
    session.statistics                  # how the call's media did
    session.close()

`on_event` is called with `CallerAudio`, `CallerDigit`, and with `CallerHungUp(failed=True)` once
when nothing came for `RtpOptions.silent_timeout_s` (not while the peer has put the call on hold).
It must return at once. The events are a door's own, so a door can put them into its queue.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from apps.voice.doors.base import DoorEvent
from apps.voice.rtp.negotiation import Negotiated


@dataclass(frozen=True, slots=True)
class RtpOptions:
    """How RTP sessions are opened.

    Attributes:
        host: The address to listen on.
        ports: The first and the last port that may be used; RTP takes the even ones, RTCP the
            one above.
        any_source: Take media from any host until the right one is known, not only from those
            that the peer's description or its signalling came from.
        silent_timeout_s: A peer that sends nothing for so long is gone.
    """

    host: str = "0.0.0.0"  # noqa: S104 - a telephone server listens everywhere
    ports: tuple[int, int] = (10_000, 10_999)
    any_source: bool = False
    silent_timeout_s: float = 30.0


@dataclass(frozen=True, slots=True)
class RtpStatistics:
    """How a call's media did so far.

    Attributes:
        sent: Packets sent.
        received: Packets of the peer that were taken.
        lost: Packets of the peer that never came in time.
        foreign: Packets that were not the peer's, or of no use.
        jitter_ms: RFC 3550's interarrival jitter.
        delay_ms: How long the jitter buffer holds a packet now, beyond its arrival.
    """

    sent: int = 0
    received: int = 0
    lost: int = 0
    foreign: int = 0
    jitter_ms: float = 0.0
    delay_ms: float = 0.0


class RtpSession:
    """One call's audio; see the module's docstring."""

    local_port: int

    @classmethod
    async def open(cls, options: RtpOptions, on_event: Callable[[DoorEvent], None]) -> RtpSession:
        """Bind a free port.

        Raises:
            AtCapacity: With code ``no_ports``: every port of the range is taken.
        """
        raise NotImplementedError

    def connect(self, negotiated: Negotiated, signalled_from: str = "") -> None:
        """Begin, or go on with what a re-INVITE has changed.

        Args:
            negotiated: What was agreed on.
            signalled_from: The IP address that the peer's signalling comes from: a telephone
                behind NAT sends its media from there too.
        """
        raise NotImplementedError

    def play(self, frame: bytes) -> None:
        """Queue one 20 ms frame of 16 kHz PCM; never waits."""
        raise NotImplementedError

    def flush(self) -> None:
        """Drop what has not left yet."""
        raise NotImplementedError

    @property
    def unsent_ms(self) -> float:
        """How much audio is queued."""
        raise NotImplementedError

    @property
    def statistics(self) -> RtpStatistics:
        """How the media did so far."""
        raise NotImplementedError

    def close(self) -> None:
        """End it; a second time does nothing."""
        raise NotImplementedError
