"""Real torch on a tiny model, in forked children: make test-train."""

import os

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from pathlib import Path

import pytest

from tests.train import tiny


@pytest.fixture(scope="session")
def base(tmp_path_factory) -> Path:
    from tests.train.forked import in_child

    folder = tmp_path_factory.mktemp("models") / "tiny"
    # Made in a child, so that this process starts no threads and can be forked.
    assert in_child(lambda: tiny.make_base(folder)) == 0
    return folder


@pytest.fixture(scope="session")
def turns(tmp_path_factory) -> Path:
    return tiny.write(tmp_path_factory.mktemp("data") / "turns.jsonl", 60)


@pytest.fixture(scope="session")
def ratings(tmp_path_factory) -> Path:
    return tiny.write(tmp_path_factory.mktemp("data") / "ratings.jsonl", 60, bad=0.4)
