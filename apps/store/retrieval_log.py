"""What was looked up: a row a retrieval, append-only, with a keyed hash in the question's place."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from types import TracebackType

import structlog
from sqlalchemy import Connection, delete, insert, select

from apps.core.clock import utc_hour, utc_now
from apps.core.errors import StoreError
from apps.core.ids import DEFAULT_TENANT
from apps.store.database import Database
from apps.store.knowledge_tables import rag_retrieval_log

MAX_WAITING = 1024
BATCH = 64

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RetrievalRow:
    """One retrieval.

    Attributes:
        query_hash: Keyed hash of the question's words: tells equal questions, and no words.
        profile: Whose knowledge was asked.
        language: ``de`` or ``en``.
        spaces: The knowledge spaces searched for documents.
        candidates: What it gave, best first: each passage's ``id`` and ``score``.
        stages_ms: How long each stage took.
        found: How many passages cover the question.
        deadline_hit: Whether not all came in time.
        call_ref: Keyed hash of the call's id; None outside a call, or once it is let go of.
        tenant: Whose call it was.
        at_hour: When, cut to the hour.
    """

    query_hash: str
    profile: str
    language: str
    spaces: Sequence[str]
    candidates: Sequence[Mapping[str, object]]
    stages_ms: Mapping[str, float]
    found: int
    deadline_hit: bool
    call_ref: str | None = None
    tenant: str = DEFAULT_TENANT
    at_hour: datetime = field(default_factory=utc_now)


def append_retrievals(conn: Connection, rows: Sequence[RetrievalRow]) -> None:
    """Append rows."""
    if rows:
        conn.execute(insert(rag_retrieval_log).inline(), [_as_row(row) for row in rows])


def retrievals_of(conn: Connection, call_ref: str) -> list[RetrievalRow]:
    """Return a call's retrievals, oldest first."""
    table = rag_retrieval_log.c
    names = list(RetrievalRow.__dataclass_fields__)
    rows = conn.execute(
        select(*(table[name] for name in names))
        .where(table.call_ref == call_ref)
        .order_by(table.seq)
    )
    return [RetrievalRow(**row._mapping) for row in rows]


def purge_retrievals(conn: Connection, before: datetime, *, tenant: str | None = None) -> int:
    """Delete what is from before an hour, of one tenant or of all; returns how many rows."""
    table = rag_retrieval_log
    old = delete(table).where(table.c.at_hour < utc_hour(before))
    if tenant is not None:
        old = old.where(table.c.tenant == tenant)
    return conn.execute(old).rowcount


def _as_row(row: RetrievalRow) -> dict[str, object]:
    return {
        **asdict(row),
        "spaces": list(row.spaces),
        "candidates": [dict(candidate) for candidate in row.candidates],
        "stages_ms": dict(row.stages_ms),
        "at_hour": utc_hour(row.at_hour),
    }


class RetrievalWriter:
    """Appends rows in batches from one task, so that no turn waits; use as ``async with``.

    What was put before the block is left is written before it is left.

    Args:
        db: Where to.
        flush_ms: How long the first row of a batch waits for company.
        on_lost: Told how many rows were lost; may be None.
    """

    def __init__(
        self,
        db: Database,
        *,
        flush_ms: float = 500.0,
        on_lost: Callable[[int], None] | None = None,
    ) -> None:
        self._db, self._flush_s, self._on_lost = db, flush_ms / 1000, on_lost
        self._queue: asyncio.Queue[RetrievalRow | None] = asyncio.Queue()  # None: no more comes
        self._task: asyncio.Task[None] | None = None
        self.lost = 0
        """Rows that are not stored: too many were waiting, or the store would not take them."""

    async def __aenter__(self) -> RetrievalWriter:
        """Start the task."""
        self._task = asyncio.create_task(self._run(), name="retrieval-writer")
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

    def put(self, row: RetrievalRow) -> None:
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

    async def _write(self, rows: list[RetrievalRow]) -> None:
        try:
            await self._db.join(append_retrievals, rows)
        except StoreError as error:
            self._lose(len(rows))
            log.error("retrievals_not_stored", rows=len(rows), error=error.message)

    def _lose(self, count: int) -> None:
        self.lost += count
        if self._on_lost is not None:
            self._on_lost(count)
