"""Decisions of the adapter router, and their rewards.

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql


revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

JSON = sa.JSON(none_as_null=True).with_variant(
    postgresql.JSONB(none_as_null=True), "postgresql"
)
SEQ = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "adapter_routes",
        sa.Column("seq", SEQ, autoincrement=True, nullable=False),
        sa.Column("decision_id", sa.String(64), nullable=False),
        sa.Column("tenant", sa.String(120), server_default="default", nullable=False),
        sa.Column("domain", sa.String(120), nullable=False),
        sa.Column("adapter", sa.String(120), nullable=True),
        sa.Column("phase", sa.String(16), nullable=False),
        sa.Column("confidence", sa.Float(), nullable=False),
        sa.Column("propensity", sa.Float(), nullable=False),
        sa.Column("scores", JSON, nullable=False),
        sa.Column("at_hour", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_adapter_routes")),
        sa.UniqueConstraint("decision_id", name=op.f("uq_adapter_routes_decision_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_adapter_routes_at_hour"), "adapter_routes", ["at_hour"])
    op.create_table(
        "adapter_route_rewards",
        sa.Column("seq", SEQ, autoincrement=True, nullable=False),
        sa.Column("decision_id", sa.String(64), nullable=False),
        sa.Column("tenant", sa.String(120), server_default="default", nullable=False),
        sa.Column("reward", sa.Float(), nullable=False),
        sa.Column("at_hour", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["decision_id"],
            ["adapter_routes.decision_id"],
            name=op.f("fk_adapter_route_rewards_decision_id_adapter_routes"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_adapter_route_rewards")),
        sa.UniqueConstraint("decision_id", name=op.f("uq_adapter_route_rewards_decision_id")),
        sqlite_autoincrement=True,
    )


def downgrade() -> None:
    op.drop_table("adapter_route_rewards")
    op.drop_index(op.f("ix_adapter_routes_at_hour"), table_name="adapter_routes")
    op.drop_table("adapter_routes")
