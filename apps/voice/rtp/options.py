"""How RTP sessions are opened, and how they say that they did."""

from __future__ import annotations

from dataclasses import dataclass


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
        lost: Packets of the peer that never came, or too late.
        foreign: Packets that were not the peer's, or of no use.
        jitter_ms: RFC 3550's interarrival jitter.
        wait_ms: How long a missing packet is waited for now.
        remote_loss: What the peer said it lost of ours lately, 0 to 1.
        round_trip_ms: By the peer's reports; None without.
    """

    sent: int = 0
    received: int = 0
    lost: int = 0
    foreign: int = 0
    jitter_ms: float = 0.0
    wait_ms: float = 0.0
    remote_loss: float = 0.0
    round_trip_ms: float | None = None
