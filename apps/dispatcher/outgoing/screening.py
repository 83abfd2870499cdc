"""The door to somebody who was called: listened to first, until it is known who picked up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any

from apps.core.audio import FRAME_BYTES, FRAME_MS, duration_ms
from apps.core.clock import loop_ms
from apps.voice.answering_machine import (
    Callee,
    Screen,
    ScreenOptions,
    ToneFinder,
    Verdict,
    Window,
    step,
)
from apps.voice.doors.base import CallerAudio, CallerHungUp, CallRequest, Door, DoorEvent
from apps.voice.vad import WINDOW_MS, VoiceActivity

GAP_S = 0.2
"""Without audio for so long, the callee's line is taken for silent."""
LATE_MS = 10_000.0
"""So long a beep may still tell that it was no person after all."""

Tell = Callable[[str, Mapping[str, Any]], None]


class ScreenedDoor:
    """A door whose first seconds are heard by `verdict`, and the rest by the call.

    What the callee said before the call began is not passed on: "hello?" is no question. A beep
    that comes when the call is held already ends it, as if the callee had hung up; the line itself
    stays open then, and `beeped` is set.

    Args:
        door: The door that a dialer returned.
        request: What the call is about.
        vad: A voice activity detector of its own.
        options: How callees are told apart; None where it does not matter who it is.
        on_tell: Told of the call's live events.
    """

    def __init__(
        self,
        door: Door,
        request: CallRequest,
        vad: VoiceActivity,
        options: ScreenOptions | None,
        on_tell: Tell | None = None,
    ) -> None:
        self._door, self._vad, self._on_tell = door, vad, on_tell
        self._cares, self._options = options is not None, options or ScreenOptions()
        self.name, self.capabilities = door.name, door.capabilities
        self.request = request
        self.play, self.flush, self.transfer = door.play, door.flush, door.transfer
        self._arrivals = door.events()
        self._pending: asyncio.Task[DoorEvent | None] | None = None
        self._screen, self._tones = Screen(), ToneFinder()
        self._heard_ms, self._silent_since_ms = 0.0, loop_ms()
        self._verdicts: list[Verdict] = []
        self.beeped = False

    @property
    def unplayed_ms(self) -> float:
        """How much of what was sent the client has not confirmed as played."""
        return self._door.unplayed_ms

    async def verdict(self) -> Verdict | None:
        """Listen until something new is found; None when the callee hung up."""
        while not self._verdicts:
            match await self._next(GAP_S):
                case CallerAudio(pcm=pcm):
                    self._listen(pcm, self._vad)
                case CallerHungUp():
                    return None
                case None:
                    gap_ms = loop_ms() - self._silent_since_ms
                    self._listen(bytes(int(gap_ms // FRAME_MS) * FRAME_BYTES), self._vad)
        return self._verdicts.pop(0)

    async def events(self) -> AsyncGenerator[DoorEvent, None]:
        """Yield what comes from the callee from now on."""
        while True:
            # A task for each frame would be dear, and is needed no more: nothing is timed here.
            waiting = self._next(None) if self._pending is not None else self._pull()
            event = await waiting or CallerHungUp()
            if isinstance(event, CallerAudio) and self._cares and self._heard_ms < LATE_MS:
                self._listen(event.pcm, None)
                self.beeped = any(v.callee is Callee.BEEP for v in self._verdicts)
            if self.beeped:
                event = CallerHungUp()
            yield event
            if isinstance(event, CallerHungUp):
                return

    async def gone(self) -> None:
        """Wait until the callee has hung up."""
        while not isinstance(await self._next(None) or CallerHungUp(), CallerHungUp):
            pass

    async def tell(self, kind: str, data: Mapping[str, Any]) -> None:
        """Send a live event of the call."""
        if self._on_tell is not None:
            self._on_tell(kind, data)
        await self._door.tell(kind, data)

    async def close(self, reason: str) -> None:
        """Hang up, unless a machine is to be left a message."""
        if not self.beeped:
            await self.hang_up(reason)

    async def hang_up(self, reason: str) -> None:
        """Hang up, and hear nothing more."""
        await self._door.close(reason)
        if self._pending is not None:
            self._pending.cancel()
            await asyncio.wait([self._pending])
            self._pending = None
        await self._arrivals.aclose()

    def _listen(self, pcm: bytes, vad: VoiceActivity | None) -> None:
        """Take audio in; without a detector for its tones alone."""
        self._silent_since_ms = loop_ms()
        self._heard_ms += duration_ms(pcm)
        tones, heard_ms = self._tones.push(pcm), self._heard_ms
        if vad is None:
            self._judge(tones, heard_ms, [0.0] * len(tones))
        else:
            vad.hear(pcm, lambda _, voices: self._judge(tones, heard_ms, voices))

    def _judge(
        self, tones: Sequence[float | None], heard_ms: float, voices: Sequence[float]
    ) -> None:
        before = heard_ms - len(tones) * WINDOW_MS
        for place, (voice, hz) in enumerate(zip(voices, tones, strict=True), start=1):
            window = Window(before + place * WINDOW_MS, voice, hz)
            self._screen, verdict = step(self._screen, window, self._options)
            if verdict is not None:
                self._verdicts.append(verdict)

    async def _next(self, timeout_s: float | None) -> DoorEvent | None:
        """Return the next event; None when none came in time, or none will come any more.

        The door's own waiting is never interrupted, so that nothing of it is lost.
        """
        if self._pending is None:
            self._pending = asyncio.create_task(self._pull(), name="callee")
        done, _ = await asyncio.wait([self._pending], timeout=timeout_s)
        if not done:
            return None
        pulled, self._pending = self._pending, None
        return pulled.result() or CallerHungUp()

    async def _pull(self) -> DoorEvent | None:
        return await anext(self._arrivals, None)
