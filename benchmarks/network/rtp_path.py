"""Speech over RTP through a network that changes, in simulated time: what arrives, and when.

It runs the door's own sender and receiver; only the sockets and the clock are not real.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from apps.core.audio import FRAME_BYTES, FRAME_MS, duration_ms
from apps.voice.doors.base import CallerAudio, DoorEvent
from apps.voice.rtp.codecs import codec_named
from apps.voice.rtp.latch import Latch
from apps.voice.rtp.negotiation import Abilities, Local, Negotiated, negotiate, write_offer
from apps.voice.rtp.receiver import Counts, Receiver
from apps.voice.rtp.sdp import read_sdp
from apps.voice.rtp.sender import Numbers, Sender
from benchmarks.network.trouble import BAD, FORTH, GOOD, Fates, Network

PEER = ("192.0.2.1", 4000)
_STEP_MS = 5.0


@dataclass(frozen=True, slots=True)
class Stretch:
    """How the network is from a moment on."""

    from_ms: float
    network: Network


BAD_FOR_10_S = (Stretch(0, GOOD), Stretch(5000, BAD), Stretch(15_000, GOOD))


@dataclass(slots=True)
class Arrival:
    """What came out at the other end.

    Attributes:
        parts: All audio that was handed on, in pieces.
        handed_ms: Moments at which it was, with how much there was by then.
        sent: Packets that were sent.
        dropped: Of these, what the network lost.
        lost: Packets that the receiver did without: dropped, or too late.
    """

    parts: list[bytes] = field(default_factory=list)
    handed_ms: list[tuple[float, float]] = field(default_factory=list)
    sent: int = 0
    dropped: int = 0
    lost: int = 0

    @property
    def pcm(self) -> bytes:
        """All audio that was handed on."""
        return b"".join(self.parts)

    def behind_ms(self, from_ms: float, to_ms: float) -> float:
        """Return by how much the audio was behind the speaker's at the median of a stretch."""
        moments, amounts = (np.array(column) for column in zip(*self.handed_ms, strict=True))
        at = np.arange(from_ms, to_ms, _STEP_MS)
        latest = np.searchsorted(moments, at, "right") - 1
        return float(np.median(at - np.where(latest < 0, 0, amounts[latest])))


def agreed_on(codec: str) -> Negotiated:
    """Return what two sides agree on who speak one codec in the clear."""
    offer = write_offer(Local(*PEER, key=bytes(30)), Abilities((codec,)))
    return negotiate(read_sdp(offer), Abilities((codec,)), bytes(30))


def carry(
    pcm: bytes,
    codec: str = "PCMU",
    stretches: Sequence[Stretch] = BAD_FOR_10_S,
    seed: int = 1,
    on_event: Callable[[DoorEvent], None] | None = None,
) -> Arrival:
    """Send speech, 20 ms every 20 ms, and return what arrives.

    Args:
        pcm: What is said, 16 kHz PCM.
        codec: Of `negotiation.CODECS`.
        stretches: How the network is, from when on.
        seed: Of the packets' fates.
        on_event: Told of everything that the receiver hands on.
    """
    agreed, arrival = agreed_on(codec), Arrival()
    counts, numbers = Counts(), Numbers(ssrc=7, sequence=65_500, timestamp=2**32 - 8000)
    sender = Sender(codec_named(codec), agreed.codec.payload_type, numbers)
    latch = Latch(agreed.remote, frozenset())
    receiver = Receiver(agreed, codec_named(codec), latch, None, counts)

    def take(events: list[DoorEvent], now_ms: float) -> None:
        for event in events:
            if isinstance(event, CallerAudio):
                so_far_ms = arrival.handed_ms[-1][1] if arrival.handed_ms else 0.0
                arrival.parts.append(event.pcm)
                arrival.handed_ms.append((now_ms, so_far_ms + duration_ms(event.pcm)))
            if on_event is not None:
                on_event(event)

    for now_ms, packet in _in_flight(pcm, sender, stretches, Fates(seed, FORTH), arrival):
        deadline_ms = receiver.next_deadline_ms()
        while deadline_ms is not None and deadline_ms < now_ms:
            take(receiver.due(deadline_ms), deadline_ms)
            deadline_ms = receiver.next_deadline_ms()
        take(receiver.packet(packet, PEER, now_ms), now_ms)
    arrival.lost = receiver.lost
    return arrival


def _in_flight(
    pcm: bytes, sender: Sender, stretches: Sequence[Stretch], fates: Fates, arrival: Arrival
) -> list[tuple[float, bytes]]:
    """Return the packets that arrive, with their moments, in the order in which they do."""
    flying: list[tuple[float, int, bytes]] = []
    for number, start in enumerate(range(0, len(pcm) - FRAME_BYTES + 1, FRAME_BYTES)):
        now_ms = float(number * FRAME_MS)
        network = [s.network for s in stretches if s.from_ms <= now_ms][-1]
        packet = sender.frame(pcm[start : start + FRAME_BYTES])
        arrival.sent += 1
        arrives_ms = fates.next(network, now_ms)
        if arrives_ms is None:
            arrival.dropped += 1
        else:
            heapq.heappush(flying, (arrives_ms, number, packet))
    return [(at, packet) for at, _, packet in (heapq.heappop(flying) for _ in range(len(flying)))]
