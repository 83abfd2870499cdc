"""Appends rows in batches from one task, so that nobody who puts one waits for the disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Generic, Self, TypeVar

import structlog
from sqlalchemy import Connection

from apps.core.errors import StoreError
from apps.store.database import Database

log = structlog.get_logger(__name__)

Row = TypeVar("Row")
MAX_WAITING = 4096
BATCH = 64


class BatchWriter(Generic[Row]):
    """Appends rows to the store; use as ``async with``.

    What was put before the block is left is written before it is left. A batch shares its commit
    with whatever else is written at that moment.

    Args:
        db: Where to.
        append: Appends rows; in a transaction.
        name: What the rows are, for the log.
        flush_ms: How long the first row of a batch waits for company.
        on_lost: Told how many rows were lost; may be None.
    """

    def __init__(
        self,
        db: Database,
        append: Callable[[Connection, list[Row]], object],
        name: str,
        *,
        flush_ms: float = 500.0,
        on_lost: Callable[[int], None] | None = None,
    ) -> None:
        self._db, self._append, self._name = db, append, name
        self._flush_s, self._on_lost = flush_ms / 1000, on_lost
        self._queue: asyncio.Queue[Row | None] = asyncio.Queue()  # None: nothing more comes
        self._task: asyncio.Task[None] | None = None
        self.lost = 0
        """Rows that are not stored: too many were waiting, or the store would not take them."""

    async def __aenter__(self) -> Self:
        """Start the task."""
        self._task = asyncio.create_task(self._run(), name=f"{self._name}-writer")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Write what is queued and stop."""
        assert self._task is not None
        self._queue.put_nowait(None)
        await self._task
        if self.lost:
            log.warning("rows_lost", of=self._name, rows=self.lost)

    def put(self, row: Row) -> None:
        """Take one row without waiting; when too many wait, it is counted as lost."""
        if self._queue.qsize() >= MAX_WAITING:
            self._lose(1)
        else:
            self._queue.put_nowait(row)

    async def flush(self) -> None:
        """Wait until everything put so far is on disk, or counted as lost."""
        await self._queue.join()

    async def _run(self) -> None:
        more = True
        while more:
            rows = [await self._queue.get()]
            if rows[0] is not None:
                await asyncio.sleep(self._flush_s if self._queue.qsize() < BATCH else 0)
            while rows[-1] is not None and len(rows) < BATCH and not self._queue.empty():
                rows.append(self._queue.get_nowait())
            more = rows[-1] is not None
            await self._write([row for row in rows if row is not None])
            for _ in rows:
                self._queue.task_done()

    async def _write(self, rows: list[Row]) -> None:
        try:
            await self._db.join(self._append, rows)
        except StoreError as error:
            self._lose(len(rows))
            log.error("rows_not_stored", of=self._name, rows=len(rows), error=error.message)

    def _lose(self, count: int) -> None:
        self.lost += count
        if self._on_lost is not None:
            self._on_lost(count)
