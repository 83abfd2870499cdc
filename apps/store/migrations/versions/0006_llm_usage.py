"""What the language servers' answers cost: tokens and money, by call, turn and tenant.

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

SEQ = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "llm_usage",
        sa.Column("seq", SEQ, autoincrement=True, nullable=False),
        sa.Column("tenant", sa.String(length=120), server_default="default", nullable=False),
        sa.Column("call_ref", sa.String(length=64), nullable=True),
        sa.Column("turn_id", sa.Integer(), nullable=True),
        sa.Column("purpose", sa.String(length=16), nullable=False),
        sa.Column("provider", sa.String(length=120), nullable=False),
        sa.Column("model", sa.String(length=120), nullable=False),
        sa.Column("adapter", sa.String(length=120), nullable=True),
        sa.Column("adapter_missing", sa.Boolean(), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("requests", sa.Integer(), server_default="1", nullable=False),
        sa.Column("prompt_tokens", sa.BigInteger(), nullable=False),
        sa.Column("completion_tokens", sa.BigInteger(), nullable=False),
        sa.Column("estimated", sa.Boolean(), nullable=False),
        sa.Column("cost_micros", sa.BigInteger(), nullable=False),
        sa.Column("first_token_ms", sa.Float(), nullable=True),
        sa.Column("at_hour", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_llm_usage")),
        sqlite_autoincrement=True,
    )
    for column in ("call_ref", "at_hour"):
        op.create_index(op.f(f"ix_llm_usage_{column}"), "llm_usage", [column], unique=False)


def downgrade() -> None:
    for column in ("at_hour", "call_ref"):
        op.drop_index(op.f(f"ix_llm_usage_{column}"), table_name="llm_usage")
    op.drop_table("llm_usage")
