"""Brings a database to the newest tables with alembic, run from the program at each start."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from apps.core.errors import StoreError
from apps.store.database import Database

MIGRATIONS = Path(__file__).resolve().parent / "migrations"


def migrate(database: Database, upto: str = "head") -> None:
    """Run the migrations that are missing, all in one transaction.

    The transaction is taken before alembic reads the version, so a second process that starts
    at the same time waits, and then finds nothing left to do.

    Args:
        database: Where.
        upto: Up to which revision.

    Raises:
        StoreError: The database refuses, or a newer TOM made it; it is unchanged.
    """
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    with database.transaction() as conn:
        config.attributes["connection"] = conn
        try:
            command.upgrade(config, upto)
        except CommandError as error:
            raise StoreError(
                f"The tables of {database.name} cannot be brought up to date: {error}.",
                hint="Was this database made by a newer TOM? Then run that one, or another file.",
            ) from error


def newest_revision() -> str | None:
    """Return the revision that this TOM's tables have."""
    return ScriptDirectory(str(MIGRATIONS)).get_current_head()


def revision(database: Database) -> str | None:
    """Return the revision of a database's tables, None without any; it is only read.

    Raises:
        StoreError: The database cannot be reached, or refuses.
    """
    with database.reading() as conn:
        return MigrationContext.configure(conn).get_current_revision()
