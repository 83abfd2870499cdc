"""A server that is killed loses nothing that it has acknowledged, and leaves all it keeps sound."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from apps.cli.kb_folder import opened
from apps.running_learning import AdapterTrainer
from benchmarks.kills import checks
from benchmarks.kills.home import Home, make_home
from benchmarks.kills.series import kill_often
from benchmarks.kills.traffic import Acknowledged, Traffic


async def test_three_kills_lose_nothing_and_leave_store_index_and_registry_sound(
    tmp_path: Path,
) -> None:
    toll = await kill_often(tmp_path, runs=3, seed=1, longest_s=0.8)
    assert toll.wrong == []
    assert toll.kills == 3
    assert all(toll.told.counts().values())


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made = make_home(tmp_path, "http://127.0.0.1:1", seed=1)
    yield made
    made.close()


def test_what_is_not_there_is_called_lost(home: Home) -> None:
    told = Acknowledged(
        started={"a call": "v1a"}, routes={"a decision": "kfz"}, acts={"act 1": "kfz/lora-r4-v1"}
    )
    found = checks.acknowledged_once(home, told)
    assert sorted(sentence.partition(" (")[0] for sentence in found) == [
        "lost: a call's choice",
        "lost: a routing decision",
        "lost: an act upon an adapter",
        "lost: call a call's row",
    ]


async def test_an_index_that_lost_a_passage_is_not_called_sound(home: Home) -> None:
    async with opened(home.settings) as kb:
        await Traffic(home, kb, seed=1).write_documents()
    assert checks.files_sound(home) == []
    with closing(sqlite3.connect(home.settings.data_dir / "knowledge" / "knowledge.db")) as conn:
        conn.execute("DELETE FROM kb_chunks WHERE key = (SELECT min(key) FROM kb_chunks)")
        conn.commit()
    assert checks.files_sound(home) == ["the index has documents that are not whole: 1"]


async def test_a_training_leaves_no_run_on_the_disk_neither_its_own_nor_a_killed_one(
    home: Home,
) -> None:
    settings, runs = home.settings, home.folder / "runs"
    assert settings.adapter_base is not None
    (runs / "killed" / "adapter").mkdir(parents=True)
    trainer = AdapterTrainer(
        home.registry, settings.adapter_base, runs, settings.adapter_train_python
    )
    made = await trainer("kfz", "sft", home.folder / "batch.jsonl", "batch")
    assert home.registry.known().records[made].method == "kto"
    assert not runs.exists()
