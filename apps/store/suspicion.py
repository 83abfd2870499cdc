"""What came before a feedback event, as far as it tells whether somebody cheats; and what is held.

Every query is bounded by an index and a limit: they run inside the transaction in which the event
is appended.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, select

from apps.core.ids import DEFAULT_TENANT
from apps.store.feedback import FeedbackKind, FeedbackRow, event_of
from apps.store.learning_tables import decisions, feedback_events

_TELLS = (FeedbackKind.FEEDBACK.value, FeedbackKind.REVISION.value)
_ENDS = (*_TELLS, FeedbackKind.ABANDONED.value)


@dataclass(frozen=True, slots=True)
class LatestReward:
    """One of a variant's latest sound rewards; ``here`` if its call was held here."""

    reward: float
    subject: str | None
    call_ref: str | None
    rating: int | None
    duration_s: float | None
    here: bool


# Built once: building a statement costs more than asking SQLite with it.
_OF_SUBJECT = (
    select(feedback_events)
    .where(
        feedback_events.c.tenant == bindparam("tenant"),
        feedback_events.c.subject == bindparam("subject"),
        feedback_events.c.kind.in_(bindparam("kinds", expanding=True)),
    )
    .order_by(feedback_events.c.seq.desc())
    .limit(bindparam("most"))
)
_OF_VARIANT = (
    select(
        feedback_events.c.reward,
        feedback_events.c.subject,
        feedback_events.c.call_ref,
        feedback_events.c.rating,
        feedback_events.c.signals["duration_sec"].as_float(),
        decisions.c.seq.is_not(None),
    )
    .outerjoin_from(feedback_events, decisions, decisions.c.call_ref == feedback_events.c.call_ref)
    .where(
        feedback_events.c.tenant == bindparam("tenant"),
        feedback_events.c.variant == bindparam("variant"),
        feedback_events.c.held.is_(None),
        feedback_events.c.kind.in_(_TELLS),
        feedback_events.c.reward.is_not(None),
    )
    .order_by(feedback_events.c.seq.desc())
    .limit(bindparam("most"))
)
_VARIANT_OF_CALL = select(decisions.c.variant).where(decisions.c.call_ref == bindparam("call_ref"))
_ANY_DECISION = select(decisions.c.seq).where(decisions.c.tenant == bindparam("tenant")).limit(1)


def events_of_subject(
    conn: Connection,
    subject: str,
    limit: int,
    *,
    tenant: str = DEFAULT_TENANT,
    abandoned: bool = False,
) -> list[FeedbackRow]:
    """Return a caller's latest rewarded events, held ones too, the newest first.

    Args:
        conn: A connection.
        subject: The caller's pseudonym.
        limit: Most that are returned.
        tenant: Whose caller.
        abandoned: Calls that ended before their first answer too.
    """
    kinds = _ENDS if abandoned else _TELLS
    given = {"subject": subject, "most": limit, "tenant": tenant, "kinds": kinds}
    return [event_of(row) for row in conn.execute(_OF_SUBJECT, given)]


def latest_rewards(
    conn: Connection, variant: str, limit: int, *, tenant: str = DEFAULT_TENANT
) -> list[LatestReward]:
    """Return a variant's latest rewards that count, the newest first."""
    rows = conn.execute(_OF_VARIANT, {"variant": variant, "most": limit, "tenant": tenant})
    return [
        LatestReward(reward, subject, call, rating, duration_s, bool(here))
        for reward, subject, call, rating, duration_s, here in rows
    ]


def variant_of_call(conn: Connection, call_ref: str) -> str | None:
    """Return the variant that a call was given here; None for a call from elsewhere."""
    return conn.execute(_VARIANT_OF_CALL, {"call_ref": call_ref}).scalar()


def any_decision(conn: Connection, *, tenant: str = DEFAULT_TENANT) -> bool:
    """Return whether any call has been held here."""
    return conn.execute(_ANY_DECISION, {"tenant": tenant}).first() is not None


def held_events(
    conn: Connection, *, tenant: str = DEFAULT_TENANT, limit: int | None = None
) -> list[FeedbackRow]:
    """Return the events that are held, released ones too, the newest first."""
    rows = conn.execute(
        select(feedback_events)
        .where(feedback_events.c.tenant == tenant, feedback_events.c.held.is_not(None))
        .order_by(feedback_events.c.seq.desc())
        .limit(limit)
    )
    return [event_of(row) for row in rows]


def event_by_seq(conn: Connection, seq: int, *, tenant: str = DEFAULT_TENANT) -> FeedbackRow | None:
    """Return one event, or None."""
    rows = conn.execute(
        select(feedback_events).where(
            feedback_events.c.seq == seq, feedback_events.c.tenant == tenant
        )
    )
    row = rows.first()
    return None if row is None else event_of(row)
