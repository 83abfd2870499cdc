"""Speech to a WebRTC peer: one Opus packet every 20 ms, on an absolute schedule.

The mouth sends frames up to 60 ms ahead. They wait here, where a flush can still drop them, and
leave when they are due: a receiver sets its delay by the worst jitter that it sees, so frames ahead
of their time would be heard no sooner. Silence between sentences is sent as well: without it a
browser's receiver takes the pauses for trouble on the network, and its delay grows by 50 ms and
more (measured with Chromium; nor does a first frame ahead of its 20 ms gain anything there).
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
from aiortc import MediaStreamTrack

from apps.core.audio import FRAME_BYTES, FRAME_MS
from apps.core.clock import loop_ms
from apps.voice.rtp.opus import OpusEncoder

CLOCK_HZ = 48_000
FRAME_TICKS = CLOCK_HZ * FRAME_MS // 1000
MAX_QUEUED_FRAMES = 150
# After a longer stall the time is skipped: catching up would only fill the peer's buffer.
MAX_CATCH_UP_MS = 200.0

SILENCE = bytes(FRAME_BYTES)
_TIME_BASE = Fraction(1, CLOCK_HZ)


@dataclass(frozen=True, slots=True)
class Leaving:
    """What leaves now: 20 ms of PCM and its time in ticks."""

    frame: bytes
    timestamp: int


@dataclass(slots=True)
class Schedule:
    """Decides what leaves when. Pure: the time is passed in."""

    _frames: deque[bytes] = field(default_factory=lambda: deque(maxlen=MAX_QUEUED_FRAMES))
    _due_ms: float | None = None  # of the next packet; the first is due when it is asked for
    _timestamp: int = 0

    @property
    def queued_ms(self) -> float:
        """How much speech waits."""
        return len(self._frames) * float(FRAME_MS)

    def push(self, frame: bytes) -> None:
        """Queue one frame."""
        self._frames.append(frame)

    def flush(self) -> None:
        """Drop what waits."""
        self._frames.clear()

    def wait_ms(self, now_ms: float) -> float:
        """Return how long it is until the next packet; 0 when it is late."""
        return 0.0 if self._due_ms is None else max(0.0, self._due_ms - now_ms)

    def leave(self, now_ms: float) -> Leaving:
        """Return the next packet's content, and move on to the one after it."""
        due_ms = now_ms if self._due_ms is None else self._due_ms
        late_ms = now_ms - due_ms
        skipped = int(late_ms // FRAME_MS) if late_ms > MAX_CATCH_UP_MS else 0
        timestamp = self._timestamp + skipped * FRAME_TICKS
        self._due_ms = due_ms + (skipped + 1) * FRAME_MS
        self._timestamp = timestamp + FRAME_TICKS
        return Leaving(self._frames.popleft() if self._frames else SILENCE, timestamp)


class SpeechTrack(MediaStreamTrack):
    """What aiortc's sender asks for packets; it does not encode, resample or hop to a thread."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._schedule = Schedule()
        self._encoder = OpusEncoder()

    @property
    def queued_ms(self) -> float:
        """How much speech has not left."""
        return self._schedule.queued_ms

    def play(self, frame: bytes) -> None:
        """Queue one 20 ms frame of 16 kHz PCM."""
        self._schedule.push(frame)

    def flush(self) -> None:
        """Drop what has not left."""
        self._schedule.flush()

    async def recv(self) -> av.Packet[Any]:
        """Return the next packet when it is due."""
        if (wait_ms := self._schedule.wait_ms(loop_ms())) > 0:
            await asyncio.sleep(wait_ms / 1000)
        leaving = self._schedule.leave(loop_ms())
        packet = av.Packet(self._encoder.encode(leaving.frame))
        packet.pts, packet.time_base = leaving.timestamp, _TIME_BASE
        return packet
