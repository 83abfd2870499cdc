"""Drop the HNSW indexes of PostgreSQL that every start made: a large collection's is made anew.

Kept up from the first passage on, they made storing ten times slower, and up to 200,000 passages
nobody searched them.

Revision ID: 0013
Revises: 0012
"""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_MADE = (
    "SELECT indexname FROM pg_indexes WHERE schemaname = current_schema()"
    " AND (indexname LIKE 'hnsw\\_kb\\_chunks\\_%%'"
    " OR indexname LIKE 'hnsw\\_knowledge\\_graph\\_nodes\\_%%')"
)


def upgrade() -> None:
    bind = op.get_bind()
    if bind.dialect.name != "postgresql":
        return
    for name in bind.exec_driver_sql(_MADE).scalars().all():
        op.execute(f'DROP INDEX "{name}"')


def downgrade() -> None:
    """They are made where they are needed."""
