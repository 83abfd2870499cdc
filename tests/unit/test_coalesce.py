"""Doing once what many ask for: who asks sees a run that began after they asked."""

from __future__ import annotations

import asyncio

import pytest

from apps.core.coalesce import Coalesced


class Slow:
    """Counts its runs; each lasts until it is let go on."""

    def __init__(self) -> None:
        self.began = 0
        self.go_on = asyncio.Event()

    async def __call__(self) -> None:
        self.began += 1
        await self.go_on.wait()


async def test_many_who_ask_at_once_cost_two_runs_at_most() -> None:
    slow = Slow()
    once = Coalesced(slow)
    early = [asyncio.create_task(once()) for _ in range(5)]
    await asyncio.sleep(0.01)
    assert slow.began == 1
    late = [asyncio.create_task(once()) for _ in range(5)]
    await asyncio.sleep(0.01)
    assert slow.began == 1  # the second run waits for the first
    slow.go_on.set()
    await asyncio.gather(*early, *late)
    assert slow.began == 2


async def test_one_after_the_other_everybody_gets_a_run() -> None:
    slow = Slow()
    slow.go_on.set()
    once = Coalesced(slow)
    for n in range(3):
        await once()
        assert slow.began == n + 1


async def test_an_error_is_every_waiters_and_the_next_run_is_a_new_one() -> None:
    fails = [True, False]

    async def sometimes() -> None:
        if fails.pop(0):
            raise ValueError("no")

    once = Coalesced(sometimes)
    results = await asyncio.gather(once(), once(), return_exceptions=True)
    assert [type(result) for result in results] == [ValueError, ValueError]
    await once()


async def test_who_gives_up_does_not_take_it_from_the_others() -> None:
    slow = Slow()
    once = Coalesced(slow)
    first, second = asyncio.create_task(once()), asyncio.create_task(once())
    await asyncio.sleep(0)
    first.cancel()
    slow.go_on.set()
    await second
    assert slow.began == 1
    with pytest.raises(asyncio.CancelledError):
        await first
