"""The one database: how it is opened, and the two doors to it (sync and async).

Repository functions are written once over a ``sqlalchemy.Connection``. Sync callers use
``with db.transaction() as conn``; async callers use ``await db.run(fn, ...)``, which runs the same
function on the writer's thread, or ``await db.query(fn, ...)``, which reads by an asynchronous
driver (aiosqlite, psycopg). What only SQLite or only PostgreSQL needs stands in ``sqlite.py`` and
``postgres.py``.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from apps.core.errors import ConfigError, StoreError
from apps.store import postgres, sqlite
from apps.store.group_commit import GroupCommit

P = ParamSpec("P")
T = TypeVar("T")

READERS = 2
"""Connections by which a process reads: SQLite's readers and its writer do not wait for each other.
"""

_READ_ONLY = "tom_read_only"


class Database:
    """One database, opened lazily; safe to share between threads, tasks and event loops.

    Args:
        where: A file (SQLite) or a database URL (``sqlite:///...``, ``postgresql://...``).
        pooled: Keep connections open between uses, until ``aclose``; without, each use opens
            one, and nobody needs to close anything.

    Raises:
        ConfigError: The URL is none, or of a database that TOM does not know.
    """

    def __init__(self, where: Path | str, *, pooled: bool = True) -> None:
        self.url = _as_url(where)
        self._pooled = pooled
        self._opening = Lock()
        self._engine: Engine | None = None
        self._writer = GroupCommit(self.transaction)
        self._readers: AsyncEngine | None = None

    @property
    def name(self) -> str:
        """Return the file, or the URL without what may be secret in it: fit to be shown."""
        if self.is_sqlite:
            return self.url.database or ""
        return self.url.set(query={}, password=None).render_as_string()

    @property
    def place(self) -> str:
        """Return which database it is, the same however its path or URL was written; no secret."""
        url, query = self.url, self.url.query
        if self.is_sqlite:
            return str(Path(url.database or "").resolve())
        where = {
            "host": url.host or query.get("host", ""),
            "port": str(url.port or query.get("port", 5432)),
            "dbname": url.database or query.get("dbname", "") or url.username or "",
            **{name: query[name] for name in ("hostaddr", "options", "service") if name in query},
        }
        return f"postgresql {json.dumps(where, sort_keys=True)}"

    @property
    def is_sqlite(self) -> bool:
        """Return whether it is a file of SQLite's."""
        return self.url.get_backend_name() == "sqlite"

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Yield a connection inside a write transaction: committed at the end, or undone.

        Write transactions take turns, over all processes: what one reads cannot change before it
        is committed, and the order of ``seq`` is the order in which they were committed.

        Raises:
            StoreError: The database cannot be reached, or refuses.
        """
        with self._errors_explained(), self._opened().begin() as conn:
            yield conn

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Yield a connection that only reads: it sees one state and holds up no writer.

        Raises:
            StoreError: The database cannot be reached, or refuses.
        """
        engine = self._opened().execution_options(**self._reading)
        with self._errors_explained(), engine.begin() as conn:
            yield conn

    @contextmanager
    def maintaining(self) -> Iterator[Connection]:
        """Open a connection for long work on PostgreSQL: no transaction, and no writer's turn.

        Raises:
            StoreError: The database cannot be reached, or refuses.
        """
        with self._errors_explained():
            engine = self._opened().execution_options(
                **{_READ_ONLY: True}, isolation_level="AUTOCOMMIT"
            )
            with engine.connect() as conn:
                conn.detach()  # closed afterwards, with whatever was set for it
                yield conn

    async def run(
        self, fn: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run a repository function in a write transaction of its own, on the writer's thread.

        Raises:
            StoreError: The database cannot be reached, or refuses.
        """
        return await self._writer.run(lambda conn: fn(conn, *args, **kwargs), shares=False)

    async def join(
        self, fn: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run it in a write transaction that others who wait at this moment may share.

        It is committed when this returns. It must not remember what it reads, since its
        neighbours' rows are not committed yet, and it may be run twice (the first run is undone
        then). An error of its own undoes it alone.

        Raises:
            StoreError: The database cannot be reached, or refuses.
        """
        return await self._writer.run(lambda conn: fn(conn, *args, **kwargs), shares=True)

    async def query(
        self, fn: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run a repository function that only reads.

        Raises:
            StoreError: The database cannot be reached, or refuses.
        """
        with self._errors_explained():
            engine = self._opened_readers().execution_options(**self._reading)
            async with engine.begin() as conn:
                return await conn.run_sync(fn, *args, **kwargs)

    def close(self) -> None:
        """Finish what is being written, and let go of all but what ``query`` has opened."""
        self._writer.close()
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.dispose()

    async def aclose(self) -> None:
        """Finish what is being written, and let go of every connection and thread."""
        readers, self._readers = self._readers, None
        if readers is not None:
            await readers.dispose()
        await asyncio.to_thread(self.close)

    def _opened(self) -> Engine:
        with self._opening:
            if self._engine is None:
                self._engine = self._new_engine()
            return self._engine

    def _opened_readers(self) -> AsyncEngine:
        with self._opening:
            if self._readers is None:
                url = self.url.set(drivername="sqlite+aiosqlite") if self.is_sqlite else self.url
                options = self._engine_options(READERS)
                with self._driver_explained():
                    self._readers = create_async_engine(url, **options)
                self._prepare(self._readers.sync_engine)
            return self._readers

    def _new_engine(self) -> Engine:
        with self._driver_explained():
            engine = create_engine(self.url, **self._engine_options(5))
        self._prepare(engine)
        return engine

    def _engine_options(self, pool_size: int) -> dict[str, Any]:
        pool = {"pool_size": pool_size, "pool_pre_ping": not self.is_sqlite}
        options = {"json_serializer": _as_json, "hide_parameters": True}
        return options | (pool if self._pooled else {"poolclass": NullPool})

    def _prepare(self, engine: Engine) -> None:
        (sqlite if self.is_sqlite else postgres).prepare(engine, _READ_ONLY)

    @property
    def _reading(self) -> dict[str, Any]:
        """The execution options of a connection that only reads."""
        options: dict[str, Any] = {_READ_ONLY: True}
        if not self.is_sqlite:
            options |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        return options

    @contextmanager
    def _driver_explained(self) -> Iterator[None]:
        try:
            yield
        except ModuleNotFoundError as error:
            raise StoreError(
                f"The database {self.name} needs the Python package {error.name}.",
                hint="Install TOM with the extra that has it: pip install 'tom-voice[postgres]'.",
            ) from error

    @contextmanager
    def _errors_explained(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, sqlite3.Error) as error:
            raise StoreError(
                f"The database {self.name} cannot be used: {_cause(error)}.",
                hint=_FILE_HINT if self.is_sqlite else _SERVER_HINT,
            ) from error


def _cause(error: SQLAlchemyError | sqlite3.Error) -> str:
    """Return what the driver says, without the rows that PostgreSQL repeats in its details."""
    said = getattr(error, "orig", None) or error
    told = getattr(getattr(said, "diag", None), "message_primary", None) or str(said)
    return " ".join(told.split())


def _as_json(value: object) -> str:
    try:
        return json.dumps(value)
    except TypeError as error:  # PostgreSQL's driver would let it through as it is
        raise StoreError(f"A value cannot be stored as JSON: {error}.") from error


_FILE_HINT = (
    "Is the folder writable, the disk not full and the file a TOM database? See `tom doctor`."
)
_SERVER_HINT = (
    "Is the server at TOM_STORE_URL up, are user and password right, and may that user make "
    "tables in it? See `tom doctor`."
)


def open_database(where: Path | str, *, pooled: bool = True) -> Database:
    """Return a database that exists and has the newest tables.

    Blocks for as long as the migrations take; several processes may call it at once.

    Args:
        where: As ``Database`` takes it.
        pooled: The same.

    Raises:
        ConfigError: The URL is none, or of a database that TOM does not know.
        StoreError: It cannot be created, opened or migrated.
    """
    from apps.store.migrate import migrate

    database = Database(where, pooled=pooled)
    if database.is_sqlite and database.url.database:
        with database._errors_explained():
            sqlite.create_file(Path(database.url.database))
    migrate(database)
    return database


def _as_url(where: Path | str) -> URL:
    if not (isinstance(where, str) and "://" in where):
        return URL.create("sqlite", database=str(where))
    try:
        url = make_url(where.replace("postgres://", "postgresql://", 1))
        backend = url.get_backend_name()
    except (ArgumentError, ValueError):
        backend = ""
    match backend:
        case "sqlite":
            return url
        case "postgresql":
            return postgres.with_driver(url)
        case _:  # the URL may hold a password: it is not repeated
            raise ConfigError(
                "The store's URL is none that TOM can use.",
                hint="TOM_STORE_URL looks like postgresql://user:password@host:5432/database.",
            )
