"""What happened in one call and waits to be applied, in its order."""

from __future__ import annotations

import asyncio

from apps.dispatcher.call_state import Event
from apps.dispatcher.caller_input import Input
from apps.dispatcher.turns import Played
from apps.voice.doors.base import CallerInterrupted
from apps.voice.ear import Heard

Happening = Event | Input | Played | CallerInterrupted

MAX_WAITING = 256


class CallQueue:
    """Holds what happened until the call applies it; at most so many of them are the caller's."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[Happening] = asyncio.Queue()

    def post(self, item: Happening) -> None:
        """Queue something that happened; it is applied in its turn.

        Nothing is dropped but partial transcripts that nobody has time for; the caller's own input
        waits at the door instead (`room`), which bounds the queue.
        """
        partial = isinstance(item, Heard) and item.kind == "partial"
        if not (partial and self._waiting.qsize() >= MAX_WAITING):
            self._waiting.put_nowait(item)

    async def next(self) -> Happening:
        """Return what happened next, once something has."""
        return await self._waiting.get()

    async def room(self) -> None:
        """Wait while too much is queued: whoever types faster than the call reads has to wait."""
        while self._waiting.qsize() >= MAX_WAITING:  # noqa: ASYNC110 - the queue tells nobody
            await asyncio.sleep(0.02)
