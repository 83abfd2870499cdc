"""Speech to a WebRTC peer: one Opus packet a frame, on an absolute 20 ms schedule while it lasts.

The mouth sends frames up to 60 ms ahead. They wait here, where a flush can still drop them, and
leave when they are due: a receiver sets its delay by the worst jitter that it sees, so frames ahead
of their time would be heard no sooner. Between talkspurts nothing is encoded: some frames of
silence let the decoder ring down, then an empty packet now and then tells the peer that the time
goes on (RFC 7587's discontinuous transmission).
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
TAIL_FRAMES = 10
PULSE_MS = 400.0
MAX_QUEUED_FRAMES = 150
# After a longer stall the schedule begins anew; catching up would only fill the peer's buffer.
MAX_CATCH_UP_MS = 200.0

SILENCE = bytes(FRAME_BYTES)
EMPTY = bytes([23 << 3])
"""An Opus packet of 20 ms, CELT, wideband, with nothing in it: the decoder goes on by itself."""

_TIME_BASE = Fraction(1, CLOCK_HZ)


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing leaves before this time, unless a frame comes."""

    until_ms: float


@dataclass(frozen=True, slots=True)
class Send:
    """This leaves now: 20 ms of PCM, or None for an empty packet; its time in ticks."""

    frame: bytes | None
    timestamp: int


@dataclass(slots=True)
class Spurts:
    """Decides what leaves when. Pure: the time is passed in.

    Args:
        origin_ms: The time of timestamp 0.
    """

    origin_ms: float
    _frames: deque[bytes] = field(default_factory=lambda: deque(maxlen=MAX_QUEUED_FRAMES))
    _due_ms: float | None = None  # of the next frame; None between talkspurts
    _tail: int = 0
    _pulse_ms: float = 0.0
    _next_timestamp: int = 0

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

    def step(self, now_ms: float) -> Wait | Send:
        """Return what leaves now, or until when nothing does."""
        if self._due_ms is None:
            if self._frames:
                self._due_ms = now_ms
            elif now_ms < self._pulse_ms:
                return Wait(self._pulse_ms)
            else:
                return self._pulse(now_ms)
        elif now_ms < self._due_ms:
            return Wait(self._due_ms)
        elif now_ms > self._due_ms + MAX_CATCH_UP_MS:
            self._due_ms = now_ms
        if self._frames:
            self._tail = TAIL_FRAMES
            return self._leave(self._frames.popleft(), self._due_ms)
        if self._tail:
            self._tail -= 1
            return self._leave(SILENCE, self._due_ms)
        self._due_ms = None
        return self._pulse(now_ms)

    def _pulse(self, now_ms: float) -> Send:
        self._pulse_ms = now_ms + PULSE_MS
        return Send(None, self._stamp(now_ms))

    def _leave(self, frame: bytes, due_ms: float) -> Send:
        self._due_ms = due_ms + FRAME_MS
        return Send(frame, self._stamp(due_ms))

    def _stamp(self, at_ms: float) -> int:
        """Return the timestamp of a time, never before the end of what was sent."""
        ticks = round((at_ms - self.origin_ms) * CLOCK_HZ / 1000)
        timestamp = max(ticks, self._next_timestamp)
        self._next_timestamp = timestamp + FRAME_TICKS
        return timestamp


class SpeechTrack(MediaStreamTrack):
    """What aiortc's sender asks for packets; it does not encode, resample or hop to a thread."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._spurts = Spurts(loop_ms())
        self._encoder = OpusEncoder()
        self._came = asyncio.Event()

    @property
    def queued_ms(self) -> float:
        """How much speech has not left."""
        return self._spurts.queued_ms

    def play(self, frame: bytes) -> None:
        """Queue one 20 ms frame of 16 kHz PCM."""
        self._spurts.push(frame)
        self._came.set()

    def flush(self) -> None:
        """Drop what has not left."""
        self._spurts.flush()

    async def recv(self) -> av.Packet[Any]:
        """Return the next packet when it is due."""
        while isinstance(step := self._spurts.step(loop_ms()), Wait):
            await self._until(step.until_ms)
        packet = av.Packet(EMPTY if step.frame is None else self._encoder.encode(step.frame))
        packet.pts, packet.time_base = step.timestamp, _TIME_BASE
        return packet

    async def _until(self, until_ms: float) -> None:
        self._came.clear()
        wait_s = max(0.0, until_ms - loop_ms()) / 1000
        timer = asyncio.get_running_loop().call_later(wait_s, self._came.set)
        try:
            await self._came.wait()
        finally:
            timer.cancel()
