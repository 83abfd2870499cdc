"""What comes from one caller, by whichever way, in order."""

from __future__ import annotations

import asyncio

from apps.voice.doors.base import CallerAudio, CallerDigit, CallerHold, CallerHungUp, DoorEvent

MAX_EVENTS = 500


class CallerEvents:
    """The queue between a call's sockets and whoever reads its door."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[DoorEvent] = asyncio.Queue()
        self._held = self._keys_by_rtp = False
        self.ended = asyncio.Event()

    async def next(self) -> DoorEvent:
        """Return what comes next."""
        return await self._queue.get()

    def by_rtp(self, event: DoorEvent) -> None:
        """Take what came by RTP; on hold there is music in it, which nobody is to answer."""
        match event:
            case CallerAudio() if self._held or self._queue.qsize() >= MAX_EVENTS:
                return
            case CallerDigit():
                self._keys_by_rtp = True
            case CallerHungUp():
                self.gone(failed=event.failed)
                return
        self._queue.put_nowait(event)

    def by_info(self, key: str) -> None:
        """Take a key that came by INFO; some telephones send each key in both ways."""
        if not self._keys_by_rtp:
            self._queue.put_nowait(CallerDigit(key))

    def hold(self, on: bool) -> None:
        """Note whether the call is on hold now."""
        if on != self._held:
            self._held = on
            self._queue.put_nowait(CallerHold(on))

    def gone(self, *, failed: bool = False) -> None:
        """Note that the peer has gone; only the first time counts."""
        if not self.ended.is_set():
            self.ended.set()
            self._queue.put_nowait(CallerHungUp(failed))
