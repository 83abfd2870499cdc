"""Learning that can be audited: revisions, flags, contexts, the guard's own acts, the shadow.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

SEQ = sa.BigInteger().with_variant(sa.Integer, "sqlite")
JSON_VALUE = sa.JSON(none_as_null=True).with_variant(
    postgresql.JSONB(none_as_null=True), "postgresql"
)


def upgrade() -> None:
    with op.batch_alter_table("decisions") as table:
        table.add_column(
            sa.Column("stage", sa.String(length=16), server_default="", nullable=False)
        )
        table.add_column(
            sa.Column("policy", sa.String(length=120), server_default="beta", nullable=False)
        )
        table.add_column(sa.Column("adapter", sa.String(length=120), nullable=True))
        table.add_column(sa.Column("engines", JSON_VALUE, server_default="{}", nullable=False))
    with op.batch_alter_table("feedback_events") as table:
        table.add_column(sa.Column("answered_after_s", sa.Float(), nullable=True))
        table.add_column(sa.Column("flags", JSON_VALUE, server_default="[]", nullable=False))
        table.add_column(sa.Column("context", JSON_VALUE, server_default="{}", nullable=False))
        table.add_column(sa.Column("revises", sa.Float(), nullable=True))
        table.add_column(sa.Column("revised_age", sa.Integer(), nullable=True))
        table.add_column(sa.Column("held", sa.String(length=120), nullable=True))
    with op.batch_alter_table(
        "deployment_events", table_kwargs={"sqlite_autoincrement": True}
    ) as table:
        table.add_column(sa.Column("act_id", sa.String(length=64), nullable=True))
        table.add_column(
            sa.Column("actor", sa.String(length=16), server_default="operator", nullable=False)
        )
        table.create_unique_constraint(op.f("uq_deployment_events_act_id"), ["act_id"])
    op.create_table(
        "shadow_results",
        sa.Column("seq", SEQ, autoincrement=True, nullable=False),
        sa.Column("tenant", sa.String(length=120), server_default="default", nullable=False),
        sa.Column("call_ref", sa.String(length=64), nullable=True),
        sa.Column("turn_id", sa.Integer(), nullable=False),
        sa.Column("variant", sa.String(length=120), nullable=False),
        sa.Column("score", sa.Float(), nullable=False),
        sa.Column("passed", sa.Boolean(), nullable=False),
        sa.Column("checks", JSON_VALUE, nullable=False),
        sa.Column("at_hour", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_shadow_results")),
        sa.UniqueConstraint(
            "call_ref", "turn_id", "variant", name=op.f("uq_shadow_results_call_ref_turn_id_variant")
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_shadow_results_call_ref"), "shadow_results", ["call_ref"], unique=False)
    op.create_index(op.f("ix_shadow_results_variant"), "shadow_results", ["variant"], unique=False)


def downgrade() -> None:
    op.drop_table("shadow_results")
    with op.batch_alter_table(
        "deployment_events", table_kwargs={"sqlite_autoincrement": True}
    ) as table:
        table.drop_constraint(op.f("uq_deployment_events_act_id"), type_="unique")
        table.drop_column("actor")
        table.drop_column("act_id")
    with op.batch_alter_table("feedback_events") as table:
        for name in ("held", "revised_age", "revises", "context", "flags", "answered_after_s"):
            table.drop_column(name)
    with op.batch_alter_table("decisions") as table:
        for name in ("engines", "adapter", "policy", "stage"):
            table.drop_column(name)
