"""Writes what answers cost, in batches from one task, so that no answer waits for the disk."""

from __future__ import annotations

import asyncio
from types import TracebackType

import structlog

from apps.core.errors import StoreError
from apps.store.database import Database
from apps.store.llm_usage import UsageRow, append_usage

log = structlog.get_logger(__name__)

MAX_WAITING = 4096
BATCH = 64


class UsageWriter:
    """Appends usage rows to the store; use as ``async with``.

    What was put before the block is left is written before it is left. A batch shares its commit
    with whatever else is written at that moment.

    Args:
        db: Where to.
        flush_ms: How long the first row of a batch waits for company.
    """

    def __init__(self, db: Database, *, flush_ms: float = 500.0) -> None:
        self._db, self._flush_s = db, flush_ms / 1000
        self._queue: asyncio.Queue[UsageRow | None] = asyncio.Queue()  # None: nothing more comes
        self._task: asyncio.Task[None] | None = None
        self.lost = 0
        """Rows that are not stored: too many were waiting, or the store would not take them."""

    async def __aenter__(self) -> UsageWriter:
        """Start the task."""
        self._task = asyncio.create_task(self._run(), name="usage-writer")
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
            log.warning("llm_usage_incomplete", lost=self.lost)

    def put(self, row: UsageRow) -> None:
        """Take one row without waiting; when too many wait, it is counted as lost."""
        if self._queue.qsize() >= MAX_WAITING:
            self.lost += 1
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

    async def _write(self, rows: list[UsageRow]) -> None:
        try:
            await self._db.join(append_usage, rows)
        except StoreError as error:
            self.lost += len(rows)
            log.error("llm_usage_not_stored", rows=len(rows), error=error.message)
