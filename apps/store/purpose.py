"""What a store is for: callers, or trying things with simulated ones (a sandbox)."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, bindparam, insert, select

from apps.core.errors import StoreError
from apps.store.database import Database, open_database
from apps.store.migrate import revision
from apps.store.schema import meta

_KEY, _SANDBOX = "purpose", "sandbox"
_PURPOSE = select(meta.c.value).where(meta.c.key == bindparam("key"))


def is_sandbox(conn: Connection) -> bool:
    """Tell whether a store is a sandbox: all that is in it was simulated."""
    return conn.execute(_PURPOSE, {"key": _KEY}).scalar() == _SANDBOX


def open_sandbox(path: Path) -> Database:
    """Return the sandbox in a file; where there is none, it is made.

    Raises:
        StoreError: The file is a store for callers, or cannot be opened.
    """
    is_new = not path.is_file() or revision(Database(path, pooled=False)) is None
    db = open_database(path)
    with db.transaction() as conn:
        if is_new:
            conn.execute(insert(meta).values(key=_KEY, value=_SANDBOX))
        elif not is_sandbox(conn):
            raise StoreError(
                f"{path} is no sandbox: what is in it came from callers, and simulated calls must "
                "not be mixed with theirs.",
                hint="Name a file that is not there yet.",
                code="no_sandbox",
            )
    return db


def refuse_sandbox(db: Database) -> None:
    """Make sure that a store is for callers.

    Raises:
        StoreError: It is a sandbox.
    """
    with db.reading() as conn:
        if is_sandbox(conn):
            raise StoreError(
                f"{db.name} is a sandbox: what it has learned came from simulated callers, and "
                "serves no others.",
                hint="Set RL_FEEDBACK_DB_PATH to another file.",
                code="sandbox",
            )
