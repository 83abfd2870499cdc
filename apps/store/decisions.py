"""Which variant each call was given, and how probable that was: written before it acts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, Row, select

from apps.core.clock import utc_hour, utc_now
from apps.core.ids import DEFAULT_TENANT
from apps.store.dialect import insert_new
from apps.store.tables import decisions


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
        tenant: Whose call it is.
        at_hour: When, cut to the hour.
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
    tenant: str = DEFAULT_TENANT
    at_hour: datetime | None = None


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
    row = conn.execute(select(decisions).where(decisions.c.call_ref == call_ref)).first()
    return None if row is None else _decision(row)


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
        tenant=row.tenant,
        at_hour=row.at_hour,
    )
