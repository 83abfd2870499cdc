"""Doing once what many ask for at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable


class Coalesced:
    """Runs a function for all who ask for it: one run at a time, and one more for who came late.

    A call returns when a run has ended that began after the call was made, so its caller sees
    what it waited for; with n callers at once there are two runs at most, instead of n.

    Args:
        fn: What to run.
    """

    def __init__(self, fn: Callable[[], Awaitable[None]]) -> None:
        self._fn = fn
        self._running: asyncio.Task[None] | None = None
        self._next: asyncio.Task[None] | None = None

    async def __call__(self) -> None:
        """Wait for a run that begins from now on; its error is every waiter's."""
        if self._next is None:
            self._next = asyncio.create_task(self._begin(self._running))
        await asyncio.shield(self._next)  # who gives up must not take it from the others

    async def _begin(self, before: asyncio.Task[None] | None) -> None:
        if before is not None and not before.done():
            await asyncio.wait({before})
        self._running, self._next = self._next, None
        await self._fn()
