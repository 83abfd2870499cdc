"""Feedback events, append-only: the one truth that posteriors and statistics are folds of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, Row, bindparam, func, select

from apps.core.clock import utc_hour, utc_now
from apps.core.ids import DEFAULT_TENANT
from apps.store.dialect import insert_new
from apps.store.learning_tables import feedback_events
from apps.store.schema import meta

RELEASE = "release-"
"""With this the ids of events begin that let a held one, named by its ``seq``, count after all."""


class Flag(StrEnum):
    """What went wrong in a call, whatever its reward is."""

    HANG_UP = "hang_up"
    """The caller left before the first answer, or in the middle of one."""
    ENGINE_ERROR = "engine_error"
    """An engine failed in it."""
    UNSAFE = "unsafe"
    """The assistant was about to say what must not be said."""


class FeedbackKind(StrEnum):
    """What an event tells."""

    FEEDBACK = "feedback"
    """A call has ended; its signals gave a reward."""
    ABANDONED = "abandoned"
    """A call ended before its first answer: counted, not rewarded."""
    REVISION = "revision"
    """A call's rating came late: its reward is another one from now on."""
    ADMIN = "admin"
    """Somebody set a reward by hand, with no call behind it."""


@dataclass(frozen=True, slots=True)
class FeedbackRow:
    """One stored feedback event; see ``docs/schemas/feedback_event.json`` for most fields.

    Attributes:
        answered_after_s: How long after the call's end its rating was given; 0 for in the call,
            None without a rating.
        flags: What the guard's breakers look at: see ``Flag``.
        context: What was known of the call at its end; nothing personal. Policies that look at
            the context learn from it, so it stays when the call is let go of.
        reward: The reward; of a revision the one that holds from now on. None: none.
        revises: Of a revision, the reward that it takes the place of.
        revised_age: Of a revision, how many rewards counted between that one and this.
        held: Why the event does not count though its call may learn; None for a sound one.
        seq: 0 until it is stored.
    """

    event_id: str
    kind: FeedbackKind
    variant: str
    reward: float | None
    call_ref: str | None = None
    profile: str | None = None
    rating: int | None = None
    rating_offered: bool = False
    rating_answered: bool = False
    answered_after_s: float | None = None
    flags: Sequence[str] = ()
    context: Mapping[str, object] = field(default_factory=dict)
    revises: float | None = None
    revised_age: int | None = None
    held: str | None = None
    signals: Mapping[str, object] = field(default_factory=dict)
    components: Mapping[str, float] = field(default_factory=dict)
    missing: Sequence[str] = ()
    learns: bool = True
    subject: str | None = None
    tenant: str = DEFAULT_TENANT
    at_hour: datetime | None = None
    seq: int = 0


@dataclass(frozen=True, slots=True)
class VariantCounts:
    """What the store holds of one variant."""

    feedback: int
    abandoned: int
    rated: int
    mean_rating: float | None
    mean_reward: float | None


# Built once: they are asked at each call's beginning and end.
_SINCE = (
    select(feedback_events)
    .where(feedback_events.c.seq > bindparam("after"), feedback_events.c.tenant == bindparam("of"))
    .order_by(feedback_events.c.seq)
)
_LAST_SEQ = select(func.max(feedback_events.c.seq)).where(
    feedback_events.c.tenant == bindparam("of")
)
_STORE_ID = select(meta.c.value).where(meta.c.key == "store_id")


def append_feedback(conn: Connection, event: FeedbackRow) -> bool:
    """Append one event.

    The order of ``seq`` is the order in which write transactions were let in, one at a time: no
    lower ``seq`` can appear after a higher one has been folded.

    Returns:
        False when an event with this id is there already: nothing changes.
    """
    row = {
        "event_id": event.event_id,
        "tenant": event.tenant,
        "subject": event.subject,
        "call_ref": event.call_ref,
        "kind": event.kind.value,
        "variant": event.variant,
        "profile": event.profile,
        "rating": event.rating,
        "rating_offered": event.rating_offered,
        "rating_answered": event.rating_answered,
        "answered_after_s": event.answered_after_s,
        "flags": list(event.flags),
        "context": dict(event.context),
        "revises": event.revises,
        "revised_age": event.revised_age,
        "held": event.held,
        "signals": dict(event.signals),
        "reward": event.reward,
        "components": dict(event.components),
        "missing": list(event.missing),
        "learns": event.learns,
        "at_hour": utc_hour(event.at_hour or utc_now()),
    }
    return insert_new(conn, feedback_events, [row]) == 1


def feedback_since(
    conn: Connection, seq: int, *, tenant: str = DEFAULT_TENANT, limit: int | None = None
) -> list[FeedbackRow]:
    """Return the events after ``seq``, in order."""
    query = _SINCE if limit is None else _SINCE.limit(limit)
    return [event_of(row) for row in conn.execute(query, {"after": seq, "of": tenant})]


def last_feedback_seq(conn: Connection, *, tenant: str = DEFAULT_TENANT) -> int:
    """Return the newest event's ``seq``; 0 when there is none."""
    return conn.execute(_LAST_SEQ, {"of": tenant}).scalar() or 0


# Built once: asked several times at each call's end.
_OF_CALL = (
    select(feedback_events)
    .where(feedback_events.c.call_ref == bindparam("call_ref"))
    .order_by(feedback_events.c.seq)
)


def feedback_of_call(conn: Connection, call_ref: str) -> list[FeedbackRow]:
    """Return a call's feedback events, in order."""
    return [event_of(row) for row in conn.execute(_OF_CALL, {"call_ref": call_ref})]


def rewards_counted_since(conn: Connection, seq: int, *, tenant: str = DEFAULT_TENANT) -> int:
    """Return how many rewards counted after ``seq``; revisions are no rewards of their own."""
    query = (
        select(func.count())
        .select_from(feedback_events)
        .where(
            feedback_events.c.seq > seq,
            feedback_events.c.tenant == tenant,
            feedback_events.c.kind != FeedbackKind.REVISION.value,
            feedback_events.c.reward.is_not(None),
            feedback_events.c.learns,
            feedback_events.c.held.is_(None),
        )
    )
    return conn.execute(query).scalar_one()


def counts_by_variant(
    conn: Connection, *, tenant: str = DEFAULT_TENANT
) -> dict[str, VariantCounts]:
    """Return what is stored of each variant, admin and held events left out.

    Each call counts once, with its newest reward: a revision takes the place of what it revises.
    """
    kind = feedback_events.c.kind
    rewarded, left = kind == FeedbackKind.FEEDBACK.value, kind == FeedbackKind.ABANDONED.value
    # The newest rewards' sum is that of all rewards less those that were revised.
    newest = feedback_events.c.reward - func.coalesce(feedback_events.c.revises, 0.0)
    rows = conn.execute(
        select(
            feedback_events.c.variant,
            func.count().filter(rewarded),
            func.count().filter(left),
            func.count(feedback_events.c.rating),
            func.avg(feedback_events.c.rating),
            func.sum(newest),
        )
        .where(
            feedback_events.c.tenant == tenant,
            feedback_events.c.kind != FeedbackKind.ADMIN.value,
            feedback_events.c.held.is_(None),
        )
        .group_by(feedback_events.c.variant)
        .order_by(feedback_events.c.variant)
    )
    return {
        variant: VariantCounts(
            feedback=feedback,
            abandoned=left,
            rated=rated,
            mean_rating=None if rating is None else float(rating),
            mean_reward=float(rewards) / feedback if feedback else None,
        )
        for variant, feedback, left, rated, rating, rewards in rows
    }


def store_id(conn: Connection) -> str:
    """Return the id that this database got when it was made: a snapshot names its own."""
    return str(conn.execute(_STORE_ID).scalar_one())


def event_of(row: Row[tuple[object, ...]]) -> FeedbackRow:
    """Return a whole row of the table as an event."""
    return FeedbackRow(
        event_id=row.event_id,
        kind=FeedbackKind(row.kind),
        variant=row.variant,
        reward=row.reward,
        call_ref=row.call_ref,
        profile=row.profile,
        rating=row.rating,
        rating_offered=row.rating_offered,
        rating_answered=row.rating_answered,
        answered_after_s=row.answered_after_s,
        flags=tuple(row.flags),
        context=row.context,
        revises=row.revises,
        revised_age=row.revised_age,
        held=row.held,
        signals=row.signals,
        components=row.components,
        missing=tuple(row.missing),
        learns=row.learns,
        subject=row.subject,
        tenant=row.tenant,
        at_hour=row.at_hour,
        seq=row.seq,
    )
