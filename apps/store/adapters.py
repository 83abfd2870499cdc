"""The registry's truth: adapters as they were registered, and, append-only, what became of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, exists, func, select

from apps.core.clock import utc_hour, utc_now
from apps.core.ids import DEFAULT_TENANT
from apps.store.adapter_tables import adapter_events, adapters
from apps.store.call_tables import calls
from apps.store.dialect import insert_new
from apps.store.learning_tables import decisions, feedback_events

_NEWEST = select(func.coalesce(func.max(adapters.c.seq), 0))
_LAST = select(func.coalesce(func.max(adapter_events.c.seq), 0))


@dataclass(frozen=True, slots=True)
class AdapterRow:
    """One adapter, as it was registered.

    Attributes:
        adapter_id: ``<domain>/<method>-rX-vY``.
        served: The name under which a server serves it.
        record: What is known of it and does not change.
        signature: Of the record.
        tenant: Whose it is.
        at_hour: When, cut to the hour.
        seq: 0 until it is stored.
    """

    adapter_id: str
    served: str
    record: Mapping[str, object]
    signature: str
    tenant: str = DEFAULT_TENANT
    at_hour: datetime | None = None
    seq: int = 0


@dataclass(frozen=True, slots=True)
class AdapterEventRow:
    """One thing that happened to an adapter.

    Attributes:
        adapter_id: To which one.
        number: Its running number among that adapter's events, from 1. Of several processes that
            come to the same step one stores it.
        action: What happened.
        why: A sentence.
        data: What the fold needs besides.
        actor: ``operator``, ``rollout`` or ``training``.
        signature: Of all this.
        tenant: Whose it is.
        at_hour: When, cut to the hour.
        seq: 0 until it is stored.
    """

    adapter_id: str
    number: int
    action: str
    why: str
    data: Mapping[str, object] = field(default_factory=dict)
    actor: str = "operator"
    signature: str = ""
    tenant: str = DEFAULT_TENANT
    at_hour: datetime | None = None
    seq: int = 0


def add_adapter(conn: Connection, row: AdapterRow) -> bool:
    """Store an adapter.

    Returns:
        False when its id or its served name is there already: nothing changes.
    """
    values = {
        "tenant": row.tenant,
        "adapter_id": row.adapter_id,
        "served": row.served,
        "record": dict(row.record),
        "signature": row.signature,
        "at_hour": utc_hour(row.at_hour or utc_now()),
    }
    return insert_new(conn, adapters, [values]) == 1


def load_adapters(conn: Connection, *, tenant: str = DEFAULT_TENANT) -> list[AdapterRow]:
    """Return all adapters, the oldest first."""
    rows = conn.execute(
        select(adapters).where(adapters.c.tenant == tenant).order_by(adapters.c.seq)
    )
    return [
        AdapterRow(r.adapter_id, r.served, r.record, r.signature, r.tenant, r.at_hour, r.seq)
        for r in rows
    ]


def append_adapter_event(conn: Connection, event: AdapterEventRow) -> bool:
    """Append what happened to an adapter.

    Returns:
        False when it has an event of this number already: nothing changes.
    """
    values = {
        "tenant": event.tenant,
        "adapter_id": event.adapter_id,
        "number": event.number,
        "actor": event.actor,
        "action": event.action,
        "why": event.why,
        "data": dict(event.data),
        "signature": event.signature,
        "at_hour": utc_hour(event.at_hour or utc_now()),
    }
    return insert_new(conn, adapter_events, [values]) == 1


def load_adapter_events(
    conn: Connection, *, since: int = 0, tenant: str = DEFAULT_TENANT
) -> list[AdapterEventRow]:
    """Return what happened to adapters after a ``seq``, in order."""
    event = adapter_events.c
    rows = conn.execute(
        select(adapter_events).where(event.seq > since, event.tenant == tenant).order_by(event.seq)
    )
    return [
        AdapterEventRow(
            r.adapter_id,
            r.number,
            r.action,
            r.why,
            r.data,
            r.actor,
            r.signature,
            r.tenant,
            r.at_hour,
            r.seq,
        )
        for r in rows
    ]


def last_adapter_event(conn: Connection) -> int:
    """Return the ``seq`` of what happened last to any adapter; 0 before anything did."""
    return int(conn.execute(_LAST).scalar_one())


def registry_version(conn: Connection) -> tuple[int, int]:
    """Return the newest adapter's ``seq`` and the newest event's; the registry is as old."""
    return int(conn.execute(_NEWEST).scalar_one()), last_adapter_event(conn)


def open_calls_with(conn: Connection, served: str, since: datetime) -> int:
    """Return how many calls are under way with an adapter, in any process.

    A call counts from the moment on at which its choice is stored.

    Args:
        conn: Reads.
        served: The adapter's served name.
        since: Calls that began before have ended, whether or not anybody could say so.
    """
    ended = exists().where(
        calls.c.call_ref == decisions.c.call_ref, calls.c.ended_hour.is_not(None)
    )
    told = exists().where(feedback_events.c.call_ref == decisions.c.call_ref)
    found = conn.execute(
        select(func.count())
        .select_from(decisions)
        .where(decisions.c.adapter == served, decisions.c.at_hour >= since, ~ended, ~told)
    )
    return int(found.scalar_one())
