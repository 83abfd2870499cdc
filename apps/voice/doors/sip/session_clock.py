"""Rings when a session is to be refreshed by this side, or was not refreshed by the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from apps.voice.doors.sip.session_timer import DEFAULT_S, SessionTimer


class SessionClock:
    """The clock of one call's session timer.

    Args:
        refresh: Called when this side has to show that it is still here.
        expire: Called when the other side has not.
    """

    def __init__(self, refresh: Callable[[], None], expire: Callable[[], None]) -> None:
        self._refresh, self._expire = refresh, expire
        self._timer: SessionTimer | None = None
        self._handle: asyncio.TimerHandle | None = None

    @property
    def interval_s(self) -> int:
        """How long the session lives without being refreshed."""
        return self._timer.interval_s if self._timer else DEFAULT_S

    def set(self, timer: SessionTimer | None) -> None:
        """Begin anew with what was agreed; None stops it."""
        self._timer = timer
        self.wind()

    def wind(self) -> None:
        """Begin anew."""
        self.stop()
        if self._timer is None:
            return
        ours = self._timer.we_refresh
        after_s = self._timer.refresh_after_s if ours else self._timer.expires_after_s
        ring = self._refresh if ours else self._expire
        self._handle = asyncio.get_running_loop().call_later(after_s, ring)

    def stop(self) -> None:
        """Stop it."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
