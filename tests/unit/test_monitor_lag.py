"""The lag monitor, in a loop whose time the test moves."""

import asyncio
import time

import pytest

from apps.monitor.lag import watch_lag
from tests.virtual_time import VirtualTimeLoop


class BusyLoop(VirtualTimeLoop):
    """An event loop in virtual time that a test can hold up."""

    def hold_up(self, seconds: float) -> None:
        self._virtual.now += seconds


def seen_while(work, **options) -> list[tuple[float, float]]:
    """Watch a loop while ``work(loop)`` runs in it; return what was reported."""
    seen: list[tuple[float, float]] = []

    async def main() -> None:
        watcher = asyncio.create_task(watch_lag(lambda *lag: seen.append(lag), **options))
        await work(asyncio.get_running_loop())
        watcher.cancel()
        with pytest.raises(asyncio.CancelledError):
            await watcher

    with asyncio.Runner(loop_factory=BusyLoop) as runner:
        runner.run(main())
    return seen


def test_a_loop_with_nothing_to_do_has_no_lag():
    async def idle(_loop):
        await asyncio.sleep(1.05)

    started = time.monotonic()
    assert seen_while(idle) == [(pytest.approx(0.0, abs=1e-9),) * 2] * 10
    assert time.monotonic() - started < 0.5


def test_a_stall_is_reported_once_with_its_whole_length():
    async def stall(loop):
        await asyncio.sleep(0.15)
        loop.hold_up(0.47)  # the look that was due at 0.2 comes at 0.62
        await asyncio.sleep(0.25)

    lags = [round(lag, 3) for lag, _ in seen_while(stall)]
    assert lags == [0.0, 0.42, 0.0, 0.0]


def test_its_own_delays_do_not_shift_the_schedule():
    async def small_delays(loop):
        for _ in range(10):
            await asyncio.sleep(0.08)
            loop.hold_up(0.03)
        await asyncio.sleep(0.01)

    lags = [lag for lag, _ in seen_while(small_delays)]
    assert len(lags) == 11  # 1.11 s at one look per 0.1 s
    assert max(lags) <= 0.03 + 1e-9


def test_the_peak_stays_for_its_window_and_then_falls():
    async def stall_then_wait(loop):
        await asyncio.sleep(0.05)
        loop.hold_up(0.3)
        await asyncio.sleep(3.0)

    seen = seen_while(stall_then_wait, window_s=1.0)
    peaks = [round(peak, 3) for _, peak in seen]
    assert peaks[0] == 0.25
    assert peaks[:10] == [0.25] * 10
    assert peaks[-1] == 0.0
