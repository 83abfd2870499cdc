"""What was learned about objections, proposed and reviewed.

Revision ID: 0009
Revises: 0008
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

SEQ = sa.BigInteger().with_variant(sa.Integer, "sqlite")
NAME = sa.String(length=120)
JSON_VALUE = sa.JSON(none_as_null=True).with_variant(
    postgresql.JSONB(none_as_null=True), "postgresql"
)


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "global_insights",
        sa.Column("seq", SEQ, autoincrement=True, nullable=False),
        sa.Column("tenant", NAME, server_default="default", nullable=False),
        sa.Column("insight_id", sa.String(length=64), nullable=False),
        sa.Column("action", sa.String(length=16), nullable=False),
        sa.Column("language", sa.String(length=8), nullable=False),
        sa.Column("space", NAME, nullable=False),
        sa.Column("objection", sa.Text(), nullable=False),
        sa.Column("phrases", JSON_VALUE, nullable=False),
        sa.Column("strategy", sa.Text(), nullable=False),
        sa.Column("persona", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("at_hour", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_global_insights")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_global_insights_tenant_insight_id"), "global_insights", ["tenant", "insight_id"]
    )


def downgrade() -> None:
    """Take it away."""
    op.drop_table("global_insights")
