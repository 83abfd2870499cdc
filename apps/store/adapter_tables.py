"""The tables of adapters: what there is, which prompts they got, and what they learn from."""

from __future__ import annotations

from sqlalchemy import (
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from apps.store.schema import JSON_VALUE, NAME, REF, UtcDateTime, metadata, seq, tenant

adapters = Table(
    "adapters",
    metadata,
    seq(),
    tenant(),
    Column("adapter_id", NAME, nullable=False, unique=True),
    Column("served", NAME, nullable=False, unique=True),
    Column("record", JSON_VALUE, nullable=False),
    Column("signature", REF, nullable=False),
    Column("at_hour", UtcDateTime, nullable=False),
    sqlite_autoincrement=True,
)

adapter_events = Table(
    "adapter_events",
    metadata,
    seq(),
    tenant(),
    Column("adapter_id", NAME, ForeignKey("adapters.adapter_id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("actor", String(16), nullable=False),
    Column("action", NAME, nullable=False),
    Column("why", Text, nullable=False),
    Column("data", JSON_VALUE, nullable=False),
    Column("signature", REF, nullable=False),
    Column("at_hour", UtcDateTime, nullable=False),
    UniqueConstraint("adapter_id", "number"),
    sqlite_autoincrement=True,
)

adapter_routes = Table(
    "adapter_routes",
    metadata,
    seq(),
    Column("decision_id", REF, nullable=False, unique=True),
    tenant(),
    Column("domain", NAME, nullable=False),
    Column("adapter", NAME, nullable=True),
    Column("phase", String(16), nullable=False),
    Column("confidence", Float, nullable=False),
    Column("propensity", Float, nullable=False),
    Column("scores", JSON_VALUE, nullable=False),
    Column("at_hour", UtcDateTime, nullable=False, index=True),
    sqlite_autoincrement=True,
)

adapter_route_rewards = Table(
    "adapter_route_rewards",
    metadata,
    seq(),
    Column(
        "decision_id",
        REF,
        ForeignKey("adapter_routes.decision_id", ondelete="CASCADE"),
        nullable=False,
        unique=True,
    ),
    tenant(),
    Column("reward", Float, nullable=False),
    Column("at_hour", UtcDateTime, nullable=False),
    sqlite_autoincrement=True,
)

training_pool = Table(
    "training_pool",
    metadata,
    seq(),
    Column("example_id", REF, nullable=False, unique=True),
    tenant(),
    Column("call_ref", REF, nullable=False, index=True),
    Column("domain", NAME, nullable=False),
    Column("example", JSON_VALUE, nullable=False),
    Column("state", String(16), nullable=False),
    Column("why", Text, nullable=False),
    Column("batch_id", REF, nullable=True, index=True),
    Column("at_hour", UtcDateTime, nullable=False, index=True),
    Index(None, "tenant", "domain", "state"),
    sqlite_autoincrement=True,
)

training_batches = Table(
    "training_batches",
    metadata,
    seq(),
    Column("batch_id", REF, nullable=False, unique=True),
    tenant(),
    Column("domain", NAME, nullable=False),
    Column("objective", String(16), nullable=False),
    Column("fresh", Integer, nullable=False),
    Column("replayed", Integer, nullable=False),
    Column("mean_quality", Float, nullable=False),
    Column("state", String(16), nullable=False),
    Column("adapter_id", NAME, nullable=True),
    Column("why", Text, nullable=False),
    Column("at_hour", UtcDateTime, nullable=False),
    sqlite_autoincrement=True,
)
