"""The search for abuse asks for a caller's and for a variant's latest feedback at every call's end.

Revision ID: 0004
Revises: 0003
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for column in ("subject", "variant"):
        op.create_index(
            op.f(f"ix_feedback_events_{column}_seq"),
            "feedback_events",
            [column, "seq"],
            unique=False,
        )


def downgrade() -> None:
    for column in ("variant", "subject"):
        op.drop_index(op.f(f"ix_feedback_events_{column}_seq"), table_name="feedback_events")
