"""Writes event logs in batches from one task, so that a live call never waits for the disk."""

from __future__ import annotations

import asyncio
from types import TracebackType

import structlog

from apps.core.errors import StoreError
from apps.core.events import LogRecord
from apps.store.calls import append_events
from apps.store.database import Database

log = structlog.get_logger(__name__)

Entry = tuple[str, LogRecord]


class EventWriter:
    """Batches events and appends them to the store; use as ``async with``.

    What was put before the block is left is written before it is left. When the disk cannot
    follow, the queue fills up and further events are refused and counted, as ``overflows``.

    Args:
        db: Where to.
        max_queued: Events that may wait.
        batch: Events written at once.
        flush_ms: How long the first event of a batch waits for company.
    """

    def __init__(
        self, db: Database, *, max_queued: int = 4096, batch: int = 64, flush_ms: float = 500.0
    ) -> None:
        self._db = db
        self._queue: asyncio.Queue[Entry | None] = asyncio.Queue()  # None: nothing more comes
        self._max_queued = max_queued
        self._batch = batch
        self._flush_s = flush_ms / 1000
        self._task: asyncio.Task[None] | None = None
        self.written = 0
        """Events that are on disk."""
        self.overflows = 0
        """Events refused because the queue was full."""
        self.lost = 0
        """Events that the store would not take: its disk failed, or their call was deleted."""

    async def __aenter__(self) -> EventWriter:
        """Start the task."""
        self._task = asyncio.create_task(self._run(), name="event-writer")
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
        if self.overflows or self.lost:
            log.warning("event_log_incomplete", overflows=self.overflows, lost=self.lost)

    def put(self, call_ref: str, record: LogRecord) -> bool:
        """Take one event without waiting.

        Returns:
            False when the queue is full; the event is counted as overflown and not written.
        """
        if self._queue.qsize() >= self._max_queued:
            self.overflows += 1
            return False
        self._queue.put_nowait((call_ref, record))
        return True

    async def flush(self) -> None:
        """Wait until everything put so far is on disk (or counted as lost)."""
        await self._queue.join()

    async def _run(self) -> None:
        more = True
        while more:
            batch, more = await self._next_batch()
            await self._write(batch)
            for _ in range(len(batch) + (not more)):
                self._queue.task_done()

    async def _next_batch(self) -> tuple[list[Entry], bool]:
        """Return the next events, and whether there may be more after them."""
        batch: list[Entry] = []
        entry = await self._queue.get()
        deadline = asyncio.get_running_loop().time() + self._flush_s
        while entry is not None:
            batch.append(entry)
            if len(batch) >= self._batch:
                return batch, True
            try:
                async with asyncio.timeout_at(deadline):
                    entry = await self._queue.get()
            except TimeoutError:
                return batch, True
        return batch, False

    async def _write(self, batch: list[Entry]) -> None:
        if not batch:
            return
        try:
            stored = await self._db.run(append_events, batch)
        except StoreError as error:
            if len(batch) > 1:  # one event that cannot be stored must not take others with it
                for entry in batch:
                    await self._write([entry])
                return
            stored = 0
            log.error("event_not_stored", kind=batch[0][1].kind, error=error.message)
        self.written += stored
        self.lost += len(batch) - stored
