"""One writer per process: what waits to be written at the same moment shares one commit.

A commit costs a forced write to the disk, and with several processes a turn at the one writer's
place. Whoever waits for it meanwhile may be joined to it; nobody hears that something is stored
before the transaction that holds it is committed.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from apps.core.errors import StoreError

T = TypeVar("T")

Transaction = Callable[[], AbstractContextManager[Connection]]

MAX_JOINED = 64
"""How many pieces of work share one transaction at most: it is what a decision may wait for."""


@dataclass(frozen=True, slots=True)
class _Job:
    """One piece of work, and who waits for it."""

    work: Callable[[Connection], Any]
    shares: bool
    waiter: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop
    context: contextvars.Context = field(default_factory=contextvars.copy_context)

    def run(self, conn: Connection) -> Any:
        return self.context.run(self.work, conn)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What became of a piece of work: its result, or why it has none."""

    result: Any = None
    error: BaseException | None = None


class GroupCommit:
    """Runs work in write transactions on a thread of its own, in the order in which it came.

    Args:
        transaction: Opens a write transaction: committed at its end, or undone and ``StoreError``.
        max_joined: How many pieces of work may share one.
    """

    def __init__(self, transaction: Transaction, *, max_joined: int = MAX_JOINED) -> None:
        self._transaction = transaction
        self._max_joined = max_joined
        self._jobs: deque[_Job] = deque()
        self._guard = threading.Lock()
        self._draining = False
        self._thread: ThreadPoolExecutor | None = None

    async def run(self, work: Callable[[Connection], T], *, shares: bool) -> T:
        """Run a piece of work; it is committed when this returns.

        Args:
            work: What to do. It must not touch what belongs to an event loop. One that shares may
                be run a second time, after its first run was undone, and must not remember what
                it has read: its neighbours' rows are not committed yet.
            shares: Whether it may share a transaction. Its own failure undoes it alone.

        Raises:
            StoreError: It is not stored.
        """
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[T] = loop.create_future()
        with self._guard:
            self._jobs.append(_Job(work, shares, waiter, loop))
            if not self._draining:
                self._draining = True
                self._start().submit(self._drain)
        return await waiter

    def close(self) -> None:
        """Finish what is waiting, and let go of the thread."""
        with self._guard:
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.shutdown(wait=True)

    def _start(self) -> ThreadPoolExecutor:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "store-writer")
        return self._thread

    def _drain(self) -> None:
        while jobs := self._next():
            try:
                outcomes = self._together(jobs) if len(jobs) > 1 else [self._alone(jobs[0])]
            except BaseException as error:  # whoever waits must hear of it
                outcomes = [_Outcome(error=error)] * len(jobs)
            _tell(jobs, outcomes)

    def _next(self) -> list[_Job]:
        """Return the next job, with its neighbours where it shares; none ends the draining."""
        jobs: list[_Job] = []
        with self._guard:
            while self._jobs and len(jobs) < self._max_joined:
                if jobs and not self._jobs[0].shares:
                    break
                job = self._jobs.popleft()
                if job.waiter.cancelled():
                    continue
                jobs.append(job)
                if not job.shares:
                    break
            if not jobs:
                self._draining = False
        return jobs

    def _together(self, jobs: Sequence[_Job]) -> list[_Outcome]:
        """Run jobs in one transaction; where the store fails in it, each in one of its own."""
        try:
            with self._transaction() as conn:
                return [_undone_alone(conn, job) for job in jobs]
        except StoreError:  # the disk, or one of them: let it be known which
            return [self._alone(job) for job in jobs]

    def _alone(self, job: _Job) -> _Outcome:
        try:
            with self._transaction() as conn:
                result = job.run(conn)
        except Exception as error:
            return _Outcome(error=error)
        return _Outcome(result)


def _undone_alone(conn: Connection, job: _Job) -> _Outcome:
    """Run a job so that its own error undoes it alone; the store's undoes the transaction."""
    conn.exec_driver_sql("SAVEPOINT job")
    try:
        result = job.run(conn)
    except (StoreError, SQLAlchemyError):
        raise
    except Exception as error:
        conn.exec_driver_sql("ROLLBACK TO SAVEPOINT job")
        outcome = _Outcome(error=error)
    else:
        outcome = _Outcome(result)
    conn.exec_driver_sql("RELEASE SAVEPOINT job")
    return outcome


def _tell(jobs: Sequence[_Job], outcomes: Sequence[_Outcome]) -> None:
    """Wake up who waits, each event loop once."""
    for loop in {job.loop for job in jobs}:
        theirs = [pair for pair in zip(jobs, outcomes, strict=True) if pair[0].loop is loop]
        with suppress(RuntimeError):  # the loop was closed: nobody waits any more
            loop.call_soon_threadsafe(_settle, theirs)


def _settle(pairs: Sequence[tuple[_Job, _Outcome]]) -> None:
    for job, outcome in pairs:
        if job.waiter.done():
            continue
        if outcome.error is not None:
            job.waiter.set_exception(outcome.error)
        else:
            job.waiter.set_result(outcome.result)
