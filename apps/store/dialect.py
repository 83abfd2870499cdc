"""The few statements that SQLite and PostgreSQL both have, but not standard SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite


def insert_new(conn: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> int:
    """Insert rows, passing over those whose key is there already.

    Returns:
        How many rows are new.
    """
    if not rows:
        return 0
    insert = postgresql.insert if conn.dialect.name == "postgresql" else sqlite.insert
    statement = insert(table).on_conflict_do_nothing().inline()  # nobody asks for the new key
    counted = statement.execution_options(preserve_rowcount=True)
    return conn.execute(counted, [dict(row) for row in rows]).rowcount
