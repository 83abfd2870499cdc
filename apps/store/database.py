"""The one database: how it is opened, and the two doors to it (sync and async).

Repository functions are written once over a ``sqlalchemy.Connection``. Sync callers use
``with db.transaction() as conn``; async callers use ``await db.run(fn, ...)``, which runs the same
function on a connection of the async driver. All that only SQLite needs stands in this file.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from apps.core.errors import StoreError

P = ParamSpec("P")
T = TypeVar("T")

BUSY_TIMEOUT_MS = 10_000
"""How long a writer waits for another one's turn; turns last milliseconds."""

_READ_ONLY = "tom_read_only"


class Database:
    """One database, opened lazily; safe to share between threads and tasks.

    Args:
        where: A file (SQLite) or a database URL (``sqlite:///...``, ``postgresql+psycopg://...``).
        pooled: Keep async connections open between uses, bound to one event loop, until
            ``aclose``; without, each use opens one, and nobody needs to close anything.
    """

    def __init__(self, where: Path | str, *, pooled: bool = True) -> None:
        self.url = _as_url(where)
        self._pooled = pooled
        self._engine: Engine | None = None
        self._async_engine: AsyncEngine | None = None

    @property
    def name(self) -> str:
        """Return the URL without its password, fit to be shown."""
        return self.url.render_as_string(hide_password=True)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Yield a connection inside a write transaction: committed at the end, or undone.

        Raises:
            StoreError: The database cannot be reached, or refuses.
        """
        with _errors_explained(self.name), self._sync().begin() as conn:
            yield conn

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Yield a connection that only reads: it sees one state and holds up no writer.

        Raises:
            StoreError: The database cannot be reached, or refuses.
        """
        engine = self._sync().execution_options(**{_READ_ONLY: True})
        with _errors_explained(self.name), engine.begin() as conn:
            yield conn

    async def run(
        self, fn: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run a repository function in a write transaction, off the event loop.

        Raises:
            StoreError: The database cannot be reached, or refuses.
        """
        with _errors_explained(self.name):
            async with self._async().begin() as conn:
                return await conn.run_sync(fn, *args, **kwargs)

    async def query(
        self, fn: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run a repository function that only reads, off the event loop.

        Raises:
            StoreError: The database cannot be reached, or refuses.
        """
        engine = self._async().execution_options(**{_READ_ONLY: True})
        with _errors_explained(self.name):
            async with engine.begin() as conn:
                return await conn.run_sync(fn, *args, **kwargs)

    def close(self) -> None:
        """Let go of the sync connections; the async ones are let go by ``aclose``."""
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None

    async def aclose(self) -> None:
        """Let go of every connection and of the threads behind the async ones."""
        if self._async_engine is not None:
            engine, self._async_engine = self._async_engine, None
            await engine.dispose()
        self.close()

    def _sync(self) -> Engine:
        if self._engine is None:
            # No pool: sync callers are the command line and single functions, which come
            # seldom and from any thread; a connection costs well under a millisecond.
            self._engine = create_engine(self.url, poolclass=NullPool)
            _prepare_sqlite(self._engine)
        return self._engine

    def _async(self) -> AsyncEngine:
        if self._async_engine is None:
            url = self.url
            if url.get_backend_name() == "sqlite":
                url = url.set(drivername="sqlite+aiosqlite")
            self._async_engine = (
                create_async_engine(url, pool_size=3, max_overflow=2)
                if self._pooled
                else create_async_engine(url, poolclass=NullPool)
            )
            _prepare_sqlite(self._async_engine.sync_engine)
        return self._async_engine


def open_database(where: Path | str, *, pooled: bool = True) -> Database:
    """Return a database that exists and has the newest tables.

    Blocks for as long as the migrations take; several processes may call it at once.

    Args:
        where: As ``Database`` takes it.
        pooled: The same.

    Raises:
        StoreError: It cannot be created, opened or migrated.
    """
    from apps.store.migrate import migrate

    database = Database(where, pooled=pooled)
    if database.url.get_backend_name() == "sqlite" and database.url.database:
        with _errors_explained(database.name):
            _create_sqlite_file(Path(database.url.database))
    migrate(database)
    return database


def _as_url(where: Path | str) -> URL:
    if isinstance(where, str) and "://" in where:
        return make_url(where)
    return URL.create("sqlite", database=str(where))


def _create_sqlite_file(path: Path) -> None:
    """Create the file, readable by its owner alone, with a write-ahead log (a lasting property)."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"The database file {path} cannot be created: {error.strerror}.",
            hint="Set RL_FEEDBACK_DB_PATH to a file in a folder that TOM may write to.",
        ) from error
    with closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT_MS / 1000)) as conn:
        conn.execute("PRAGMA journal_mode=WAL")


def _prepare_sqlite(engine: Engine) -> None:
    """Set what SQLite needs on each connection, and begin its transactions ourselves."""
    if engine.dialect.name != "sqlite":
        return

    @event.listens_for(engine, "connect")
    def on_connect(dbapi_connection: Any, _record: Any) -> None:
        dbapi_connection.isolation_level = None  # we say BEGIN, not the driver
        cursor = dbapi_connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
        cursor.execute("PRAGMA foreign_keys=ON")
        # An acknowledged rating must outlive a power cut too, not only a killed process, which
        # NORMAL would be enough for. The event log is written in batches, so the fsync of FULL
        # is paid a few times a second at most.
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA secure_delete=ON")  # what is deleted is overwritten as well
        cursor.close()

    @event.listens_for(engine, "begin")
    def on_begin(conn: Connection) -> None:
        # A write transaction takes its turn at once: one that read first and then had to wait
        # for its turn would be refused, since what it read may have changed.
        read_only = conn.get_execution_options().get(_READ_ONLY, False)
        conn.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


@contextmanager
def _errors_explained(name: str) -> Iterator[None]:
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error) as error:
        cause = getattr(error, "orig", None) or error
        raise StoreError(
            f"The database {name} cannot be used: {cause}.",
            hint="Is the folder writable, the disk not full and the file a TOM database? "
            "See `tom doctor`.",
        ) from error
