"""The attempts at outgoing calls: each with its decision before it is dialled, and its result."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select, update

from apps.core.clock import utc_hour, utc_now
from apps.core.ids import DEFAULT_TENANT
from apps.store.call_tables import outgoing_attempts
from apps.store.dialect import insert_new

DIALLED = "dial"
"""The decision of an attempt that was made; any other is the code by which it was refused."""


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """One attempt.

    Attributes:
        outgoing_ref: Keyed hash of the outgoing call's id.
        number: Which attempt at it, from 1.
        subject: The callee's pseudonymous key; None where the number was none.
        profile: Who calls.
        language: ``de`` or ``en``.
        purpose: Why.
        via: By which dialer.
        decision: `DIALLED`, or why it was not.
        result: What became of it; None while it lives (or when its server died with it).
        call_ref: The call that was held, where there was one.
        at_hour: When, cut to the hour, UTC.
        tenant: Whose call it is.
    """

    outgoing_ref: str
    number: int
    subject: str | None
    profile: str
    language: str
    purpose: str
    via: str
    decision: str
    result: str | None = None
    call_ref: str | None = None
    at_hour: datetime | None = None
    tenant: str = DEFAULT_TENANT


def begin_attempt(conn: Connection, row: AttemptRow) -> bool:
    """Note an attempt and its decision.

    Returns:
        False when this attempt is noted already (nothing changes).
    """
    values = {
        "outgoing_ref": row.outgoing_ref,
        "number": row.number,
        "tenant": row.tenant,
        "subject": row.subject,
        "profile": row.profile,
        "language": row.language,
        "purpose": row.purpose,
        "via": row.via,
        "decision": row.decision,
        "at_hour": utc_hour(row.at_hour or utc_now()),
    }
    return insert_new(conn, outgoing_attempts, [values]) == 1


def end_attempt(
    conn: Connection, outgoing_ref: str, number: int, *, result: str, call_ref: str | None = None
) -> None:
    """Note what became of an attempt; one that is not known (any more) is passed over."""
    mine = (outgoing_attempts.c.outgoing_ref == outgoing_ref, outgoing_attempts.c.number == number)
    conn.execute(update(outgoing_attempts).where(*mine).values(result=result, call_ref=call_ref))


def dialled_since(
    conn: Connection, subject: str, since: datetime, *, tenant: str = DEFAULT_TENANT
) -> int:
    """Return how often a subject was dialled in or after the hour of a moment."""
    columns = outgoing_attempts.c
    query = select(func.count()).where(
        columns.tenant == tenant,
        columns.subject == subject,
        columns.decision == DIALLED,
        columns.at_hour >= utc_hour(since),
    )
    return int(conn.execute(query).scalar_one())


def attempts_at(conn: Connection, outgoing_ref: str) -> list[AttemptRow]:
    """Return the attempts at one outgoing call, in order."""
    query = select(outgoing_attempts).where(outgoing_attempts.c.outgoing_ref == outgoing_ref)
    rows = conn.execute(query.order_by(outgoing_attempts.c.number))
    return [
        AttemptRow(
            r.outgoing_ref,
            r.number,
            r.subject,
            r.profile,
            r.language,
            r.purpose,
            r.via,
            r.decision,
            r.result,
            r.call_ref,
            r.at_hour,
            r.tenant,
        )
        for r in rows
    ]
