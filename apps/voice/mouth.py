"""The mouth of one call: sentences in, 20 ms frames out on an absolute schedule.

Frames leave a little ahead of the moment at which they are to be heard (`LEAD_MS`), so that a busy
machine does not make gaps; after a stall the schedule stands and the mouth catches up. What was
queued is bounded: whoever speaks faster than the caller listens has to wait.

At the first sign of the caller the mouth is held: the client drops what it has not played, where it
can; the mouth fades out and is silent. Then it is flushed, or it goes on from the beginning of the
word at which it fell silent.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from enum import Enum, auto
from itertools import islice

from apps.core.audio import FRAME_BYTES, FRAME_MS, FRAME_SAMPLES, SAMPLE_BYTES, Framer
from apps.core.clock import loop_ms
from apps.core.loop import last_tick_ms
from apps.voice.fades import fade_in, fade_out
from apps.voice.playout import Playout, Spoken
from apps.voice.tts.base import Speech, WordMark

# More would be heard after the caller has broken in; less would not cover a busy machine's delays.
LEAD_MS = 60.0
# After a longer stall the caller has heard a gap: the frames that were due would be queued behind
# it at the client, and what is sent and what is heard would drift apart.
MAX_CATCH_UP_MS = 500.0
# A client's word for what it has not played is believed up to this.
MAX_UNPLAYED_MS = 2000.0
MAX_QUEUED_FRAMES = 3000 // FRAME_MS
# As much as a word can be long: what may be said again after a break.
MAX_REPEATED_FRAMES = 1500 // FRAME_MS


@dataclass(frozen=True, slots=True)
class Frame:
    """20 ms of speech and the sentence that it belongs to."""

    pcm: bytes
    spoken: Spoken


class _Hold(Enum):
    """Whether the mouth is held: the next frame fades out, or nothing is sent."""

    NONE = auto()
    FADING = auto()
    SILENT = auto()


class Mouth:
    """Speaks to one caller.

    Args:
        send: Sends one 20 ms frame through the door.
        on_frame: Told of every frame sent and its loop time (recording); must return at once.
        unplayed_ms: How much of what was sent the client has not confirmed as played, for doors
            whose clients do; a client that is behind the schedule has heard less.
        drop: Makes the client drop what it has not played yet. Without it a hold lets that play
            out, which takes `LEAD_MS` longer.
    """

    def __init__(
        self,
        send: Callable[[bytes], Awaitable[None]],
        on_frame: Callable[[bytes, float], None] | None = None,
        unplayed_ms: Callable[[], float] | None = None,
        drop: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._send, self._on_frame, self._unplayed_ms = send, on_frame, unplayed_ms
        self._drop = drop
        self._frames: deque[Frame] = deque()
        self._sent: deque[Frame] = deque(maxlen=MAX_REPEATED_FRAMES)
        self._playout = Playout()
        self._changed = asyncio.Event()
        self._due = asyncio.Event()
        self._next_ms: float | None = None
        self._ran_dry = True
        self._hold = _Hold.NONE
        self._broke_off = self._fades_in = False
        self.on_first_frame: Callable[[float], None] | None = None

    @property
    def speaking(self) -> bool:
        """Whether there is audio that the caller has not heard yet, also while it is held."""
        return bool(self._frames) or self._unheard_ms() >= 1.0

    @property
    def held(self) -> bool:
        """Whether it is silent until `resume` or `flush`."""
        return self._hold is not _Hold.NONE

    @property
    def saying(self) -> str:
        """The sentence that was sent last, at least its beginning; empty before the first."""
        return self._playout.saying

    def begin_turn(self) -> None:
        """Forget the last turn's sentences; its audio must be finished or flushed."""
        self._playout = Playout(self._playout.tempo)
        self._sent.clear()
        self.on_first_frame = None

    async def say(
        self, text: str, audio: Speech, *, reading: str = "", language: str = "en"
    ) -> None:
        """Queue one sentence; returns when all its audio is queued (not yet heard).

        Args:
            text: The sentence as it is displayed, and as `heard` returns it.
            audio: What a synthesiser yields for it.
            reading: The text that the synthesiser was given, when that is another.
            language: ``de`` or ``en``.
        """
        spoken = self._playout.begin(text, reading, language)
        framer = Framer()
        async with aclosing(audio) as pieces:
            async for piece in pieces:
                if isinstance(piece, WordMark):
                    spoken.mark(piece)
                    continue
                for frame in framer.push(piece):
                    await self._queue(Frame(frame, spoken))
        if rest := framer.flush():
            await self._queue(Frame(rest, spoken))
        self._playout.end(spoken)

    async def drained(self) -> None:
        """Wait until everything queued has been heard; a hold is waited out."""
        while self._frames:
            self._changed.clear()
            await self._changed.wait()
        unheard_ms = self._unheard_ms()
        if unheard_ms > 0:
            await asyncio.sleep(unheard_ms / 1000)

    def hold(self) -> None:
        """Fall silent with the next frame, which fades out."""
        if self.held:
            return
        # The first frame of a sentence is better not begun than faded.
        mid_sentence = bool(self._frames) and not self._ran_dry and self._frames[0].spoken.sent > 0
        self._hold = _Hold.FADING if mid_sentence else _Hold.SILENT
        self._broke_off = False if mid_sentence else self._lead_ms() > 0
        self._changed.set()
        if self._drop is not None:
            self._due.set()

    def resume(self) -> None:
        """Go on from the beginning of the word at which it fell silent."""
        was, self._hold = self._hold, _Hold.NONE
        if was is _Hold.SILENT and self._broke_off:
            self._go_back()
        self._changed.set()

    def flush(self) -> str:
        """Drop what has not been sent and return the words that were heard of this turn.

        It ends a hold. Whoever wants a smooth end holds first.
        """
        heard = self.heard()
        self._frames.clear()
        self._sent.clear()
        self._next_ms = None
        self._hold, self._broke_off, self._fades_in = _Hold.NONE, False, False
        self._changed.set()
        return heard

    def heard(self) -> str:
        """Return the words of this turn that the caller has heard by now."""
        return self._playout.heard(round(self._unheard_ms() / FRAME_MS))

    async def run(self) -> None:
        """Send frames when they are due, until cancelled."""
        while True:
            if not self._frames or self._hold is _Hold.SILENT:
                self._ran_dry = True
                self._changed.clear()
                await self._changed.wait()
                continue
            now = loop_ms()
            self._next_ms = self._due_ms(now)
            self._ran_dry = False
            wait_ms = self._next_ms - LEAD_MS - now
            if wait_ms > 0:
                await self._until_due(wait_ms)
            if not self._frames or self._next_ms is None:  # flushed meanwhile
                continue
            if self._hold is _Hold.NONE:
                await self._send_next(self._next_ms)
            elif self._hold is _Hold.FADING:
                await self._send_faded(self._next_ms)

    async def _until_due(self, wait_ms: float) -> None:
        """Wait for a frame's time, or until a hold cuts it short."""
        self._due.clear()
        loop = asyncio.get_running_loop()
        # All mouths wake together, a little early: see the loop of `apps/core/loop.py`.
        timer = loop.call_at(last_tick_ms(loop_ms() + wait_ms) / 1000, self._due.set)
        try:
            await self._due.wait()
        finally:
            timer.cancel()

    def _due_ms(self, now: float) -> float:
        """Return when the next frame is to be heard: one that is only late is caught up with."""
        if self._next_ms is None:
            return now
        late_ms = now - self._next_ms
        anew = late_ms > (0.0 if self._ran_dry else MAX_CATCH_UP_MS)
        return now if anew else self._next_ms

    async def _send_next(self, due_ms: float) -> None:
        frame = self._frames.popleft()
        frame.spoken.sent += 1
        self._sent.append(frame)
        self._next_ms = due_ms + FRAME_MS
        if self.on_first_frame is not None:
            on_first_frame, self.on_first_frame = self.on_first_frame, None
            on_first_frame(loop_ms())
        self._changed.set()
        fades_in, self._fades_in = self._fades_in, False
        await self._play(fade_in(frame.pcm) if fades_in else frame.pcm, due_ms)

    async def _send_faded(self, due_ms: float) -> None:
        """End with the next frame, which stays queued: it will be said again in full."""
        played_ms = self._take_back() if self._drop is not None else 0.0
        self._hold, self._broke_off = _Hold.SILENT, True
        # Another sentence's beginning is not said before its turn.
        spoken = self._frames[0].spoken
        next_up = [frame.pcm for frame in islice(self._frames, 2) if frame.spoken is spoken]
        if self._drop is not None:
            self._next_ms = due_ms = loop_ms()
            await self._drop()
            if self._hold is not _Hold.SILENT:  # settled meanwhile
                return
        begin = round(played_ms / FRAME_MS * FRAME_SAMPLES) * SAMPLE_BYTES
        rest = b"".join(next_up)[begin : begin + FRAME_BYTES]
        await self._play(fade_out(rest.ljust(FRAME_BYTES, b"\0")), due_ms)

    def _take_back(self) -> float:
        """Queue again what was not heard yet; returns how much of its first frame was."""
        unheard_ms = min(self._unheard_ms(), len(self._sent) * FRAME_MS)
        frames = math.ceil(unheard_ms / FRAME_MS)
        for _ in range(frames):
            frame = self._sent.pop()
            frame.spoken.sent -= 1
            self._frames.appendleft(frame)
        return frames * FRAME_MS - unheard_ms

    async def _play(self, pcm: bytes, due_ms: float) -> None:
        if self._on_frame is not None:
            self._on_frame(pcm, max(due_ms, loop_ms()))
        await self._send(pcm)

    async def _queue(self, frame: Frame) -> None:
        while len(self._frames) >= MAX_QUEUED_FRAMES:
            self._changed.clear()
            await self._changed.wait()
        frame.spoken.add(frame.pcm)
        self._frames.append(frame)
        self._changed.set()

    def _go_back(self) -> None:
        """Queue again what was sent of the word that was being said."""
        self._broke_off = False
        if self._next_ms is not None:
            self._next_ms += FRAME_MS  # the frame that faded out
        if not self._sent:
            return
        spoken = self._sent[-1].spoken
        start = spoken.repeat_from()
        while self._sent and self._sent[-1].spoken is spoken and spoken.sent > start:
            self._frames.appendleft(self._sent.pop())
            spoken.sent -= 1
            self._fades_in = spoken.sent > 0

    def _lead_ms(self) -> float:
        """Return how much of what was sent is still to be heard."""
        return 0.0 if self._next_ms is None else max(0.0, self._next_ms - loop_ms())

    def _unheard_ms(self) -> float:
        """Return the same, or more where the client has confirmed less."""
        if self._hold is _Hold.SILENT and self._drop is not None:
            return 0.0  # what was not heard has been taken back
        confirmed = 0.0 if self._unplayed_ms is None else self._unplayed_ms()
        return max(self._lead_ms(), min(confirmed, MAX_UNPLAYED_MS))
