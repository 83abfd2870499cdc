"""What operators decided about variants by hand: append-only, folded by the deploy guard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, insert, select

from apps.core.clock import utc_hour, utc_now
from apps.core.ids import DEFAULT_TENANT
from apps.store.tables import deployment_events


@dataclass(frozen=True, slots=True)
class DeploymentRow:
    """One act: what was done, to which variant (None: all), and why; ``seq`` 0 until stored."""

    action: str
    variant: str | None
    why: str
    data: Mapping[str, object] = field(default_factory=dict)
    tenant: str = DEFAULT_TENANT
    at_hour: datetime | None = None
    seq: int = 0


def append_act(conn: Connection, act: DeploymentRow) -> None:
    """Append one act."""
    conn.execute(
        insert(deployment_events).values(
            tenant=act.tenant,
            action=act.action,
            variant=act.variant,
            why=act.why,
            data=dict(act.data),
            at_hour=utc_hour(act.at_hour or utc_now()),
        )
    )


def load_acts(conn: Connection, *, tenant: str = DEFAULT_TENANT) -> list[DeploymentRow]:
    """Return all acts, in order; there are few."""
    rows = conn.execute(
        select(deployment_events)
        .where(deployment_events.c.tenant == tenant)
        .order_by(deployment_events.c.seq)
    )
    return [
        DeploymentRow(r.action, r.variant, r.why, r.data, r.tenant, r.at_hour, r.seq) for r in rows
    ]
