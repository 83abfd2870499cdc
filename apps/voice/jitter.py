"""RTP packets as they come in, handed on in order; only a gap waits.

The ear takes audio whenever it comes, so there is no playout clock here: a packet in sequence is
handed on at once. A gap waits as long as the network has lately been late, and then counts as lost.

Pure: time comes in as `now_ms`, and nothing here knows of sockets or codecs. Whoever owns the
socket pushes and pops at every packet, and pops again at `next_deadline_ms`.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from apps.voice.rtp.packet import sequence_distance, timestamp_distance

MIN_WAIT_MS, MAX_WAIT_MS = 20.0, 120.0
# Further ahead than this the sender has begun anew, rather than lost so much.
WINDOW = 128
# A sender that says nothing is silent (DTX, a muted microphone) or cut off: its time goes on.
SILENT_AFTER_MS, SILENCE_STEP_MS = 300.0, 20.0
# Timestamps may be ahead of our clock, or go back, by this; a larger jump is a new beginning.
CLOCK_TOLERANCE_MS = 500.0

# Of the network's quickest transit, per packet: it follows a longer route in some seconds.
_BASE_LEAK = 0.005
# Of the wait, per packet: half of what one late packet taught is forgotten after 2.8 s.
_WAIT_DECAY, _WAIT_MARGIN = 0.995, 1.2
# Of how far the audio is ahead, per packet: the sender's clock may be quicker than ours.
_AHEAD_DECAY = 0.999


@dataclass(frozen=True, slots=True)
class Packet:
    """One RTP packet: its sequence number, its timestamp in the codec's ticks, its payload."""

    seq: int
    timestamp: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Lost:
    """Audio that was sent and did not come: conceal it. Both in ticks."""

    timestamp: int
    duration: int


@dataclass(frozen=True, slots=True)
class Pause:
    """Time in which the sender sent nothing: it is silence. Both in ticks."""

    timestamp: int
    duration: int


@dataclass(slots=True)
class JitterStatistics:
    """What became of the packets, and what the network looked like.

    Attributes:
        received: Packets that came, whatever became of them.
        lost: Packets whose wait ended without them.
        late: Packets that came after they had been given up (they are in `lost`, too).
        duplicate: Packets that came again.
        reordered: Packets that came after a later one, in time.
        restarts: New beginnings of the sender's numbers.
        held_ms: Packets' waits for an earlier one, summed.
        wait_ms: How long a gap would wait now, beyond the moment it was due.
    """

    received: int = 0
    lost: int = 0
    late: int = 0
    duplicate: int = 0
    reordered: int = 0
    restarts: int = 0
    held_ms: float = 0.0
    wait_ms: float = MIN_WAIT_MS


class JitterBuffer:
    """Reorders one stream of RTP packets.

    Args:
        clock_hz: Ticks of the timestamp a second: 48,000 for Opus, 8000 for G.711 and G.722.
        duration_of: Returns how many ticks a payload lasts; 0 for what is no audio (an empty
            payload keeps the place of a telephone event). For G.711 and G.722 that is `len`.
    """

    def __init__(self, clock_hz: int, duration_of: Callable[[bytes], int]) -> None:
        self._ticks_per_ms = clock_hz / 1000
        self._duration_of = duration_of
        self._delay = _Delay()
        self._held: dict[int, tuple[Packet, float]] = {}  # in the order in which they came
        self._given_up: deque[int] = deque(maxlen=WINDOW)
        self._stray: Packet | None = None
        self._begun = False
        self._next_seq = self._highest_seq = 0
        self._end = 0  # ticks, not wrapped: where the audio that was handed on ends
        self._step = 0  # ticks that the last audio packet lasted
        self._filled = 0  # ticks of silence that were handed on beyond `_end`
        self._arrived_ms = 0.0
        self._until_ms = 0.0  # until when what was handed on lasts, heard in real time
        self.statistics = JitterStatistics()

    def push(self, seq: int, timestamp: int, payload: bytes, now_ms: float) -> None:
        """Take one packet as it comes.

        Args:
            seq: Its sequence number, 16 bits.
            timestamp: Its timestamp, 32 bits.
            payload: What it carries.
            now_ms: When it came; must not go back.
        """
        packet = Packet(seq & 0xFFFF, timestamp & 0xFFFFFFFF, payload)
        self.statistics.received += 1
        if not self._begun:
            self._begin(packet, now_ms)
        ahead = sequence_distance(packet.seq, self._next_seq)
        if abs(ahead) >= WINDOW:
            self._push_stray(packet, now_ms)
            return
        self._stray = None
        if ahead < 0:
            self._count_behind(packet, now_ms)
        elif packet.seq in self._held:
            self.statistics.duplicate += 1
        else:
            self._hold(packet, now_ms)

    def pop(self, now_ms: float) -> list[Packet | Lost | Pause]:
        """Return everything that may be handed on now, in order."""
        out: list[Packet | Lost | Pause] = []
        while self._held:
            if self._next_seq not in self._held:
                if now_ms < self._gap_deadline_ms():
                    return out
                self._give_up()
            self._hand_on(now_ms, out)
        if self._begun:
            self._fill_silence(now_ms, out)
        return out

    def next_deadline_ms(self) -> float | None:
        """Return when `pop` has something again even if no packet comes; None before the first."""
        if not self._begun:
            return None
        if self._held:
            return self._gap_deadline_ms()
        return max(self._arrived_ms + SILENT_AFTER_MS, self._until_ms + SILENCE_STEP_MS)

    def _begin(self, packet: Packet, now_ms: float) -> None:
        """Start at a packet, at the call's beginning or when the sender has begun anew."""
        self._begun = True
        self._next_seq = self._highest_seq = packet.seq
        self._end, self._filled = packet.timestamp, 0
        self._until_ms = max(self._until_ms, now_ms)
        self._delay = _Delay()
        self._given_up.clear()

    def _push_stray(self, packet: Packet, now_ms: float) -> None:
        """Begin anew with two packets in a row that are far from the rest; one alone is dropped."""
        stray, self._stray = self._stray, packet
        if stray is None or packet.seq != (stray.seq + 1) & 0xFFFF:
            return
        self._held.clear()
        self._stray = None
        self.statistics.restarts += 1
        self._begin(stray, now_ms)
        self._hold(stray, now_ms)
        self._hold(packet, now_ms)

    def _count_behind(self, packet: Packet, now_ms: float) -> None:
        if packet.seq not in self._given_up:
            self.statistics.duplicate += 1
            return
        self._given_up.remove(packet.seq)
        self.statistics.late += 1
        self._observe(packet, now_ms)

    def _hold(self, packet: Packet, now_ms: float) -> None:
        self._held[packet.seq] = packet, now_ms
        self._arrived_ms = now_ms
        if sequence_distance(packet.seq, self._highest_seq) < 0:
            self.statistics.reordered += 1
        else:
            self._highest_seq = packet.seq
        self._observe(packet, now_ms)

    def _observe(self, packet: Packet, now_ms: float) -> None:
        self._delay.observe(now_ms - self._unwrapped(packet) / self._ticks_per_ms)
        self.statistics.wait_ms = self._delay.wait_ms

    def _gap_deadline_ms(self) -> float:
        """Return when the missing packet before the held ones counts as lost."""
        _, noticed_ms = next(iter(self._held.values()))
        due_ms = self._delay.base_ms + self._end / self._ticks_per_ms + self._delay.wait_ms
        return min(max(due_ms, noticed_ms + MIN_WAIT_MS), noticed_ms + MAX_WAIT_MS)

    def _give_up(self) -> None:
        """Move on to the first packet that is there."""
        while self._next_seq not in self._held:
            self._given_up.append(self._next_seq)
            self.statistics.lost += 1
            self._next_seq = (self._next_seq + 1) & 0xFFFF

    def _hand_on(self, now_ms: float, out: list[Packet | Lost | Pause]) -> None:
        packet, came_ms = self._held.pop(self._next_seq)
        missing = _consecutive(self._given_up, packet.seq)
        self._bridge(self._unwrapped(packet), missing, now_ms, out)
        duration = self._duration_of(packet.payload)
        self._step = duration or self._step
        self._end += duration
        ahead_ms = max(0.0, self._until_ms - now_ms) * _AHEAD_DECAY
        self._until_ms = now_ms + ahead_ms + duration / self._ticks_per_ms
        self._next_seq = (packet.seq + 1) & 0xFFFF
        self.statistics.held_ms += now_ms - came_ms
        out.append(packet)

    def _bridge(
        self, start: int, missing: int, now_ms: float, out: list[Packet | Lost | Pause]
    ) -> None:
        """Hand on the time between the end of the last packet and the start of the next.

        Of that, what the missing packets lasted is lost, and the rest was silence. It is never more
        than has passed: timestamps that say so are a new beginning, and invent no audio.
        """
        at = self._end + self._filled
        possible_ms = now_ms - self._until_ms + CLOCK_TOLERANCE_MS
        gap_ms = (start - at) / self._ticks_per_ms
        if gap_ms > possible_ms or gap_ms < -self._filled / self._ticks_per_ms - CLOCK_TOLERANCE_MS:
            self._delay = _Delay()
        elif start > at:
            lost = min(start - at, missing * self._step)
            if lost:
                out.append(Lost(at & 0xFFFFFFFF, lost))
            if start > at + lost:
                out.append(Pause((at + lost) & 0xFFFFFFFF, start - at - lost))
            self._until_ms += gap_ms
        self._end, self._filled = start, 0

    def _fill_silence(self, now_ms: float, out: list[Packet | Lost | Pause]) -> None:
        """Let a silent sender's time go on, a whole step at a time."""
        if now_ms < self._arrived_ms + SILENT_AFTER_MS:
            return
        # A nanosecond more: at the deadline itself the difference may round to less than a step.
        steps = int((now_ms - self._until_ms + 1e-6) // SILENCE_STEP_MS)
        if steps > 0:
            ticks = round(steps * SILENCE_STEP_MS * self._ticks_per_ms)
            out.append(Pause((self._end + self._filled) & 0xFFFFFFFF, ticks))
            self._filled += ticks
            self._until_ms += steps * SILENCE_STEP_MS

    def _unwrapped(self, packet: Packet) -> int:
        """Return a packet's timestamp on the endless scale of `_end`."""
        return self._end + timestamp_distance(packet.timestamp, self._end)


class _Delay:
    """The network's delay: its quickest transit, and by how much packets were later, lately."""

    def __init__(self) -> None:
        self._quickest_ms: float | None = None  # from an arbitrary zero: two clocks share none
        self._late_ms = 0.0

    def observe(self, transit_ms: float) -> None:
        """Learn from one packet: when it came, less its timestamp."""
        over_ms = transit_ms - (transit_ms if self._quickest_ms is None else self._quickest_ms)
        leak_ms = over_ms if over_ms < 0 else over_ms * _BASE_LEAK
        self._quickest_ms = transit_ms - over_ms + leak_ms
        self._late_ms = max(over_ms, self._late_ms * _WAIT_DECAY)

    @property
    def base_ms(self) -> float:
        """The transit of the quickest packets; long ago while there was none."""
        return -math.inf if self._quickest_ms is None else self._quickest_ms

    @property
    def wait_ms(self) -> float:
        """How long after its time a packet may still come."""
        return min(max(self._late_ms * _WAIT_MARGIN, MIN_WAIT_MS), MAX_WAIT_MS)


def _consecutive(given_up: deque[int], seq: int) -> int:
    """Return how many packets right before one were given up."""
    count = 0
    while count < len(given_up) and given_up[-1 - count] == (seq - 1 - count) & 0xFFFF:
        count += 1
    return count
