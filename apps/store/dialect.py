"""The few statements that SQLite and PostgreSQL both have, but not standard SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Insert, Table
from sqlalchemy.dialects import postgresql, sqlite


def insert_new(conn: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> int:
    """Insert rows, passing over those whose key is there already.

    Returns:
        How many rows are new.
    """
    if not rows:
        return 0
    statement = _insert_new(conn.dialect.name, table)
    return conn.execute(statement, [dict(row) for row in rows]).rowcount


@cache
def _insert_new(dialect: str, table: Table) -> Insert:
    insert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    statement = insert(table).on_conflict_do_nothing().inline()  # nobody asks for the new key
    return statement.execution_options(preserve_rowcount=True)
