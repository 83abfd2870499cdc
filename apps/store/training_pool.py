"""The pool that adapters learn from, and its batches.

A row goes with its call (``letting_go.py``). Once a batch is over, the
pool keeps its examples for replay and nothing else has their words.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, func, insert, select, update

from apps.core.clock import utc_hour, utc_now
from apps.core.ids import DEFAULT_TENANT
from apps.store.adapter_tables import training_batches, training_pool
from apps.store.call_tables import calls
from apps.store.dialect import insert_new
from apps.store.schema import meta

READY, REVIEW, REJECTED, USED = "ready", "review", "rejected", "used"
RUNNING, TRAINED, FAILED, STABLE = "running", "trained", "failed", "stable"


@dataclass(frozen=True, slots=True)
class PoolRow:
    """One example of the pool.

    Attributes:
        example_id: The same for the same turn.
        call_ref: Keyed hash of the call's id.
        domain: The call's profile.
        example: As ``TrainingExample`` says it; empty for one that is rejected.
        state: ``ready``, ``review``, ``rejected`` or ``used``.
        why: In a sentence, of nobody's words.
        batch_id: The batch that has it.
        tenant: Whose it is.
        seq: 0 until it is stored.
    """

    example_id: str
    call_ref: str
    domain: str
    example: Mapping[str, object]
    state: str
    why: str = ""
    batch_id: str | None = None
    tenant: str = DEFAULT_TENANT
    seq: int = 0


@dataclass(frozen=True, slots=True)
class BatchRow:
    """One batch.

    Attributes:
        batch_id: Its id.
        domain: The profile whose calls it is of.
        objective: ``sft`` or ``kto``.
        fresh: How many examples no batch had before.
        replayed: How many are there again.
        mean_quality: Mean feedback score of the fresh ones.
        state: ``running``, ``trained``, ``failed``, or ``stable`` once its adapter was confirmed.
        adapter_id: What was made of it.
        why: In a sentence.
        at_hour: When it was begun.
        tenant: Whose it is.
    """

    batch_id: str
    domain: str
    objective: str
    fresh: int
    replayed: int
    mean_quality: float
    state: str = RUNNING
    adapter_id: str | None = None
    why: str = ""
    at_hour: datetime | None = None
    tenant: str = DEFAULT_TENANT


def put_into_pool(conn: Connection, rows: Sequence[PoolRow]) -> int:
    """Add examples; one that is there already is passed over. Returns how many are new."""
    hour = utc_hour(utc_now())
    return insert_new(
        conn,
        training_pool,
        [
            {
                "example_id": row.example_id,
                "tenant": row.tenant,
                "call_ref": row.call_ref,
                "domain": row.domain,
                "example": dict(row.example),
                "state": row.state,
                "why": row.why,
                "at_hour": hour,
            }
            for row in rows
        ],
    )


def pool_rows(
    conn: Connection,
    state: str,
    *,
    domain: str | None = None,
    tenant: str = DEFAULT_TENANT,
    limit: int | None = None,
) -> list[PoolRow]:
    """Return the examples in a state, the newest first."""
    pool = training_pool.c
    query = select(training_pool).where(pool.state == state, pool.tenant == tenant)
    if domain is not None:
        query = query.where(pool.domain == domain)
    return [_row(r) for r in conn.execute(query.order_by(pool.seq.desc()).limit(limit))]


def pool_counts(conn: Connection, *, tenant: str = DEFAULT_TENANT) -> dict[tuple[str, str], int]:
    """Return how many examples there are, by domain and state."""
    pool = training_pool.c
    rows = conn.execute(
        select(pool.domain, pool.state, func.count())
        .where(pool.tenant == tenant)
        .group_by(pool.domain, pool.state)
        .order_by(pool.domain, pool.state)
    )
    return {(domain, state): count for domain, state, count in rows}


def review(conn: Connection, example_id: str, *, approved: bool, why: str = "") -> bool:
    """Let an example in, or keep it out for good; what is rejected loses its words.

    Returns:
        False when it does not wait for a review.
    """
    changed: dict[str, object] = {"state": READY if approved else REJECTED, "why": why}
    if not approved:
        changed["example"] = {}
    pool = training_pool.c
    return (
        conn.execute(
            update(training_pool)
            .where(pool.example_id == example_id, pool.state == REVIEW)
            .values(**changed)
        ).rowcount
        == 1
    )


def rescore(conn: Connection, call_ref: str, score: float) -> int:
    """Give a call's unused examples another feedback score. Returns how many were changed."""
    pool = training_pool.c
    mine = (pool.call_ref == call_ref, pool.state.in_((READY, REVIEW)))
    found = conn.execute(select(pool.seq, pool.example).where(*mine)).all()
    for seq, example in found:
        changed = {**example, "feedback_score": score}
        conn.execute(update(training_pool).where(pool.seq == seq).values(example=changed))
    return len(found)


def subjects_in_pool(conn: Connection) -> list[tuple[str, str | None, str]]:
    """Return each call that the pool has turns of: its reference, its subject, its tenant."""
    found = conn.execute(
        select(calls.c.call_ref, calls.c.subject, calls.c.tenant).where(
            calls.c.call_ref.in_(select(training_pool.c.call_ref))
        )
    )
    return [(r.call_ref, r.subject, r.tenant) for r in found]


def take_out(conn: Connection, call_ref: str) -> int:
    """Delete a call's turns, whatever they are at. Returns how many there were."""
    return conn.execute(delete(training_pool).where(training_pool.c.call_ref == call_ref)).rowcount


def begin_batch(conn: Connection, batch: BatchRow, example_ids: Collection[str]) -> None:
    """Note that a batch begins, and that its examples are in use."""
    conn.execute(
        insert(training_batches).values(
            batch_id=batch.batch_id,
            tenant=batch.tenant,
            domain=batch.domain,
            objective=batch.objective,
            fresh=batch.fresh,
            replayed=batch.replayed,
            mean_quality=batch.mean_quality,
            state=RUNNING,
            adapter_id=None,
            why=batch.why,
            at_hour=utc_hour(batch.at_hour or utc_now()),
        )
    )
    pool = training_pool.c
    conn.execute(
        update(training_pool)
        .where(pool.example_id.in_(list(example_ids)), pool.state == READY)
        .values(state=USED, batch_id=batch.batch_id)
    )


def end_batch(
    conn: Connection, batch_id: str, state: str, *, adapter_id: str | None = None, why: str = ""
) -> bool:
    """Note what became of a batch; where it failed, its examples are free again.

    Returns:
        False when it is over already.
    """
    batches, pool = training_batches.c, training_pool.c
    ended = conn.execute(
        update(training_batches)
        .where(batches.batch_id == batch_id, batches.state == RUNNING)
        .values(state=state, adapter_id=adapter_id, why=why)
    ).rowcount
    if ended and state == FAILED:
        conn.execute(
            update(training_pool)
            .where(pool.batch_id == batch_id, pool.state == USED)
            .values(state=READY, batch_id=None)
        )
    return ended == 1


def mark_stable(conn: Connection, adapter_ids: Collection[str]) -> int:
    """Note that these adapters' batches turned out well. Returns how many are new so."""
    batches = training_batches.c
    return conn.execute(
        update(training_batches)
        .where(batches.adapter_id.in_(list(adapter_ids)), batches.state == TRAINED)
        .values(state=STABLE)
    ).rowcount


def stable_rows(
    conn: Connection, domain: str, *, tenant: str = DEFAULT_TENANT, limit: int = 2000
) -> list[PoolRow]:
    """Return examples of batches that turned out well, the newest first."""
    pool, batches = training_pool.c, training_batches.c
    query = (
        select(training_pool)
        .join(training_batches, batches.batch_id == pool.batch_id)
        .where(pool.domain == domain, pool.tenant == tenant, batches.state == STABLE)
        .order_by(pool.seq.desc())
        .limit(limit)
    )
    return [_row(r) for r in conn.execute(query)]


def batches_of(
    conn: Connection, domain: str | None = None, *, tenant: str = DEFAULT_TENANT
) -> list[BatchRow]:
    """Return the batches, the newest first."""
    batches = training_batches.c
    query = select(training_batches).where(batches.tenant == tenant)
    if domain is not None:
        query = query.where(batches.domain == domain)
    return [
        BatchRow(
            r.batch_id,
            r.domain,
            r.objective,
            r.fresh,
            r.replayed,
            r.mean_quality,
            r.state,
            r.adapter_id,
            r.why,
            r.at_hour,
            r.tenant,
        )
        for r in conn.execute(query.order_by(batches.seq.desc()))
    ]


_CURSOR = "training_pool_seen"


def read_cursor(conn: Connection) -> int:
    """Return the ``seq`` of the last feedback event that the pool has seen."""
    found = conn.execute(select(meta.c.value).where(meta.c.key == _CURSOR)).scalar()
    return int(found or 0)


def write_cursor(conn: Connection, seq: int) -> None:
    """Note the last feedback event that the pool has seen."""
    changed = conn.execute(update(meta).where(meta.c.key == _CURSOR).values(value=str(seq)))
    if not changed.rowcount:
        conn.execute(insert(meta).values(key=_CURSOR, value=str(seq)))


def _row(row: object) -> PoolRow:
    names = ("example_id", "call_ref", "domain", "example", "state", "why", "batch_id", "tenant")
    return PoolRow(**{n: getattr(row, n) for n in (*names, "seq")})
