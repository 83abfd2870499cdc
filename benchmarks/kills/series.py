"""A series of kills: a server is started, driven and killed, and what is left is looked at."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from apps.cli.kb_folder import opened
from apps.store.training_pool import batches_of
from benchmarks.kills import checks
from benchmarks.kills.home import Home, make_home
from benchmarks.kills.language_server import language_server
from benchmarks.kills.server import Server, said_by, warm_up
from benchmarks.kills.traffic import Acknowledged, Traffic

_IN_START, _IN_DRAIN = 0.15, 0.15
"""Shares of the kills that come while a server starts, and while it stops by SIGTERM."""
_PATIENCE_S, _LOOK_S = 30.0, 0.05


@dataclass(slots=True)
class Toll:
    """What came of a series.

    Attributes:
        moments: Kills by what the server was at: ``start``, ``work``, ``drain``; ``over`` are
            servers that had ended by themselves before.
        told: What was acknowledged.
        wrong: What must not be, in sentences, each with its run.
        states: How many adapters came to stand in each state.
        batches: How many trainings came to what.
        litter: What is left on the disk at the end.
        seconds: What it took.
    """

    moments: Counter[str] = field(default_factory=Counter)
    told: Acknowledged = field(default_factory=Acknowledged)
    wrong: list[str] = field(default_factory=list)
    states: Counter[str] = field(default_factory=Counter)
    litter: Counter[str] = field(default_factory=Counter)
    batches: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    @property
    def kills(self) -> int:
        """How many servers were killed."""
        return sum(n for moment, n in self.moments.items() if moment != "over")


async def kill_often(
    folder: Path,
    *,
    runs: int,
    seed: int,
    longest_s: float = 2.5,
    until_s: float = float("inf"),
    say: Callable[[str], None] = lambda _: None,
) -> Toll:
    """Kill so many servers one after another, and let a last one stop by itself.

    Args:
        folder: An empty folder.
        runs: How many.
        seed: Of the moments and of what is done.
        longest_s: A server works for so long at most.
        until_s: No further server is started after so many seconds.
        say: Told how it goes.

    Returns:
        What came of it.
    """
    began = time.monotonic()
    toll, moments = Toll(), random.Random(seed)
    await asyncio.to_thread(warm_up)
    async with language_server() as url:
        home = make_home(folder, url, seed)
        try:
            async with opened(home.settings) as kb:
                traffic = Traffic(home, kb, seed)
                toll.told = traffic.told
                once: dict[str, tuple[str, ...]] = {}
                await traffic.write_documents()
                for run in range(1, runs + 1):
                    if time.monotonic() - began > until_s:
                        break
                    moment = await _one_life(home, traffic, moments, longest_s)
                    toll.moments[moment] += 1
                    wrong = await _looked(home, traffic.told, once)
                    toll.wrong += [f"run {run} ({moment}): {sentence}" for sentence in wrong]
                    say(f"{run} {moment}: {toll.told.counts()} wrong {len(toll.wrong)} {wrong[:1]}")
                toll.wrong += await _last_life(home, traffic, once)
            toll.litter = checks.litter(home)
            records = home.registry.known().records.values()
            toll.states = Counter(record.state.value for record in records)
            with home.db.reading() as conn:
                toll.batches = Counter(batch.state for batch in batches_of(conn))
        finally:
            home.close()
    toll.seconds = time.monotonic() - began
    return toll


async def _one_life(home: Home, traffic: Traffic, moments: random.Random, longest_s: float) -> str:
    """Start a server, drive it, and kill it; returns what it was at."""
    at, after_s = moments.random(), moments.uniform(0.0, longest_s)
    server = Server(home)
    if at < _IN_START:
        await asyncio.sleep(after_s)
        return ("work" if server.url else "start") if await server.kill() else "over"
    if not await server.ready():
        await server.ended()
        return "over"
    async with _Driven(traffic, server):
        await asyncio.sleep(after_s)
        if at < _IN_START + _IN_DRAIN:
            server.terminate()
            await asyncio.sleep(moments.uniform(0.0, 1.0))
            return "drain" if await server.kill() else "over"
        return "work" if await server.kill() else "over"


class _Driven:
    """Drives a server, and writes documents meanwhile; what is under way there is finished."""

    def __init__(self, traffic: Traffic, server: Server) -> None:
        self._traffic, self._server = traffic, server

    async def __aenter__(self) -> None:
        self._calls = asyncio.create_task(self._traffic.drive(self._server))
        self._writes = asyncio.create_task(self._traffic.write_documents())

    async def __aexit__(self, *_: object) -> None:
        await self._writes
        self._calls.cancel()
        with suppress(asyncio.CancelledError):
            await self._calls


async def _last_life(home: Home, traffic: Traffic, once: dict[str, tuple[str, ...]]) -> list[str]:
    """Let a last server work and stop by itself; then nothing may be open any more."""
    checks.age_drafts(home)
    server = Server(home)
    try:
        if not await server.ready():
            return ["the last server did not start"]
        async with _Driven(traffic, server):
            await _all_kinds(traffic.told)
            server.terminate()
            status = await server.ended()
    finally:
        await server.kill()
    wrong = [] if status == 0 else [f"the last server ended with status {status}"]
    wrong += await _looked(home, traffic.told, once)
    wrong += await asyncio.to_thread(checks.no_call_open, home)
    wrong += await asyncio.to_thread(_rebuilt, home)
    # Drafts of snapshots go when these are written, for which a short last life has no cause.
    wrong += [f"{n} {what} are left" for what, n in checks.litter(home).items() if n]
    return [f"at the end: {sentence}" for sentence in wrong]


async def _all_kinds(told: Acknowledged) -> None:
    """Wait until something of every kind was acknowledged, however busy the machine is."""
    for _ in range(int(_PATIENCE_S / _LOOK_S)):
        if all(told.counts().values()):
            return
        await asyncio.sleep(_LOOK_S)


def _rebuilt(home: Home) -> list[str]:
    """Check by `tom rl rebuild` itself."""
    said = said_by(home, "rl", "rebuild")
    return [] if "the same as before" in said else [f"`tom rl rebuild` says: {said.strip()}"]


async def _looked(home: Home, told: Acknowledged, once: dict[str, tuple[str, ...]]) -> list[str]:
    wrong = await asyncio.to_thread(checks.acknowledged_once, home, told)
    for check in checks.CHECKS:
        wrong += await asyncio.to_thread(check, home)
    return wrong + await checks.documents_whole(home, once)
