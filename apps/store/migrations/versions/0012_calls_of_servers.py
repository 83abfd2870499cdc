"""Calls are marked with the server that holds them, so that those of a killed one can be closed.

Revision ID: 0012
Revises: 0011
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("calls", sa.Column("server", sa.String(length=64), nullable=True))


def downgrade() -> None:
    op.drop_column("calls", "server")
