"""Real servers for the tests beside this file, each started once for a file of tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.servers import Running, running, wait_until


@pytest.fixture(scope="session")
def model_cache(pytestconfig: pytest.Config) -> Path:
    """The recogniser's models: named by their content, so kept from one run to the next."""
    assert pytestconfig.cache is not None
    return pytestconfig.cache.mkdir("tom-models")


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory, model_cache: Path) -> Iterator[Running]:
    """A server whose engines need no process: for everything that is not about speech."""
    folder = tmp_path_factory.mktemp("quick")
    settings = {"TOM_STT_ENGINE": "fake", "TOM_TTS_ENGINE": "fake", "RL_SEED": "7"}
    with running(folder, model_cache, **settings) as server:
        yield server
        wait_until(lambda: server.ready()["live_calls"] == 0)
        assert server.complaints() == []
