"""What the language servers' answers cost: a row a request, and sums where rows are too old."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Date,
    Integer,
    cast,
    delete,
    func,
    insert,
    literal_column,
    select,
)

from apps.core.clock import utc_hour, utc_now
from apps.core.ids import DEFAULT_TENANT
from apps.store.call_tables import calls, llm_usage

SUMMED = "summed"
"""The purpose of a row that stands for many requests of calls that are let go of."""


@dataclass(frozen=True, slots=True)
class UsageRow:
    """One request to one provider.

    Attributes:
        call_ref: Keyed hash of the call's id; None for no call, or one that is let go of.
        turn_id: Which of its turns was answered; None where none was.
        purpose: ``answer``, ``shadow``, or ``generate`` (asked of the adapters' listener, without a
            call); `SUMMED` for a sum.
        provider: Its name in the list of providers.
        model: The model that was asked.
        adapter: The adapter that was wanted; None for none.
        adapter_missing: Whether the answer came without it.
        outcome: What became of the request.
        prompt_tokens: Tokens read.
        completion_tokens: Tokens written.
        estimated: Whether the tokens are an estimate.
        cost_micros: In millionths of the currency's unit.
        first_token_ms: Until the first text; None where there was none.
        tenant: Whose call it was.
        at_hour: When, cut to the hour.
        requests: How many requests the row stands for.
    """

    call_ref: str | None
    turn_id: int | None
    purpose: str
    provider: str
    model: str
    outcome: str
    adapter: str | None = None
    adapter_missing: bool = False
    prompt_tokens: int = 0
    completion_tokens: int = 0
    estimated: bool = False
    cost_micros: int = 0
    first_token_ms: float | None = None
    tenant: str = DEFAULT_TENANT
    at_hour: datetime | None = None
    requests: int = 1


class By(StrEnum):
    """What usage is summed up by."""

    TENANT = "tenant"
    PROVIDER = "provider"
    MODEL = "model"
    ADAPTER = "adapter"
    OUTCOME = "outcome"
    DAY = "day"


@dataclass(frozen=True, slots=True)
class UsageSum:
    """The usage of one tenant, provider, day, ...

    Attributes:
        key: Which one.
        requests: How many requests.
        answered: How many of them were answered to the end, or for as long as anybody listened.
        prompt_tokens: Tokens read.
        completion_tokens: Tokens written.
        estimated: How many requests' tokens are an estimate.
        adapter_missing: How many were answered without the adapter that was wanted.
        cost_micros: In millionths of the currency's unit.
        first_token_ms: The mean over the requests that are not summed up yet; None for none.
    """

    key: str
    requests: int
    answered: int
    prompt_tokens: int
    completion_tokens: int
    estimated: int
    adapter_missing: int
    cost_micros: int
    first_token_ms: float | None


def append_usage(conn: Connection, rows: Sequence[UsageRow]) -> int:
    """Append rows; one whose call has been deleted meanwhile loses what leads to it.

    Returns:
        How many were stored.
    """
    if not rows:
        return 0
    refs = {row.call_ref for row in rows if row.call_ref is not None}
    kept = set(conn.execute(select(calls.c.call_ref).where(calls.c.call_ref.in_(refs))).scalars())
    now = utc_now()
    conn.execute(
        insert(llm_usage),
        [
            {
                "tenant": row.tenant,
                "call_ref": row.call_ref if row.call_ref in kept else None,
                "turn_id": row.turn_id if row.call_ref in kept else None,
                "purpose": row.purpose,
                "provider": row.provider,
                "model": row.model[:120],
                "adapter": row.adapter,
                "adapter_missing": row.adapter_missing,
                "outcome": row.outcome,
                "requests": row.requests,
                "prompt_tokens": row.prompt_tokens,
                "completion_tokens": row.completion_tokens,
                "estimated": row.estimated,
                "cost_micros": row.cost_micros,
                "first_token_ms": row.first_token_ms,
                "at_hour": utc_hour(row.at_hour or now),
            }
            for row in rows
        ],
    )
    return len(rows)


def usage_of_call(conn: Connection, call_ref: str) -> list[UsageRow]:
    """Return what a call's answers cost, in order."""
    rows = conn.execute(
        select(llm_usage).where(llm_usage.c.call_ref == call_ref).order_by(llm_usage.c.seq)
    )
    return [
        UsageRow(
            row.call_ref,
            row.turn_id,
            row.purpose,
            row.provider,
            row.model,
            row.outcome,
            row.adapter,
            row.adapter_missing,
            row.prompt_tokens,
            row.completion_tokens,
            row.estimated,
            row.cost_micros,
            row.first_token_ms,
            row.tenant,
            row.at_hour,
            row.requests,
        )
        for row in rows
    ]


def usage_by(
    conn: Connection, by: By, *, since: datetime | None = None, tenant: str | None = None
) -> list[UsageSum]:
    """Return sums of usage, the dearest first; days in their order.

    Args:
        conn: A connection.
        by: What for.
        since: Only what was used from this hour on.
        tenant: Of one tenant alone; of all when None.
    """
    use = llm_usage.c
    key = (_day(conn) if by is By.DAY else func.coalesce(use[by.value], _NOTHING)).label("key")
    well = cast(use.outcome.in_(("answered", "stopped")), Integer)
    query = select(
        key,
        func.sum(use.requests).label("requests"),
        func.sum(use.requests * well).label("answered"),
        func.sum(use.prompt_tokens).label("prompt_tokens"),
        func.sum(use.completion_tokens).label("completion_tokens"),
        func.sum(use.requests * cast(use.estimated, Integer)).label("estimated"),
        func.sum(use.requests * cast(use.adapter_missing, Integer)).label("adapter_missing"),
        func.sum(use.cost_micros).label("cost_micros"),
        func.avg(use.first_token_ms).label("first_token_ms"),
    ).group_by(key)
    if since is not None:
        query = query.where(use.at_hour >= utc_hour(since))
    if tenant is not None:
        query = query.where(use.tenant == tenant)
    order = [key] if by is By.DAY else [func.sum(use.cost_micros).desc(), key]
    return [
        UsageSum(
            str(row.key),
            int(row.requests),
            int(row.answered),
            int(row.prompt_tokens),
            int(row.completion_tokens),
            int(row.estimated),
            int(row.adapter_missing),
            int(row.cost_micros),
            None if row.first_token_ms is None else round(float(row.first_token_ms), 1),
        )
        for row in conn.execute(query.order_by(*order))
    ]


def _day(conn: Connection) -> ColumnElement[Any]:
    """Return the day of a row, in UTC."""
    at = llm_usage.c.at_hour
    if conn.dialect.name == "sqlite":
        return func.date(at)
    return cast(func.timezone(_UTC, at), Date)


# Written out: as parameters they would differ between what is selected and what is grouped by.
_UTC: ColumnElement[str] = literal_column("'UTC'")
_NOTHING: ColumnElement[str] = literal_column("''")


_GROUP = ("tenant", "provider", "model", "adapter", "adapter_missing", "outcome", "estimated")


def sum_up_before(conn: Connection, cutoff: datetime, *, tenant: str | None = None) -> int:
    """Put sums by the hour in the place of rows from before an hour (retention).

    What was spent stays known for as long as the store is kept, and leads to no call.

    Args:
        conn: A connection.
        cutoff: What was used before this hour is summed up.
        tenant: Of one tenant alone; of all when None.

    Returns:
        How many rows were summed up.
    """
    use = llm_usage.c
    old = [use.at_hour < utc_hour(cutoff), use.purpose != SUMMED]
    if tenant is not None:
        old.append(use.tenant == tenant)
    keys = [use[name] for name in (*_GROUP, "at_hour")]
    amounts = ("requests", "prompt_tokens", "completion_tokens", "cost_micros")
    found = conn.execute(
        select(*keys, *(func.sum(use[name]).label(name) for name in amounts))
        .where(*old)
        .group_by(*keys)
    ).all()
    gone = conn.execute(delete(llm_usage).where(*old)).rowcount
    if found:
        conn.execute(
            insert(llm_usage),
            [
                {
                    **{name: getattr(row, name) for name in (*_GROUP, "at_hour")},
                    **{name: int(getattr(row, name)) for name in amounts},
                    "purpose": SUMMED,
                }
                for row in found
            ],
        )
    return gone
