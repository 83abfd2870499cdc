"""Outgoing calls: who may be called and who may not, every attempt, and which way a call went.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

SEQ = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.add_column(
        "calls",
        sa.Column("direction", sa.String(length=16), server_default="incoming", nullable=False),
    )
    op.create_table(
        "consents",
        sa.Column("seq", SEQ, autoincrement=True, nullable=False),
        sa.Column("tenant", sa.String(length=120), server_default="default", nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("action", sa.String(length=16), nullable=False),
        sa.Column("purpose", sa.String(length=120), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("at_hour", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_consents")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_consents_subject"), "consents", ["subject"], unique=False)
    op.create_table(
        "outgoing_attempts",
        sa.Column("seq", SEQ, autoincrement=True, nullable=False),
        sa.Column("outgoing_ref", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("tenant", sa.String(length=120), server_default="default", nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=True),
        sa.Column("profile", sa.String(length=120), nullable=False),
        sa.Column("language", sa.String(length=8), nullable=False),
        sa.Column("purpose", sa.String(length=120), nullable=False),
        sa.Column("via", sa.String(length=120), nullable=False),
        sa.Column("decision", sa.String(length=120), nullable=False),
        sa.Column("result", sa.String(length=120), nullable=True),
        sa.Column("call_ref", sa.String(length=64), nullable=True),
        sa.Column("at_hour", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_outgoing_attempts")),
        sa.UniqueConstraint(
            "outgoing_ref", "number", name=op.f("uq_outgoing_attempts_outgoing_ref_number")
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_outgoing_attempts_subject"), "outgoing_attempts", ["subject"], unique=False
    )
    op.create_index(
        op.f("ix_outgoing_attempts_at_hour"), "outgoing_attempts", ["at_hour"], unique=False
    )


def downgrade() -> None:
    op.drop_table("outgoing_attempts")
    op.drop_table("consents")
    op.drop_column("calls", "direction")
