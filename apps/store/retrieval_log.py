"""What was looked up: a row a retrieval, append-only, with a keyed hash in the question's place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select

from apps.core.clock import utc_hour, utc_now
from apps.core.ids import DEFAULT_TENANT
from apps.store.batch_writer import BatchWriter
from apps.store.database import Database
from apps.store.knowledge_tables import rag_retrieval_log


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


class RetrievalWriter(BatchWriter[RetrievalRow]):
    """Appends retrievals, so that no turn waits; see ``BatchWriter``."""

    def __init__(
        self,
        db: Database,
        *,
        flush_ms: float = 500.0,
        on_lost: Callable[[int], None] | None = None,
    ) -> None:
        super().__init__(db, append_retrievals, "retrievals", flush_ms=flush_ms, on_lost=on_lost)
