"""Adapters, what became of them, and by which route a call got its own.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

SEQ = sa.BigInteger().with_variant(sa.Integer, "sqlite")
JSON_VALUE = sa.JSON(none_as_null=True).with_variant(
    postgresql.JSONB(none_as_null=True), "postgresql"
)


def upgrade() -> None:
    op.add_column("decisions", sa.Column("route", sa.String(length=120), nullable=True))
    op.add_column("decisions", sa.Column("route_chance", sa.Float(), nullable=True))
    op.create_table(
        "adapters",
        sa.Column("seq", SEQ, autoincrement=True, nullable=False),
        sa.Column("tenant", sa.String(length=120), server_default="default", nullable=False),
        sa.Column("adapter_id", sa.String(length=120), nullable=False),
        sa.Column("served", sa.String(length=120), nullable=False),
        sa.Column("record", JSON_VALUE, nullable=False),
        sa.Column("signature", sa.String(length=64), nullable=False),
        sa.Column("at_hour", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_adapters")),
        sa.UniqueConstraint("adapter_id", name=op.f("uq_adapters_adapter_id")),
        sa.UniqueConstraint("served", name=op.f("uq_adapters_served")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "adapter_events",
        sa.Column("seq", SEQ, autoincrement=True, nullable=False),
        sa.Column("tenant", sa.String(length=120), server_default="default", nullable=False),
        sa.Column("adapter_id", sa.String(length=120), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("actor", sa.String(length=16), nullable=False),
        sa.Column("action", sa.String(length=120), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("data", JSON_VALUE, nullable=False),
        sa.Column("signature", sa.String(length=64), nullable=False),
        sa.Column("at_hour", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["adapter_id"],
            ["adapters.adapter_id"],
            name=op.f("fk_adapter_events_adapter_id_adapters"),
        ),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_adapter_events")),
        sa.UniqueConstraint(
            "adapter_id", "number", name=op.f("uq_adapter_events_adapter_id_number")
        ),
        sqlite_autoincrement=True,
    )


def downgrade() -> None:
    op.drop_table("adapter_events")
    op.drop_table("adapters")
    with op.batch_alter_table("decisions", table_kwargs={"sqlite_autoincrement": True}) as table:
        table.drop_column("route_chance")
        table.drop_column("route")
