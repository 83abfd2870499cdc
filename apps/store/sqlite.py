"""What SQLite alone needs: its file, its settings on each connection, and its transactions."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, event

from apps.core.errors import StoreError

BUSY_TIMEOUT_MS = 10_000
"""How long a writer waits for another one's turn; turns last milliseconds."""
_PAUSE_S = 0.05


def create_file(path: Path) -> None:
    """Create the file, readable by its owner alone, with a write-ahead log (a lasting property).

    Raises:
        StoreError: The file cannot be created.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"The database file {path} cannot be created: {error.strerror}.",
            hint="Set RL_FEEDBACK_DB_PATH to a file in a folder that TOM may write to.",
        ) from error
    patient_until = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while not _has_write_ahead_log(path, patient=time.monotonic() < patient_until):
        time.sleep(_PAUSE_S)


def _has_write_ahead_log(path: Path, *, patient: bool) -> bool:
    """Return whether the log is there now; False where another process is at it, too.

    Of two that want to change the mode at the same moment, SQLite refuses one at once.
    """
    with closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT_MS / 1000)) as conn:
        try:
            conn.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or not patient:
                raise
            return False
    return True


def prepare(engine: Engine, read_only: str) -> None:
    """Set what each connection needs, and begin its transactions ourselves.

    Args:
        engine: The engine.
        read_only: The execution option that marks a connection that only reads.
    """

    @event.listens_for(engine, "connect")
    def on_connect(dbapi_connection: Any, _record: Any) -> None:
        dbapi_connection.isolation_level = None  # we say BEGIN, not the driver
        cursor = dbapi_connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
        cursor.execute("PRAGMA foreign_keys=ON")
        # An acknowledged rating must outlive a power cut too, not only a killed process, which
        # NORMAL would be enough for. Writers that wait at the same moment share the fsync.
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA secure_delete=ON")  # what is deleted is overwritten as well
        cursor.close()

    @event.listens_for(engine, "begin")
    def on_begin(conn: Connection) -> None:
        # A write transaction takes its turn at once: one that read first and then had to wait
        # for its turn would be refused, since what it read may have changed.
        reads = conn.get_execution_options().get(read_only, False)
        conn.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")
