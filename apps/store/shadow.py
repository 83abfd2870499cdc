"""What variants in the shadow would have answered, scored: append-only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, select

from apps.core.clock import utc_hour, utc_now
from apps.core.ids import DEFAULT_TENANT
from apps.store.dialect import insert_new
from apps.store.learning_tables import shadow_results


@dataclass(frozen=True, slots=True)
class ShadowRow:
    """One answer that was made for a real turn and never played.

    Attributes:
        variant: Whose answer it was.
        call_ref: Keyed hash of the call's id; None once the call is let go of.
        turn_id: Which of the call's turns.
        score: How good it was, in [0, 1].
        passed: It did nothing that must not be done.
        checks: Each check's own result; no words of anybody.
        tenant: Whose call it was.
        at_hour: When, cut to the hour.
    """

    variant: str
    call_ref: str | None
    turn_id: int
    score: float
    passed: bool
    checks: Mapping[str, object] = field(default_factory=dict)
    tenant: str = DEFAULT_TENANT
    at_hour: datetime | None = None


def append_shadow(conn: Connection, result: ShadowRow) -> bool:
    """Append one result.

    Returns:
        False when this variant's answer to this turn is there already.
    """
    row = {
        "tenant": result.tenant,
        "call_ref": result.call_ref,
        "turn_id": result.turn_id,
        "variant": result.variant,
        "score": result.score,
        "passed": result.passed,
        "checks": dict(result.checks),
        "at_hour": utc_hour(result.at_hour or utc_now()),
    }
    return insert_new(conn, shadow_results, [row]) == 1


def shadow_of(
    conn: Connection, variant: str, *, tenant: str = DEFAULT_TENANT, limit: int | None = None
) -> list[ShadowRow]:
    """Return a variant's latest results, the newest first."""
    rows = conn.execute(
        select(shadow_results)
        .where(shadow_results.c.variant == variant, shadow_results.c.tenant == tenant)
        .order_by(shadow_results.c.seq.desc())
        .limit(limit)
    )
    return [
        ShadowRow(
            r.variant, r.call_ref, r.turn_id, r.score, r.passed, r.checks, r.tenant, r.at_hour
        )
        for r in rows
    ]
