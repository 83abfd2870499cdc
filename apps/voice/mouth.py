"""The mouth of one call: sentences in, 20 ms frames out on an absolute schedule.

Frames leave a little ahead of the moment at which they are to be heard (`LEAD_MS`), so that a busy
machine does not make gaps; after a stall the schedule stands and the mouth catches up. What was
queued is bounded: whoever speaks faster than the caller listens has to wait.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass

from apps.core.audio import FRAME_MS, Framer
from apps.core.clock import loop_ms
from apps.voice.playout import Playout, Spoken

LEAD_MS = 60.0
MAX_QUEUED_FRAMES = 3000 // FRAME_MS


@dataclass(frozen=True, slots=True)
class Frame:
    """20 ms of speech and the sentence that it belongs to."""

    pcm: bytes
    spoken: Spoken


class Mouth:
    """Speaks to one caller.

    Args:
        send: Sends one 20 ms frame through the door.
        on_frame: Told of every frame sent and its loop time (recording); must return at once.
    """

    def __init__(
        self,
        send: Callable[[bytes], Awaitable[None]],
        on_frame: Callable[[bytes, float], None] | None = None,
    ) -> None:
        self._send, self._on_frame = send, on_frame
        self._frames: deque[Frame] = deque()
        self._playout = Playout()
        self._changed = asyncio.Event()
        self._next_ms: float | None = None
        self._ran_dry = True
        self.on_first_frame: Callable[[float], None] | None = None

    @property
    def speaking(self) -> bool:
        """Whether there is audio that the caller has not heard yet."""
        return bool(self._frames) or self._lead_ms() >= 1.0

    def begin_turn(self) -> None:
        """Forget the last turn's sentences; its audio must be finished or flushed."""
        self._playout = Playout()
        self.on_first_frame = None

    async def say(self, text: str, audio: AsyncGenerator[bytes, None]) -> None:
        """Queue one sentence; returns when all its audio is queued (not yet heard)."""
        spoken = self._playout.begin(text)
        framer = Framer()
        async with aclosing(audio) as chunks:
            async for chunk in chunks:
                for frame in framer.push(chunk):
                    await self._queue(Frame(frame, spoken))
        if rest := framer.flush():
            await self._queue(Frame(rest, spoken))
        spoken.complete = True

    async def drained(self) -> None:
        """Wait until everything queued has been heard."""
        while self._frames:
            self._changed.clear()
            await self._changed.wait()
        lead_ms = self._lead_ms()
        if lead_ms > 0:
            await asyncio.sleep(lead_ms / 1000)

    def flush(self) -> str:
        """Drop what has not been sent and return the words that were heard of this turn."""
        heard = self.heard()
        self._frames.clear()
        self._next_ms = None
        self._changed.set()
        return heard

    def heard(self) -> str:
        """Return the words of this turn that the caller has heard by now."""
        return self._playout.heard(round(self._lead_ms() / FRAME_MS))

    async def run(self) -> None:
        """Send frames when they are due, until cancelled."""
        while True:
            if not self._frames:
                self._ran_dry = True
                self._changed.clear()
                await self._changed.wait()
                continue
            now = loop_ms()
            # A schedule that ran dry starts anew; one that is only late catches up.
            if self._next_ms is None or (self._ran_dry and now > self._next_ms):
                self._next_ms = now
            self._ran_dry = False
            wait_ms = self._next_ms - LEAD_MS - now
            if wait_ms > 0:
                await asyncio.sleep(wait_ms / 1000)
            if self._frames and self._next_ms is not None:  # else flushed meanwhile
                await self._send_next(self._next_ms)

    async def _send_next(self, due_ms: float) -> None:
        frame = self._frames.popleft()
        frame.spoken.sent += 1
        self._next_ms = due_ms + FRAME_MS
        if self.on_first_frame is not None:
            on_first_frame, self.on_first_frame = self.on_first_frame, None
            on_first_frame(loop_ms())
        self._changed.set()
        if self._on_frame is not None:
            self._on_frame(frame.pcm, max(due_ms, loop_ms()))
        await self._send(frame.pcm)

    async def _queue(self, frame: Frame) -> None:
        while len(self._frames) >= MAX_QUEUED_FRAMES:
            self._changed.clear()
            await self._changed.wait()
        frame.spoken.frames += 1
        self._frames.append(frame)
        self._changed.set()

    def _lead_ms(self) -> float:
        """Return how much of what was sent is still to be heard."""
        return 0.0 if self._next_ms is None else max(0.0, self._next_ms - loop_ms())
