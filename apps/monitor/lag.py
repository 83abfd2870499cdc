"""Watches how late the event loop wakes its tasks: late frames are heard before they are seen."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable

OnLag = Callable[[float, float], None]


async def watch_lag(on_lag: OnLag, *, interval_s: float = 0.1, window_s: float = 15.0) -> None:
    """Report the event loop's lag until cancelled.

    It wakes on an absolute schedule, so that its own work and earlier delays do not shift it; a
    stall longer than the interval is reported once, with its whole length.

    Args:
        on_lag: Called with the lag and with the peak of the last ``window_s``, both in seconds.
        interval_s: Time between two looks.
        window_s: How far back the peak looks.
    """
    loop = asyncio.get_running_loop()
    recent: deque[tuple[float, float]] = deque()
    due = loop.time() + interval_s
    while True:
        await asyncio.sleep(max(0.0, due - loop.time()))
        now = loop.time()
        lag = max(0.0, now - due)
        recent.append((now, lag))
        while recent[0][0] < now - window_s:
            recent.popleft()
        on_lag(lag, max(seen for _, seen in recent))
        due += interval_s * (math.floor(lag / interval_s) + 1)
