"""Rated turns that adapters may learn from, and the batches that were made of them.

Revision ID: 0010
Revises: 0009
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

SEQ = sa.BigInteger().with_variant(sa.Integer, "sqlite")
JSON_VALUE = sa.JSON(none_as_null=True).with_variant(
    postgresql.JSONB(none_as_null=True), "postgresql"
)


def upgrade() -> None:
    op.create_table(
        "training_pool",
        sa.Column("seq", SEQ, autoincrement=True, nullable=False),
        sa.Column("example_id", sa.String(length=64), nullable=False),
        sa.Column("tenant", sa.String(length=120), server_default="default", nullable=False),
        sa.Column("call_ref", sa.String(length=64), nullable=False),
        sa.Column("domain", sa.String(length=120), nullable=False),
        sa.Column("example", JSON_VALUE, nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("batch_id", sa.String(length=64), nullable=True),
        sa.Column("at_hour", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_training_pool")),
        sa.UniqueConstraint("example_id", name=op.f("uq_training_pool_example_id")),
        sqlite_autoincrement=True,
    )
    for column in ("call_ref", "batch_id", "at_hour"):
        op.create_index(op.f(f"ix_training_pool_{column}"), "training_pool", [column])
    op.create_index(
        op.f("ix_training_pool_tenant_domain_state"),
        "training_pool",
        ["tenant", "domain", "state"],
    )
    op.create_table(
        "training_batches",
        sa.Column("seq", SEQ, autoincrement=True, nullable=False),
        sa.Column("batch_id", sa.String(length=64), nullable=False),
        sa.Column("tenant", sa.String(length=120), server_default="default", nullable=False),
        sa.Column("domain", sa.String(length=120), nullable=False),
        sa.Column("objective", sa.String(length=16), nullable=False),
        sa.Column("fresh", sa.Integer(), nullable=False),
        sa.Column("replayed", sa.Integer(), nullable=False),
        sa.Column("mean_quality", sa.Float(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("adapter_id", sa.String(length=120), nullable=True),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("at_hour", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_training_batches")),
        sa.UniqueConstraint("batch_id", name=op.f("uq_training_batches_batch_id")),
        sqlite_autoincrement=True,
    )


def downgrade() -> None:
    op.drop_table("training_batches")
    op.drop_index(op.f("ix_training_pool_tenant_domain_state"), table_name="training_pool")
    for column in ("at_hour", "batch_id", "call_ref"):
        op.drop_index(op.f(f"ix_training_pool_{column}"), table_name="training_pool")
    op.drop_table("training_pool")
