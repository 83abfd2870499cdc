"""Calls and their event logs: opened, filled, read, and let go of again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, Row, bindparam, delete, select, update

from apps.core.clock import utc_hour, utc_now
from apps.core.errors import UnknownCall
from apps.core.events import LogRecord
from apps.core.ids import DEFAULT_TENANT
from apps.store.call_tables import call_events, calls, outgoing_attempts
from apps.store.dialect import insert_new
from apps.store.learning_tables import decisions, feedback_events
from apps.store.letting_go import CUT_LOOSE, Kept, let_go
from apps.store.llm_usage import sum_up_before
from apps.store.retrieval_log import purge_retrievals


class CallOrigin(StrEnum):
    """Who called: a person, somebody trying TOM out, or the demonstration."""

    CALLER = "caller"
    TEST = "test"
    DEMO = "demo"


@dataclass(frozen=True, slots=True)
class CallRow:
    """What is kept of a call besides its events.

    Attributes:
        call_ref: Keyed hash of the call's id.
        profile: The profile that it was answered with.
        language: ``de`` or ``en``.
        door: How it came in: ``websocket``, ``text``, ...
        origin: Who called.
        direction: ``incoming``, or ``outgoing`` where TOM called.
        variant: The prompt variant that it was given, once chosen.
        subject: The caller's pseudonymous key, where there is one.
        tenant: Whose call it is.
        started_hour: Cut to the hour, UTC.
        ended_hour: The same; None while it lives, or until its server's death is noticed.
        reason: Why it ended.
        duration_s: How long it lasted.
        server: Which server holds it (``server_life.py``); None where that is not known.
    """

    call_ref: str
    profile: str
    language: str
    door: str
    origin: CallOrigin = CallOrigin.CALLER
    direction: str = "incoming"
    variant: str | None = None
    subject: str | None = None
    tenant: str = DEFAULT_TENANT
    started_hour: datetime | None = None
    ended_hour: datetime | None = None
    reason: str | None = None
    duration_s: float | None = None
    server: str | None = None


def open_call(conn: Connection, call: CallRow) -> bool:
    """Note that a call has begun; its events can be appended from now on.

    Returns:
        False when this call is noted already (nothing changes).
    """
    started = call.started_hour or utc_hour(utc_now())
    row = {
        "call_ref": call.call_ref,
        "tenant": call.tenant,
        "subject": call.subject,
        "profile": call.profile,
        "language": call.language,
        "door": call.door,
        "origin": call.origin.value,
        "direction": call.direction,
        "variant": call.variant,
        "started_hour": utc_hour(started),
        "server": call.server,
    }
    return insert_new(conn, calls, [row]) == 1


def close_call(
    conn: Connection,
    call_ref: str,
    *,
    reason: str,
    duration_s: float,
    variant: str | None = None,
    language: str | None = None,
    ended: datetime | None = None,
) -> None:
    """Note that a call has ended; the first end counts.

    Args:
        conn: A connection.
        call_ref: Which call.
        reason: Why it ended.
        duration_s: How long it lasted.
        variant: The variant that it had, where that was not known at its beginning.
        language: The language that it was held in, where it changed.
        ended: When; now, where it is not said.

    Raises:
        UnknownCall: It was never opened, or is deleted.
    """
    values: dict[str, object] = {
        "ended_hour": utc_hour(ended or utc_now()),
        "reason": reason,
        "duration_s": duration_s,
    }
    if variant is not None:
        values["variant"] = variant
    if language is not None:
        values["language"] = language
    mine = calls.c.call_ref == call_ref
    changed = conn.execute(
        update(calls).where(mine, calls.c.ended_hour.is_(None)).values(**values)
    ).rowcount
    if not changed and conn.execute(select(calls.c.seq).where(mine)).first() is None:
        raise UnknownCall("There is no such call to close.", hint="See `tom calls list`.")


def append_events(conn: Connection, records: Sequence[tuple[str, LogRecord]]) -> int:
    """Append events to the logs of their calls; one that is there already is passed over.

    Args:
        conn: A connection.
        records: Pairs of call_ref and record, of any number of calls.

    Returns:
        How many were stored. Those of a call that has been deleted meanwhile are not.
    """
    refs = {ref for ref, _ in records}
    found = conn.execute(select(calls.c.call_ref, calls.c.tenant).where(calls.c.call_ref.in_(refs)))
    tenants: dict[str, str] = {row.call_ref: row.tenant for row in found}
    rows = [
        {
            "call_ref": ref,
            "seq": record.seq,
            "tenant": tenants[ref],
            "at_ms": record.at_ms,
            "kind": record.kind,
            "turn_id": record.turn_id,
            "data": dict(record.data),
        }
        for ref, record in records
        if ref in tenants
    ]
    return insert_new(conn, call_events, rows)


def load_events(conn: Connection, call_ref: str) -> list[LogRecord]:
    """Return a call's event log in order; empty when there is none."""
    rows = conn.execute(
        select(call_events).where(call_events.c.call_ref == call_ref).order_by(call_events.c.seq)
    )
    return [LogRecord(r.seq, r.at_ms, r.kind, r.turn_id, r.data) for r in rows]


def load_call(conn: Connection, call_ref: str) -> CallRow | None:
    """Return a call, or None."""
    row = conn.execute(select(calls).where(calls.c.call_ref == call_ref)).first()
    return None if row is None else _call(row)


def list_calls(
    conn: Connection, *, tenant: str = DEFAULT_TENANT, limit: int = 50, origin: str | None = None
) -> list[CallRow]:
    """Return the latest calls, the newest first."""
    query = select(calls).where(calls.c.tenant == tenant)
    if origin is not None:
        query = query.where(calls.c.origin == origin)
    rows = conn.execute(query.order_by(calls.c.seq.desc()).limit(limit))
    return [_call(row) for row in rows]


def find_calls(conn: Connection, prefix: str, *, tenant: str = DEFAULT_TENANT) -> list[str]:
    """Return the references that begin with a prefix, as a person may type them."""
    rows = conn.execute(
        select(calls.c.call_ref).where(
            calls.c.tenant == tenant, calls.c.call_ref.startswith(prefix, autoescape=True)
        )
    )
    return [row.call_ref for row in rows]


def calls_of_subject(conn: Connection, subject: str, *, tenant: str = DEFAULT_TENANT) -> list[str]:
    """Return the references of the calls that one caller made, by their pseudonymous key."""
    rows = conn.execute(
        select(calls.c.call_ref).where(calls.c.tenant == tenant, calls.c.subject == subject)
    )
    return [row.call_ref for row in rows]


def has_called(conn: Connection, subject: str, *, tenant: str = DEFAULT_TENANT) -> bool:
    """Tell whether a call of this caller is kept; one that is about to begin is not yet."""
    return conn.execute(_ANY_OF, {"whose": subject, "of": tenant}).first() is not None


_ANY_OF = (  # built once: it is asked at each call's beginning
    select(calls.c.seq)
    .where(calls.c.subject == bindparam("whose"), calls.c.tenant == bindparam("of"))
    .limit(1)
)


def delete_call(conn: Connection, call_ref: str) -> bool:
    """Let go of a call: its events and transcripts go, its learning is cut loose from it.

    Returns:
        False when nothing was known of it.
    """
    kept = let_go(conn, [call_ref])
    return kept.calls > 0 or kept.feedback > 0


def purge_before(
    conn: Connection, cutoff: datetime, *, tenant: str | None = None, batch: int = 200
) -> Kept:
    """Let go of every call, decision and feedback from before an hour (retention).

    What their answers cost is summed up by the hour.

    Args:
        conn: A connection.
        cutoff: What began before this hour goes.
        tenant: Of one tenant alone; of all when None.
        batch: How many calls are let go of by one statement.

    Returns:
        How much went.
    """
    refs: set[str] = set()
    for table, hour in (
        (calls, calls.c.started_hour),
        (decisions, decisions.c.at_hour),
        (feedback_events, feedback_events.c.at_hour),
    ):
        query = select(table.c.call_ref).where(
            hour < utc_hour(cutoff), table.c.call_ref.not_like(CUT_LOOSE + "%")
        )
        if tenant is not None:
            query = query.where(table.c.tenant == tenant)
        refs.update(conn.execute(query).scalars())
    attempts = delete(outgoing_attempts).where(outgoing_attempts.c.at_hour < utc_hour(cutoff))
    if tenant is not None:
        attempts = attempts.where(outgoing_attempts.c.tenant == tenant)
    conn.execute(attempts)
    sum_up_before(conn, cutoff, tenant=tenant)
    purge_retrievals(conn, cutoff, tenant=tenant)
    ordered = sorted(refs)
    parts = [let_go(conn, ordered[i : i + batch]) for i in range(0, len(ordered), batch)]
    return Kept(sum(p.calls for p in parts), sum(p.feedback for p in parts))


def _call(row: Row[tuple[object, ...]]) -> CallRow:
    return CallRow(
        call_ref=row.call_ref,
        profile=row.profile,
        language=row.language,
        door=row.door,
        origin=CallOrigin(row.origin),
        direction=row.direction,
        variant=row.variant,
        subject=row.subject,
        tenant=row.tenant,
        started_hour=row.started_hour,
        ended_hour=row.ended_hour,
        reason=row.reason,
        duration_s=row.duration_s,
        server=row.server,
    )
