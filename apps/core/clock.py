"""Where time comes from. Deciders never ask: the shell reads a clock and stamps the event."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime


def loop_ms() -> float:
    """Return the running event loop's time in milliseconds.

    It is monotonic, and virtual when the loop's time is (tests), so a whole call can be run
    without waiting.
    """
    return asyncio.get_running_loop().time() * 1000.0


def utc_now() -> datetime:
    """Return the current time, aware, in UTC."""
    return datetime.now(UTC)


def utc_hour(moment: datetime) -> datetime:
    """Cut a moment to its hour: stored times say no more than that (seed 004, privacy)."""
    return moment.replace(minute=0, second=0, microsecond=0)
