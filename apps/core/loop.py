"""The event loop of a server of many calls: what arrives within milliseconds is done together.

Fifty times a second each call brings a frame and sends one. A loop that wakes for each of them
finds the processor's caches and clock cold, and pays up to twice for the same work. So once a
socket is readable the loop waits for the next tick of a grid that all calls share, and handles
everything that has come by then. What other threads hand over (the database, for one) is never kept
waiting, and a timer rings when it is due.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike

TICK_MS = 5.0
"""At most so long, half of it on average, a caller's frame waits for others."""

_ROUNDING_MS = 1e-3
_Ready = list[tuple[selectors.SelectorKey, int]]


def last_tick_ms(moment_ms: float) -> float:
    """Return the tick of the grid at or before a moment of the loop's time."""
    return (moment_ms + _ROUNDING_MS) // TICK_MS * TICK_MS


class TickingSelector(selectors.BaseSelector):
    """Waits as the platform's selector does, and after that for the next tick."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._urgent = selectors.DefaultSelector()

    def register(
        self, fileobj: FileDescriptorLike, events: int, data: Any = None
    ) -> selectors.SelectorKey:
        """Watch a file; the first one is the loop's own, by which other threads wake it."""
        if not self._selector.get_map():
            self._urgent.register(fileobj, events)
        return self._selector.register(fileobj, events, data)

    def unregister(self, fileobj: FileDescriptorLike) -> selectors.SelectorKey:
        """Watch a file no longer."""
        if fileobj in self._urgent.get_map():
            self._urgent.unregister(fileobj)
        return self._selector.unregister(fileobj)

    def modify(
        self, fileobj: FileDescriptorLike, events: int, data: Any = None
    ) -> selectors.SelectorKey:
        """Watch a file for something else."""
        return self._selector.modify(fileobj, events, data)

    def select(self, timeout: float | None = None) -> _Ready:
        """Return what is ready: at once where the loop has work, else at the next tick."""
        ready = self._selector.select(timeout)
        if not ready or (timeout is not None and timeout <= 0):
            return ready
        now_ms = time.monotonic() * 1000
        wait_ms = last_tick_ms(now_ms) + TICK_MS - now_ms
        if self._urgent.select(wait_ms / 1000):
            return ready
        return self._selector.select(0)

    def get_map(self) -> Mapping[FileDescriptorLike, selectors.SelectorKey]:
        """Return what is watched."""
        return self._selector.get_map()

    def close(self) -> None:
        """Watch nothing any more."""
        self._selector.close()
        self._urgent.close()


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return the event loop that a server runs its calls on."""
    return asyncio.SelectorEventLoop(TickingSelector())
