"""What was learned about objections: proposed, reviewed, used once approved. Append-only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import uuid4

from sqlalchemy import Connection, insert, select

from apps.core.clock import utc_hour, utc_now
from apps.core.errors import ConfigError
from apps.core.ids import DEFAULT_TENANT
from apps.store.knowledge_tables import global_insights


class InsightState(StrEnum):
    """Where an insight stands; each is a row of its own, and the last one counts."""

    PROPOSED = "proposed"
    APPROVED = "approved"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Insight:
    """An objection, and the strategy that handles it.

    Attributes:
        id: Short and unique in its tenant.
        state: Only an approved one is used.
        language: ``de`` or ``en``.
        space: The knowledge space in which it holds.
        objection: What callers object, in a sentence.
        phrases: The same in callers' words.
        strategy: What the assistant answers: sentences fit to be spoken.
        persona: For whom it works; empty for everybody.
        source: Who or what proposed it.
        tenant: Whose it is.
        at_hour: Since when it stands so.
    """

    id: str
    state: InsightState
    language: str
    space: str
    objection: str
    phrases: tuple[str, ...]
    strategy: str
    persona: str = ""
    source: str = "operator"
    tenant: str = DEFAULT_TENANT
    at_hour: datetime | None = None


def propose(conn: Connection, insight: Insight) -> Insight:
    """Append a proposal under an id of its own, and return it with that."""
    proposed = replace(insight, id=uuid4().hex[:12], state=InsightState.PROPOSED)
    _append(conn, proposed)
    return proposed


def decide(
    conn: Connection, insight_id: str, state: InsightState, *, tenant: str = DEFAULT_TENANT
) -> Insight:
    """Approve or withdraw an insight, named by the beginning of its id; returns it as it stands.

    Raises:
        ConfigError: No insight begins so, or several do.
    """
    known = [i for i in insights(conn, tenant=tenant) if i.id.startswith(insight_id)]
    if len(known) != 1:
        raise ConfigError(
            f"{'Several insights begin' if known else 'No insight begins'} with {insight_id!r}.",
            hint="`tom kb graph list` shows them all.",
        )
    decided = replace(known[0], state=state, at_hour=None)
    _append(conn, decided)
    return decided


def insights(
    conn: Connection, *, state: InsightState | None = None, tenant: str = DEFAULT_TENANT
) -> tuple[Insight, ...]:
    """Return insights as they stand, oldest first: all, or those of one state."""
    table = global_insights
    rows = conn.execute(select(table).where(table.c.tenant == tenant).order_by(table.c.seq))
    latest: dict[str, Insight] = {}
    for row in rows:
        latest[row.insight_id] = Insight(
            row.insight_id,
            InsightState(row.action),
            row.language,
            row.space,
            row.objection,
            tuple(row.phrases),
            row.strategy,
            row.persona,
            row.source,
            row.tenant,
            row.at_hour,
        )
    return tuple(i for i in latest.values() if state in (None, i.state))


def _append(conn: Connection, insight: Insight) -> None:
    phrases: Sequence[str] = list(insight.phrases)
    conn.execute(
        insert(global_insights).values(
            tenant=insight.tenant,
            insight_id=insight.id,
            action=insight.state.value,
            language=insight.language,
            space=insight.space,
            objection=insight.objection,
            phrases=phrases,
            strategy=insight.strategy,
            persona=insight.persona,
            source=insight.source,
            at_hour=utc_hour(insight.at_hour or utc_now()),
        )
    )
