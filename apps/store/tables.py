"""Every table of TOM. A change here needs a migration in ``migrations/versions`` (a test checks).

Rows carry their tenant and, where they stem from a person, that person's pseudonymous subject key.
Ids of calls and persons are keyed hashes (``apps.core.ids.keyed_hash``), never the ids themselves.
Times say no more than the hour; ``seq`` tells the order.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import JSONB

from apps.core.ids import DEFAULT_TENANT

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware moment in UTC; SQLite alone would give it back naive."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Turn an aware moment into UTC; a naive one is refused.

        Raises:
            ValueError: The moment does not say its zone.
        """
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a stored moment must be aware")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give the moment back aware, in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


JSON_VALUE = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
SEQ = BigInteger().with_variant(Integer, "sqlite")  # only INTEGER counts up by itself in SQLite
REF = String(64)
NAME = String(120)


def _tenant() -> Column[str]:
    return Column("tenant", NAME, nullable=False, server_default=DEFAULT_TENANT)


meta = Table(
    "meta",
    metadata,
    Column("key", NAME, primary_key=True),
    Column("value", Text, nullable=False),
)

calls = Table(
    "calls",
    metadata,
    Column("seq", SEQ, primary_key=True, autoincrement=True),
    Column("call_ref", REF, nullable=False, unique=True),
    _tenant(),
    Column("subject", REF, nullable=True, index=True),
    Column("profile", NAME, nullable=False),
    Column("language", String(8), nullable=False),
    Column("door", NAME, nullable=False),
    Column("origin", String(16), nullable=False),
    Column("direction", String(16), nullable=False, server_default="incoming"),
    Column("variant", NAME, nullable=True),
    Column("started_hour", UtcDateTime, nullable=False, index=True),
    Column("ended_hour", UtcDateTime, nullable=True),
    Column("reason", NAME, nullable=True),
    Column("duration_s", Float, nullable=True),
    sqlite_autoincrement=True,
)

call_events = Table(
    "call_events",
    metadata,
    Column("call_ref", REF, ForeignKey("calls.call_ref", ondelete="CASCADE"), nullable=False),
    Column("seq", Integer, nullable=False),
    _tenant(),
    Column("at_ms", Float, nullable=False),
    Column("kind", NAME, nullable=False),
    Column("turn_id", Integer, nullable=True),
    Column("data", JSON_VALUE, nullable=False),
    PrimaryKeyConstraint("call_ref", "seq"),
)

decisions = Table(
    "decisions",
    metadata,
    Column("seq", SEQ, primary_key=True, autoincrement=True),
    Column("call_ref", REF, nullable=False, unique=True),
    _tenant(),
    Column("subject", REF, nullable=True),
    Column("variant", NAME, nullable=False),
    Column("stage", String(16), nullable=False, server_default=""),
    Column("policy", NAME, nullable=False, server_default="beta"),
    Column("adapter", NAME, nullable=True),
    Column("route", NAME, nullable=True),
    Column("route_chance", Float, nullable=True),
    Column("engines", JSON_VALUE, nullable=False, server_default="{}"),
    Column("propensity", Float, nullable=False),
    Column("propensities", JSON_VALUE, nullable=False),
    Column("stages", JSON_VALUE, nullable=False),
    Column("context", JSON_VALUE, nullable=False),
    Column("why", Text, nullable=False),
    Column("learns", Boolean, nullable=False),
    Column("state_version", Integer, nullable=False),
    Column("at_hour", UtcDateTime, nullable=False, index=True),
    sqlite_autoincrement=True,
)

feedback_events = Table(
    "feedback_events",
    metadata,
    Column("seq", SEQ, primary_key=True, autoincrement=True),
    Column("event_id", REF, nullable=False, unique=True),
    _tenant(),
    Column("subject", REF, nullable=True),
    Column("call_ref", REF, nullable=True, index=True),
    Column("kind", String(16), nullable=False),
    Column("variant", NAME, nullable=False),
    Column("profile", NAME, nullable=True),
    Column("rating", Integer, nullable=True),
    Column("rating_offered", Boolean, nullable=False),
    Column("rating_answered", Boolean, nullable=False),
    Column("answered_after_s", Float, nullable=True),
    Column("signals", JSON_VALUE, nullable=False),
    Column("flags", JSON_VALUE, nullable=False, server_default="[]"),
    Column("context", JSON_VALUE, nullable=False, server_default="{}"),
    Column("reward", Float, nullable=True),
    Column("revises", Float, nullable=True),
    Column("revised_age", Integer, nullable=True),
    Column("held", NAME, nullable=True),
    Column("components", JSON_VALUE, nullable=False),
    Column("missing", JSON_VALUE, nullable=False),
    Column("learns", Boolean, nullable=False),
    Column("at_hour", UtcDateTime, nullable=False),
    Index(None, "at_hour"),
    Index(None, "subject", "seq"),
    Index(None, "variant", "seq"),
    sqlite_autoincrement=True,
)

deployment_events = Table(
    "deployment_events",
    metadata,
    Column("seq", SEQ, primary_key=True, autoincrement=True),
    Column("act_id", REF, nullable=True, unique=True),
    _tenant(),
    Column("actor", String(16), nullable=False, server_default="operator"),
    Column("action", NAME, nullable=False),
    Column("variant", NAME, nullable=True),
    Column("why", Text, nullable=False),
    Column("data", JSON_VALUE, nullable=False),
    Column("at_hour", UtcDateTime, nullable=False),
    sqlite_autoincrement=True,
)

shadow_results = Table(
    "shadow_results",
    metadata,
    Column("seq", SEQ, primary_key=True, autoincrement=True),
    _tenant(),
    Column("call_ref", REF, nullable=True, index=True),
    Column("turn_id", Integer, nullable=False),
    Column("variant", NAME, nullable=False, index=True),
    Column("score", Float, nullable=False),
    Column("passed", Boolean, nullable=False),
    Column("checks", JSON_VALUE, nullable=False),
    Column("at_hour", UtcDateTime, nullable=False),
    UniqueConstraint("call_ref", "turn_id", "variant"),
    sqlite_autoincrement=True,
)

consents = Table(
    "consents",
    metadata,
    Column("seq", SEQ, primary_key=True, autoincrement=True),
    _tenant(),
    Column("subject", REF, nullable=False, index=True),
    Column("action", String(16), nullable=False),
    Column("purpose", NAME, nullable=False),
    Column("source", Text, nullable=False),
    Column("at_hour", UtcDateTime, nullable=False),
    sqlite_autoincrement=True,
)

outgoing_attempts = Table(
    "outgoing_attempts",
    metadata,
    Column("seq", SEQ, primary_key=True, autoincrement=True),
    Column("outgoing_ref", REF, nullable=False),
    Column("number", Integer, nullable=False),
    _tenant(),
    Column("subject", REF, nullable=True, index=True),
    Column("profile", NAME, nullable=False),
    Column("language", String(8), nullable=False),
    Column("purpose", NAME, nullable=False),
    Column("via", NAME, nullable=False),
    Column("decision", NAME, nullable=False),
    Column("result", NAME, nullable=True),
    Column("call_ref", REF, nullable=True),
    Column("at_hour", UtcDateTime, nullable=False, index=True),
    UniqueConstraint("outgoing_ref", "number"),
    sqlite_autoincrement=True,
)

adapters = Table(
    "adapters",
    metadata,
    Column("seq", SEQ, primary_key=True, autoincrement=True),
    _tenant(),
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
    Column("seq", SEQ, primary_key=True, autoincrement=True),
    _tenant(),
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

llm_usage = Table(
    "llm_usage",
    metadata,
    Column("seq", SEQ, primary_key=True, autoincrement=True),
    _tenant(),
    Column("call_ref", REF, nullable=True, index=True),
    Column("turn_id", Integer, nullable=True),
    Column("purpose", String(16), nullable=False),
    Column("provider", NAME, nullable=False),
    Column("model", NAME, nullable=False),
    Column("adapter", NAME, nullable=True),
    Column("adapter_missing", Boolean, nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("requests", Integer, nullable=False, server_default="1"),
    Column("prompt_tokens", BigInteger, nullable=False),
    Column("completion_tokens", BigInteger, nullable=False),
    Column("estimated", Boolean, nullable=False),
    Column("cost_micros", BigInteger, nullable=False),
    Column("first_token_ms", Float, nullable=True),
    Column("at_hour", UtcDateTime, nullable=False, index=True),
    sqlite_autoincrement=True,
)

adapter_routes = Table(
    "adapter_routes",
    metadata,
    Column("seq", SEQ, primary_key=True, autoincrement=True),
    Column("decision_id", REF, nullable=False, unique=True),
    _tenant(),
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
    Column("seq", SEQ, primary_key=True, autoincrement=True),
    Column(
        "decision_id",
        REF,
        ForeignKey("adapter_routes.decision_id", ondelete="CASCADE"),
        nullable=False,
        unique=True,
    ),
    _tenant(),
    Column("reward", Float, nullable=False),
    Column("at_hour", UtcDateTime, nullable=False),
    sqlite_autoincrement=True,
)

training_pool = Table(
    "training_pool",
    metadata,
    Column("seq", SEQ, primary_key=True, autoincrement=True),
    Column("example_id", REF, nullable=False, unique=True),
    _tenant(),
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
    Column("seq", SEQ, primary_key=True, autoincrement=True),
    Column("batch_id", REF, nullable=False, unique=True),
    _tenant(),
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
