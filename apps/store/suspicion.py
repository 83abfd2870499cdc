"""What came before a feedback event, as far as it tells whether somebody cheats; and what is held.

Every query is bounded by an index and a limit: they run inside the transaction in which the event
is appended.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, select

from apps.core.ids import DEFAULT_TENANT
from apps.store.feedback import FeedbackKind, FeedbackRow, event_of
from apps.store.tables import decisions, feedback_events

_TELLS = (FeedbackKind.FEEDBACK.value, FeedbackKind.REVISION.value)


@dataclass(frozen=True, slots=True)
class LatestReward:
    """One of a variant's latest sound rewards."""

    reward: float
    subject: str | None
    call_ref: str | None
    rating: int | None
    duration_s: float | None
    here: bool


def events_of_subject(
    conn: Connection, subject: str, limit: int, *, tenant: str = DEFAULT_TENANT
) -> list[FeedbackRow]:
    """Return a caller's latest rewarded events, held ones too, the newest first."""
    rows = conn.execute(
        select(feedback_events)
        .where(
            feedback_events.c.tenant == tenant,
            feedback_events.c.subject == subject,
            feedback_events.c.kind.in_(_TELLS),
        )
        .order_by(feedback_events.c.seq.desc())
        .limit(limit)
    )
    return [event_of(row) for row in rows]


def latest_rewards(
    conn: Connection, variant: str, limit: int, *, tenant: str = DEFAULT_TENANT
) -> list[LatestReward]:
    """Return a variant's latest rewards that count, the newest first."""
    table = feedback_events.c
    rows = conn.execute(
        select(
            table.reward,
            table.subject,
            table.call_ref,
            table.rating,
            table.signals["duration_sec"].as_float().label("duration_s"),
            decisions.c.seq.is_not(None),
        )
        .outerjoin_from(feedback_events, decisions, decisions.c.call_ref == table.call_ref)
        .where(
            table.tenant == tenant,
            table.variant == variant,
            table.held.is_(None),
            table.kind.in_(_TELLS),
            table.reward.is_not(None),
        )
        .order_by(table.seq.desc())
        .limit(limit)
    )
    return [
        LatestReward(reward, subject, call, rating, duration_s, bool(here))
        for reward, subject, call, rating, duration_s, here in rows
    ]


def variant_of_call(conn: Connection, call_ref: str) -> str | None:
    """Return the variant that a call was given here; None for a call from elsewhere."""
    query = select(decisions.c.variant).where(decisions.c.call_ref == call_ref)
    return conn.execute(query).scalar()


def any_decision(conn: Connection, *, tenant: str = DEFAULT_TENANT) -> bool:
    """Return whether any call has been held here."""
    query = select(decisions.c.seq).where(decisions.c.tenant == tenant).limit(1)
    return conn.execute(query).first() is not None


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
