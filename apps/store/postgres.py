"""What PostgreSQL alone needs: that writers take turns, as they do in SQLite.

PostgreSQL would let several writers in at once. Then a row could get a lower ``seq`` than another
one and be committed after it, and whoever has folded up to the higher one would never see it; and
two processes could both give the last place under a cap away. So each write transaction begins by
taking one lock, which it holds until it is committed. Readers never wait.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import URL, Connection, Engine, event

TURN_TIMEOUT_MS = 10_000
"""How long a writer waits for another one's turn; turns last milliseconds."""
IDLE_TIMEOUT_MS = 60_000
"""After which the server ends the transaction of a process that hangs, so that others go on."""
TURN = 0x544F4D
"""The advisory lock's number within the database: "TOM"."""


def with_driver(url: URL) -> URL:
    """Return the URL with the driver that TOM comes with, unless it names one."""
    return url if "+" in url.drivername else url.set(drivername="postgresql+psycopg")


def prepare(engine: Engine, read_only: str) -> None:
    """Set what each connection needs, and let writers take turns.

    Args:
        engine: The engine.
        read_only: The execution option that marks a connection that only reads.
    """

    @event.listens_for(engine, "connect")
    def on_connect(dbapi_connection: Any, _record: Any) -> None:
        with dbapi_connection.cursor() as cursor:
            cursor.execute(f"SET lock_timeout = {TURN_TIMEOUT_MS}")
            cursor.execute(f"SET idle_in_transaction_session_timeout = {IDLE_TIMEOUT_MS}")
        dbapi_connection.commit()

    @event.listens_for(engine, "begin")
    def on_begin(conn: Connection) -> None:
        if not conn.get_execution_options().get(read_only, False):
            conn.exec_driver_sql(f"SELECT pg_advisory_xact_lock({TURN})")
