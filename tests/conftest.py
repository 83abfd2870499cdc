"""For all tests: property-based ones try the same examples every time, on every machine."""

import pytest
from hypothesis import settings

from tests.databases import migrated_store, new_postgres, new_store, postgres_server
from tests.snapshot import FOLDER, Snapshots

__all__ = ["migrated_store", "new_postgres", "new_store", "postgres_server"]

settings.register_profile("tom", derandomize=True, database=None, deadline=None)
settings.load_profile("tom")


def pytest_addoption(parser):
    parser.addoption(
        "--snapshot-update",
        action="store_true",
        help="Write the calls' snapshots anew instead of comparing with them.",
    )


@pytest.fixture
def snapshots(request):
    """Compare event logs with those of tests/snapshots."""
    return Snapshots(FOLDER, update=request.config.getoption("--snapshot-update"))
