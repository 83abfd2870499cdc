"""Which variant each call was given, and how probable that was: written before it acts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, Integer, Row, bindparam, func, select

from apps.core.clock import utc_hour, utc_now
from apps.core.ids import DEFAULT_TENANT
from apps.store.dialect import insert_new
from apps.store.learning_tables import decisions


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """One stored choice.

    Attributes:
        call_ref: Keyed hash of the call's id.
        variant: The variant chosen.
        propensity: The probability with which it was chosen, after the deploy guard.
        propensities: The same of every variant.
        stages: Each variant's stage at the time (``new``, ``uncertain``, ...).
        why: One sentence for a person.
        learns: Whether the call's reward may count.
        state_version: The last feedback ``seq`` that the choice knew of.
        context: What was known of the call; nothing personal.
        subject: The caller's pseudonymous key, where there is one.
        stage: The chosen variant's own stage: the guard counts its latest decisions by it.
        policy: The kind of policy that chose (``nig``, ``beta``, ``linear``, ...).
        adapter: The adapter that the call was given, part of what is tried; None for none.
        route: The adapter that was on the route of the call's domain, whether or not the call was
            given that one or the control's; None where its variant had an adapter of its own, or
            none was on the route.
        route_chance: The probability with which the route gave the call its adapter.
        engines: Which engines served (``llm``, ``tts``, ``stt``): the rest of what is tried.
        tenant: Whose call it is.
        at_hour: When, cut to the hour.
        seq: 0 until it is stored.
    """

    call_ref: str
    variant: str
    propensity: float
    propensities: Mapping[str, float]
    stages: Mapping[str, str]
    why: str
    learns: bool
    state_version: int
    context: Mapping[str, object] = field(default_factory=dict)
    subject: str | None = None
    stage: str = ""
    policy: str = "beta"
    adapter: str | None = None
    route: str | None = None
    route_chance: float | None = None
    engines: Mapping[str, str] = field(default_factory=dict)
    tenant: str = DEFAULT_TENANT
    at_hour: datetime | None = None
    seq: int = 0


# Built once: they are asked at each call's beginning and end.
_OF_CALL = select(decisions).where(decisions.c.call_ref == bindparam("call"))
_latest = (
    select(decisions.c.stage)
    .where(decisions.c.tenant == bindparam("of"))
    .order_by(decisions.c.seq.desc())
    .limit(bindparam("most", type_=Integer))
    .subquery()
)
_COUNT_STAGES = select(_latest.c.stage, func.count().label("number")).group_by(_latest.c.stage)


def add_decision(conn: Connection, decision: DecisionRow) -> DecisionRow:
    """Store a call's choice; where the call has one already, that one holds.

    Returns:
        The choice that holds.
    """
    row = {
        "call_ref": decision.call_ref,
        "tenant": decision.tenant,
        "subject": decision.subject,
        "variant": decision.variant,
        "stage": decision.stage,
        "policy": decision.policy,
        "adapter": decision.adapter,
        "route": decision.route,
        "route_chance": decision.route_chance,
        "engines": dict(decision.engines),
        "propensity": decision.propensity,
        "propensities": dict(decision.propensities),
        "stages": dict(decision.stages),
        "context": dict(decision.context),
        "why": decision.why,
        "learns": decision.learns,
        "state_version": decision.state_version,
        "at_hour": utc_hour(decision.at_hour or utc_now()),
    }
    if insert_new(conn, decisions, [row]):
        return decision
    stored = load_decision(conn, decision.call_ref)
    assert stored is not None
    return stored


def load_decision(conn: Connection, call_ref: str) -> DecisionRow | None:
    """Return a call's choice, or None."""
    row = conn.execute(_OF_CALL, {"call": call_ref}).first()
    return None if row is None else _decision(row)


def latest_decisions(
    conn: Connection, limit: int, *, tenant: str = DEFAULT_TENANT
) -> list[tuple[str, str]]:
    """Return variant and stage of the latest decisions, the newest first."""
    rows = conn.execute(
        select(decisions.c.variant, decisions.c.stage)
        .where(decisions.c.tenant == tenant)
        .order_by(decisions.c.seq.desc())
        .limit(limit)
    )
    return [(row.variant, row.stage) for row in rows]


def count_stages(conn: Connection, limit: int, *, tenant: str = DEFAULT_TENANT) -> dict[str, int]:
    """Return how many of the latest decisions went to each stage.

    Args:
        conn: Of the write transaction that adds the next decision, so that the count holds.
        limit: How many decisions are counted.
        tenant: Whose.
    """
    rows = conn.execute(_COUNT_STAGES, {"of": tenant, "most": limit})
    return {row.stage: row.number for row in rows}


def decisions_since(
    conn: Connection, seq: int, *, tenant: str = DEFAULT_TENANT, limit: int | None = None
) -> list[DecisionRow]:
    """Return the decisions after ``seq``, in order."""
    rows = conn.execute(
        select(decisions)
        .where(decisions.c.seq > seq, decisions.c.tenant == tenant)
        .order_by(decisions.c.seq)
        .limit(limit)
    )
    return [_decision(row) for row in rows]


def _decision(row: Row[tuple[object, ...]]) -> DecisionRow:
    return DecisionRow(
        call_ref=row.call_ref,
        variant=row.variant,
        propensity=row.propensity,
        propensities=row.propensities,
        stages=row.stages,
        why=row.why,
        learns=row.learns,
        state_version=row.state_version,
        context=row.context,
        subject=row.subject,
        stage=row.stage,
        policy=row.policy,
        adapter=row.adapter,
        route=row.route,
        route_chance=row.route_chance,
        engines=row.engines,
        tenant=row.tenant,
        at_hour=row.at_hour,
        seq=row.seq,
    )
