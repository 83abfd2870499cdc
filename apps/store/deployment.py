"""What operators and the guard decided about variants: append-only, folded by the deploy guard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, bindparam, select

from apps.core.clock import utc_hour, utc_now
from apps.core.ids import DEFAULT_TENANT
from apps.store.dialect import insert_new
from apps.store.learning_tables import deployment_events


@dataclass(frozen=True, slots=True)
class DeploymentRow:
    """One act: what was done, to which variant (None: all), and why.

    Attributes:
        action: What was done.
        variant: To which variant; None for all.
        why: A sentence.
        data: What the fold needs besides.
        actor: ``operator``, or ``guard`` for what it did by itself.
        act_id: Makes the act idempotent; None for one that may be done again.
        tenant: Whose deployment it is.
        at_hour: When, cut to the hour.
        seq: 0 until it is stored.
    """

    action: str
    variant: str | None
    why: str
    data: Mapping[str, object] = field(default_factory=dict)
    actor: str = "operator"
    act_id: str | None = None
    tenant: str = DEFAULT_TENANT
    at_hour: datetime | None = None
    seq: int = 0


_SINCE = (  # built once: it is asked at each call's beginning and end
    select(deployment_events)
    .where(
        deployment_events.c.seq > bindparam("after"),
        deployment_events.c.tenant == bindparam("of"),
    )
    .order_by(deployment_events.c.seq)
)


def append_act(conn: Connection, act: DeploymentRow) -> bool:
    """Append one act.

    Returns:
        False when an act with this id is there already: nothing changes.
    """
    row = {
        "act_id": act.act_id,
        "tenant": act.tenant,
        "actor": act.actor,
        "action": act.action,
        "variant": act.variant,
        "why": act.why,
        "data": dict(act.data),
        "at_hour": utc_hour(act.at_hour or utc_now()),
    }
    return insert_new(conn, deployment_events, [row]) == 1


def load_acts(
    conn: Connection, *, since: int = 0, tenant: str = DEFAULT_TENANT
) -> list[DeploymentRow]:
    """Return the acts after a ``seq``, in order; there are few."""
    rows = conn.execute(_SINCE, {"after": since, "of": tenant})
    return [
        DeploymentRow(
            r.action, r.variant, r.why, r.data, r.actor, r.act_id, r.tenant, r.at_hour, r.seq
        )
        for r in rows
    ]
