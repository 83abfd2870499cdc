"""Ended calls beside what they were given: what adapters are compared by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, and_, bindparam, select

from apps.core.ids import DEFAULT_TENANT
from apps.store.feedback import FeedbackKind
from apps.store.learning_tables import decisions, feedback_events

_event, _choice = feedback_events.c, decisions.c
_SINCE = (  # built once: it is asked every few seconds
    select(
        _event.seq,
        _event.variant,
        _event.reward,
        _event.flags,
        _event.context,
        _event.held,
        _choice.adapter,
        _choice.route,
        _choice.route_chance,
        _choice.propensities,
    )
    .join_from(
        feedback_events,
        decisions,
        and_(_choice.call_ref == _event.call_ref, _choice.variant == _event.variant),
    )
    .where(
        _event.seq > bindparam("after"),
        _event.tenant == bindparam("of"),
        _event.kind.in_([FeedbackKind.FEEDBACK.value, FeedbackKind.ABANDONED.value]),
        _event.learns,
    )
    .order_by(_event.seq)
)


@dataclass(frozen=True, slots=True)
class AdapterCallRow:
    """One ended call.

    Attributes:
        seq: Its feedback event's.
        variant: Its variant.
        reward: Its reward; None for an abandoned or held one.
        flags: What went wrong in it.
        context: What was known at its end: conditions, and how its answers were judged.
        held: It was found suspicious: only its flags count.
        adapter: What it was given.
        route: The active adapter of its route; None where its variant had one of its own.
        route_chance: The probability of ``adapter`` on that route.
        propensities: The probability of every variant when it was chosen.
    """

    seq: int
    variant: str
    reward: float | None
    flags: Sequence[str]
    context: Mapping[str, object]
    held: bool
    adapter: str | None
    route: str | None
    route_chance: float | None
    propensities: Mapping[str, float]


def adapter_calls_since(
    conn: Connection, seq: int, *, tenant: str = DEFAULT_TENANT, limit: int | None = None
) -> list[AdapterCallRow]:
    """Return the calls whose end is told after a ``seq``, in order; at most so many."""
    query = _SINCE if limit is None else _SINCE.limit(limit)
    rows = conn.execute(query, {"after": seq, "of": tenant})
    return [
        AdapterCallRow(
            r.seq,
            r.variant,
            None if r.held is not None else r.reward,
            tuple(r.flags),
            {} if r.held is not None else r.context,
            r.held is not None,
            r.adapter,
            r.route,
            r.route_chance,
            r.propensities,
        )
        for r in rows
    ]
