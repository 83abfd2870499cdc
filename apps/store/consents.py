"""Who agreed to be called, for what, and who is never to be called: an append-only record.

Whether somebody may be called now is a fold of what was recorded about them. Numbers are not
stored: a subject is the keyed hash of one, so that the record tells nothing to who reads it alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, delete, insert, select

from apps.core.clock import utc_hour, utc_now
from apps.core.ids import DEFAULT_TENANT
from apps.store.call_tables import consents

EVERY_PURPOSE = "*"
"""A consent to be called for anything, or a revocation of all consents."""


class ConsentAction(StrEnum):
    """What was recorded: a consent and its end, an entry of the do-not-call list and its end."""

    GIVEN = "given"
    REVOKED = "revoked"
    BLOCKED = "blocked"
    UNBLOCKED = "unblocked"


@dataclass(frozen=True, slots=True)
class ConsentRow:
    """One record.

    Attributes:
        subject: The callee's pseudonymous key.
        action: What happened.
        purpose: For which purpose; `EVERY_PURPOSE` for all, and where it is about blocking.
        source: Where it comes from, for example ``web form 12 March``; nothing personal.
        at_hour: When it was recorded, cut to the hour, UTC.
        tenant: Whose record it is.
    """

    subject: str
    action: ConsentAction
    purpose: str = EVERY_PURPOSE
    source: str = ""
    at_hour: datetime | None = None
    tenant: str = DEFAULT_TENANT


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether somebody may be called.

    Attributes:
        consent: The record by which they agreed, or None.
        blocked: They are on the do-not-call list.
    """

    consent: ConsentRow | None = None
    blocked: bool = False


def record(conn: Connection, row: ConsentRow) -> None:
    """Append one record."""
    conn.execute(
        insert(consents).values(
            tenant=row.tenant,
            subject=row.subject,
            action=row.action.value,
            purpose=row.purpose,
            source=row.source,
            at_hour=utc_hour(row.at_hour or utc_now()),
        )
    )


def records_of(
    conn: Connection, subject: str | None = None, *, tenant: str = DEFAULT_TENANT
) -> list[ConsentRow]:
    """Return what was recorded, the oldest first: of one subject, or of all."""
    query = select(consents).where(consents.c.tenant == tenant).order_by(consents.c.seq)
    if subject is not None:
        query = query.where(consents.c.subject == subject)
    return [
        ConsentRow(r.subject, ConsentAction(r.action), r.purpose, r.source, r.at_hour, r.tenant)
        for r in conn.execute(query)
    ]


def standing(rows: Iterable[ConsentRow], purpose: str) -> Standing:
    """Fold one subject's records, the oldest first, into where they stand for a purpose."""
    consent: ConsentRow | None = None
    blocked = False
    for row in rows:
        concerned = row.purpose in (purpose, EVERY_PURPOSE)
        match row.action:
            case ConsentAction.BLOCKED:
                blocked = True
            case ConsentAction.UNBLOCKED:
                blocked = False
            case ConsentAction.GIVEN if concerned:
                consent = row
            case ConsentAction.REVOKED if concerned:
                consent = None
    return Standing(consent, blocked)


def standing_of(
    conn: Connection, subject: str, purpose: str, *, tenant: str = DEFAULT_TENANT
) -> Standing:
    """Return where a subject stands for a purpose."""
    return standing(records_of(conn, subject, tenant=tenant), purpose)


def forget(conn: Connection, subject: str, *, tenant: str = DEFAULT_TENANT) -> int:
    """Delete what was recorded about a subject, except that they are not to be called.

    Returns:
        How many records went.
    """
    mine = (consents.c.tenant == tenant, consents.c.subject == subject)
    kept = (ConsentAction.BLOCKED.value, ConsentAction.UNBLOCKED.value)
    return conn.execute(delete(consents).where(*mine, consents.c.action.not_in(kept))).rowcount
