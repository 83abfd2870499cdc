"""The waits of one call: at most one running of each kind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from apps.dispatcher.call_state import Timer


class Timers:
    """Arms and disarms a call's timers.

    Args:
        delays_s: How long each kind waits.
        ring: Told when one has run out.
    """

    def __init__(self, delays_s: Mapping[Timer, float], ring: Callable[[Timer], None]) -> None:
        self._delays_s, self._ring = delays_s, ring
        self._running: dict[Timer, asyncio.TimerHandle] = {}
        self._held: set[Timer] | None = None

    def arm(self, timer: Timer) -> None:
        """Start a timer, anew when it is running."""
        self.disarm(timer)
        if self._held is not None:
            self._held.add(timer)
            return
        loop = asyncio.get_running_loop()
        self._running[timer] = loop.call_later(self._delays_s[timer], self._run_out, timer)

    def disarm(self, timer: Timer) -> None:
        """Stop a timer; one that is not running is left alone."""
        if self._held is not None:
            self._held.discard(timer)
        if handle := self._running.pop(timer, None):
            handle.cancel()

    def hold(self, on: bool) -> None:
        """Let no timer run out while the caller is on hold; afterwards they start anew."""
        if on and self._held is None:
            running = set(self._running)
            self.stop()
            self._held = running
        elif not on and self._held is not None:
            held, self._held = self._held, None
            for timer in held:
                self.arm(timer)

    def stop(self) -> None:
        """Stop all timers."""
        for timer in list(self._running):
            self.disarm(timer)

    def _run_out(self, timer: Timer) -> None:
        del self._running[timer]
        self._ring(timer)
