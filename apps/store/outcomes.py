"""What became of each choice: feedback events beside the decisions that they are the end of.

Only what the deploy guard judges by is read, so that a fold from the beginning stays quick.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, and_, bindparam, exists, select

from apps.core.ids import DEFAULT_TENANT
from apps.store.feedback import FeedbackKind
from apps.store.learning_tables import decisions, feedback_events

_event, _choice = feedback_events.c, decisions.c
_earlier = feedback_events.alias("earlier").c
_REPEATS = exists().where(
    _earlier.call_ref == _event.call_ref,
    _earlier.variant == _event.variant,
    _earlier.kind.in_([FeedbackKind.FEEDBACK.value, FeedbackKind.ABANDONED.value]),
    _earlier.seq < _event.seq,
)
# Built once: building a statement costs more than running it.
_SINCE = (
    select(
        _event.seq,
        _event.kind,
        _event.variant,
        _event.reward,
        _event.revises,
        _event.flags,
        _event.learns,
        _event.held,
        _choice.stage,
        _choice.seq.label("choice"),
        _choice.propensities,
        _REPEATS.label("repeats"),
    )
    .outerjoin_from(
        feedback_events,
        decisions,
        and_(_choice.call_ref == _event.call_ref, _choice.variant == _event.variant),
    )
    .where(_event.seq > bindparam("after"), _event.tenant == bindparam("of"))
    .order_by(_event.seq)
)


@dataclass(frozen=True, slots=True)
class OutcomeRow:
    """One feedback event, as the deploy guard sees it.

    Attributes:
        seq: The event's place in the order.
        kind: What it tells.
        variant: Whose call it was.
        reward: The reward; None for an abandoned call.
        revises: Of a revision, the reward that it takes the place of.
        flags: What went wrong in the call, whatever its reward is.
        learns: The call may teach.
        held: It was found suspicious: it counts for nothing.
        first: No earlier event told the end of this call with this variant. Sent twice, or held
            and then released, a call has several; it was drawn once.
        stage: The variant's stage when it was chosen; empty without a choice.
        propensities: The probability of every variant when it was chosen; empty without a choice.
        choice: The ``seq`` of the choice; 0 without one.
    """

    seq: int
    kind: FeedbackKind
    variant: str
    reward: float | None
    revises: float | None = None
    flags: Sequence[str] = ()
    learns: bool = True
    held: bool = False
    first: bool = True
    stage: str = ""
    propensities: Mapping[str, float] = field(default_factory=dict)
    choice: int = 0


def outcomes_since(
    conn: Connection, seq: int, *, tenant: str = DEFAULT_TENANT, limit: int | None = None
) -> list[OutcomeRow]:
    """Return the feedback events after ``seq``, in order, each with its call's choice."""
    query = _SINCE if limit is None else _SINCE.limit(limit)
    rows = conn.execute(query, {"after": seq, "of": tenant})
    return [
        OutcomeRow(
            r.seq,
            FeedbackKind(r.kind),
            r.variant,
            r.reward,
            r.revises,
            tuple(r.flags),
            r.learns,
            r.held is not None,
            not r.repeats,
            r.stage or "",
            r.propensities or {},
            r.choice or 0,
        )
        for r in rows
    ]
