"""The tables of calls: what happened in them, what they cost, who agreed, and calls that go out."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Integer,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from apps.store.schema import JSON_VALUE, NAME, REF, UtcDateTime, metadata, seq, tenant

calls = Table(
    "calls",
    metadata,
    seq(),
    Column("call_ref", REF, nullable=False, unique=True),
    tenant(),
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
    Column("server", REF, nullable=True),
    sqlite_autoincrement=True,
)

call_events = Table(
    "call_events",
    metadata,
    Column("call_ref", REF, ForeignKey("calls.call_ref", ondelete="CASCADE"), nullable=False),
    Column("seq", Integer, nullable=False),
    tenant(),
    Column("at_ms", Float, nullable=False),
    Column("kind", NAME, nullable=False),
    Column("turn_id", Integer, nullable=True),
    Column("data", JSON_VALUE, nullable=False),
    PrimaryKeyConstraint("call_ref", "seq"),
)

consents = Table(
    "consents",
    metadata,
    seq(),
    tenant(),
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
    seq(),
    Column("outgoing_ref", REF, nullable=False),
    Column("number", Integer, nullable=False),
    tenant(),
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

llm_usage = Table(
    "llm_usage",
    metadata,
    seq(),
    tenant(),
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
