"""First tables: calls and their events, decisions, feedback, deployment acts.

Revision ID: 0001
Revises: none
"""

from uuid import uuid4

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# A migration is history: it says what the types were, and does not follow apps/store/tables.py.
JSON_VALUE = sa.JSON(none_as_null=True).with_variant(
    postgresql.JSONB(none_as_null=True), "postgresql"
)
SEQ = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "calls",
        sa.Column("seq", SEQ, autoincrement=True, nullable=False),
        sa.Column("call_ref", sa.String(length=64), nullable=False),
        sa.Column("tenant", sa.String(length=120), server_default="default", nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=True),
        sa.Column("profile", sa.String(length=120), nullable=False),
        sa.Column("language", sa.String(length=8), nullable=False),
        sa.Column("door", sa.String(length=120), nullable=False),
        sa.Column("origin", sa.String(length=16), nullable=False),
        sa.Column("variant", sa.String(length=120), nullable=True),
        sa.Column("started_hour", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_hour", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.String(length=120), nullable=True),
        sa.Column("duration_s", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_calls")),
        sa.UniqueConstraint("call_ref", name=op.f("uq_calls_call_ref")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_calls_started_hour"), "calls", ["started_hour"], unique=False)
    op.create_index(op.f("ix_calls_subject"), "calls", ["subject"], unique=False)
    op.create_table(
        "decisions",
        sa.Column("seq", SEQ, autoincrement=True, nullable=False),
        sa.Column("call_ref", sa.String(length=64), nullable=False),
        sa.Column("tenant", sa.String(length=120), server_default="default", nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=True),
        sa.Column("variant", sa.String(length=120), nullable=False),
        sa.Column("propensity", sa.Float(), nullable=False),
        sa.Column("propensities", JSON_VALUE, nullable=False),
        sa.Column("stages", JSON_VALUE, nullable=False),
        sa.Column("context", JSON_VALUE, nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("learns", sa.Boolean(), nullable=False),
        sa.Column("state_version", sa.Integer(), nullable=False),
        sa.Column("at_hour", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_decisions")),
        sa.UniqueConstraint("call_ref", name=op.f("uq_decisions_call_ref")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_decisions_at_hour"), "decisions", ["at_hour"], unique=False)
    op.create_table(
        "deployment_events",
        sa.Column("seq", SEQ, autoincrement=True, nullable=False),
        sa.Column("tenant", sa.String(length=120), server_default="default", nullable=False),
        sa.Column("action", sa.String(length=120), nullable=False),
        sa.Column("variant", sa.String(length=120), nullable=True),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("data", JSON_VALUE, nullable=False),
        sa.Column("at_hour", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_deployment_events")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "feedback_events",
        sa.Column("seq", SEQ, autoincrement=True, nullable=False),
        sa.Column("event_id", sa.String(length=64), nullable=False),
        sa.Column("tenant", sa.String(length=120), server_default="default", nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=True),
        sa.Column("call_ref", sa.String(length=64), nullable=True),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("variant", sa.String(length=120), nullable=False),
        sa.Column("profile", sa.String(length=120), nullable=True),
        sa.Column("rating", sa.Integer(), nullable=True),
        sa.Column("rating_offered", sa.Boolean(), nullable=False),
        sa.Column("rating_answered", sa.Boolean(), nullable=False),
        sa.Column("signals", JSON_VALUE, nullable=False),
        sa.Column("reward", sa.Float(), nullable=True),
        sa.Column("components", JSON_VALUE, nullable=False),
        sa.Column("missing", JSON_VALUE, nullable=False),
        sa.Column("learns", sa.Boolean(), nullable=False),
        sa.Column("at_hour", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_feedback_events")),
        sa.UniqueConstraint("event_id", name=op.f("uq_feedback_events_event_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_feedback_events_at_hour"), "feedback_events", ["at_hour"], unique=False
    )
    op.create_index(
        op.f("ix_feedback_events_call_ref"), "feedback_events", ["call_ref"], unique=False
    )
    op.create_table(
        "meta",
        sa.Column("key", sa.String(length=120), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_meta")),
    )
    op.create_table(
        "call_events",
        sa.Column("call_ref", sa.String(length=64), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("tenant", sa.String(length=120), server_default="default", nullable=False),
        sa.Column("at_ms", sa.Float(), nullable=False),
        sa.Column("kind", sa.String(length=120), nullable=False),
        sa.Column("turn_id", sa.Integer(), nullable=True),
        sa.Column("data", JSON_VALUE, nullable=False),
        sa.ForeignKeyConstraint(
            ["call_ref"],
            ["calls.call_ref"],
            name=op.f("fk_call_events_call_ref_calls"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("call_ref", "seq", name=op.f("pk_call_events")),
    )
    meta = sa.table("meta", sa.column("key", sa.String), sa.column("value", sa.Text))
    op.bulk_insert(meta, [{"key": "store_id", "value": uuid4().hex}])


def downgrade() -> None:
    op.drop_table("call_events")
    op.drop_table("meta")
    op.drop_table("feedback_events")
    op.drop_table("deployment_events")
    op.drop_table("decisions")
    op.drop_table("calls")
