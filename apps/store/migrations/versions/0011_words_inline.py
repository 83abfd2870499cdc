"""PostgreSQL keeps passages' words in the row as they are: a search ranks a thousand of them.

Revision ID: 0011
Revises: 0010
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _store("MAIN")


def downgrade() -> None:
    _store("EXTENDED")


def _store(how: str) -> None:
    """Rows that are there stay as they are until their document is read again."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"ALTER TABLE kb_chunks ALTER COLUMN words SET STORAGE {how}")
