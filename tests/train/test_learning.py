"""Rated calls become an adapter: the continuous loop with a real training on a tiny base."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from apps.rl.adapters.continuous.batches import LoopRules
from apps.rl.adapters.continuous.collect import Collector
from apps.rl.adapters.continuous.loop import ContinuousLoop
from apps.rl.adapters.continuous.screen import Screen, ScreenRules
from apps.rl.adapters.examples import Message
from apps.rl.adapters.record import AdapterState
from apps.rl.adapters.registry import AdapterRegistry
from apps.running_learning import AdapterTrainer
from apps.store.database import open_database
from apps.store.training_pool import batches_of
from tests.rated_calls import add_call
from tests.train.tiny import make_base

pytest.importorskip("torch", reason="make test-train installs it")


async def test_rated_calls_become_a_registered_adapter_that_knows_its_calls(tmp_path: Path) -> None:
    base, db = make_base(tmp_path / "base"), open_database(tmp_path / "tom.db")
    for n in range(12):
        add_call(db, f"call{n}", score=0.9 if n % 2 else -0.9, rating=5 if n % 2 else 1)

    async def prompt_of(turn, call):
        return (Message(role="user", content=turn.asked),)

    registry = AdapterRegistry(db, tmp_path / "adapters", tmp_path / "registry.json", b"secret")
    trainer = AdapterTrainer(registry, base, tmp_path / "runs", None)
    collector = Collector(db, Screen(ScreenRules(review_share=0.0)), prompt_of)
    rules = LoopRules(objective="kto", min_samples=10)
    loop = ContinuousLoop(db, collector, trainer, tmp_path / "batches", rules)
    (done,) = await loop.step(datetime(2026, 5, 4, tzinfo=UTC))
    assert done.adapter_id is not None, done.why
    record = registry.record(done.adapter_id)
    assert record.state is AdapterState.TRAINED
    assert set(record.calls) <= {f"call{n}" for n in range(12)}
    assert len(record.calls) >= 8
    assert not list((tmp_path / "batches").iterdir())
    (batch,) = await db.query(batches_of)
    assert (batch.state, batch.adapter_id) == ("trained", record.id)
    await db.aclose()
