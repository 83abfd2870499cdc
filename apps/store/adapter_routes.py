"""Routing decisions and their rewards: append-only, each once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection, select

from apps.core.clock import utc_hour, utc_now
from apps.core.ids import DEFAULT_TENANT
from apps.store.adapter_tables import adapter_route_rewards, adapter_routes
from apps.store.dialect import insert_new


@dataclass(frozen=True, slots=True)
class RouteRow:
    """One decision of the adapter router.

    Attributes:
        decision_id: Unguessable; rewards name it.
        domain: Where the prompt went.
        adapter: The served name that answered; empty for the base model.
        phase: What decided.
        confidence: In [0, 1].
        propensity: The probability with which this was chosen.
        scores: Of every domain.
        tenant: Whose prompt it was.
    """

    decision_id: str
    domain: str
    adapter: str
    phase: str
    confidence: float
    propensity: float
    scores: Mapping[str, float] = field(default_factory=dict)
    tenant: str = DEFAULT_TENANT


def append_route(conn: Connection, row: RouteRow) -> None:
    """Append one decision."""
    conn.execute(
        adapter_routes.insert(),
        {
            "decision_id": row.decision_id,
            "tenant": row.tenant,
            "domain": row.domain,
            "adapter": row.adapter or None,
            "phase": row.phase,
            "confidence": row.confidence,
            "propensity": row.propensity,
            "scores": dict(row.scores),
            "at_hour": utc_hour(utc_now()),
        },
    )


def append_reward(conn: Connection, decision_id: str, reward: float) -> bool | None:
    """Append a decision's reward.

    Returns:
        Whether it is new; None when there is no such decision.
    """
    routes = adapter_routes.c
    tenant = conn.execute(
        select(routes.tenant).where(routes.decision_id == decision_id)
    ).scalar_one_or_none()
    if tenant is None:
        return None
    row = {
        "decision_id": decision_id,
        "tenant": tenant,
        "reward": reward,
        "at_hour": utc_hour(utc_now()),
    }
    return insert_new(conn, adapter_route_rewards, [row]) == 1


def learned_rewards(conn: Connection, after: int) -> list[tuple[int, str, float]]:
    """Return (seq, domain, reward) of the rewards after one, oldest first.

    Only decisions that were left to the bandit teach it: the others were not its choice.
    """
    rewards, routes = adapter_route_rewards, adapter_routes
    rows = conn.execute(
        select(rewards.c.seq, routes.c.domain, rewards.c.reward)
        .join(routes, routes.c.decision_id == rewards.c.decision_id)
        .where(rewards.c.seq > after, routes.c.phase == "bandit")
        .order_by(rewards.c.seq)
    )
    return [(r.seq, r.domain, r.reward) for r in rows]
