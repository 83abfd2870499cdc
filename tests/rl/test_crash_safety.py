"""Feedback outlives `kill -9` at any moment: what was acknowledged is there, and only once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from apps.core.ids import keyed_hash
from apps.rl.defaults import default_hash_key
from apps.rl.policy_bandit import PolicyBandit
from apps.rl.posterior import from_json
from apps.store.database import open_database
from apps.store.feedback import feedback_since
from benchmarks.store import kill
from benchmarks.store.workers import Store

WRITER = """
import os, sys
from apps.rl.feedback import FeedbackCollector
from apps.rl.policy_bandit import PolicyBandit

first = int(sys.argv[1])
collector, bandit = FeedbackCollector(), PolicyBandit()
for i in range(first, first + 100_000):
    collector.collect(
        {"call_id": f"call-{i}", "policy_variant": "v1a", "signals": {"user_rating": i % 5 + 1}}
    )
    os.write(1, f"call-{i}\\n".encode())
    bandit.update("v1b", (i % 21 - 10) / 10, event_id=f"admin-{i}")
    os.write(1, f"admin-{i}\\n".encode())
"""


def run_until_killed(folder: Path, first: int, moments: random.Random) -> list[str]:
    """Start a writer, kill it at a random moment, and return what it had acknowledged."""
    command = [sys.executable, "-c", WRITER, str(first)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=folder) as writer:
        assert writer.stdout is not None
        acknowledged = [
            writer.stdout.readline().decode().strip() for _ in range(moments.randint(1, 40))
        ]
        time.sleep(moments.random() * 0.02)  # anywhere between two writes, or within one
        os.kill(writer.pid, signal.SIGKILL)
        rest = writer.stdout.read().decode()
        assert writer.wait() == -signal.SIGKILL
    return acknowledged + [line for line in rest.split("\n")[:-1] if line]


@pytest.mark.slow
def test_everything_acknowledged_is_there_once_after_every_kill(
    settings_in: Callable[..., Path],
) -> None:
    folder = settings_in()
    moments = random.Random(20)
    acknowledged: set[str] = set()
    first = 0
    for _ in range(5):
        acknowledged |= set(run_until_killed(folder, first, moments))
        bandit = PolicyBandit()
        with bandit.db.reading() as conn:
            events = feedback_since(conn, 0)
        key = default_hash_key()
        found = Counter(event.event_id for event in events)
        expected = {
            "call-" + keyed_hash(name, key) if name.startswith("call-") else name
            for name in acknowledged
        }
        assert expected <= set(found)
        assert set(found.values()) == {1}
        assert len(found) <= len(expected) + 2 * 5  # at most what was just being written
        assert bandit.state == bandit.rebuild()
        assert sum(arm.pulls for arm in bandit.state.arms.values()) == len(found)
        snapshot = (folder / "data/rl/bandit_state.json").read_text()
        assert from_json(snapshot, bandit.state.policy) == bandit.state
        # The next writer does not know what was acknowledged, and sends the last ones again.
        first = max(int(name.split("-")[1]) for name in acknowledged) - 2
        first = max(first, 0)
    if bandit.db.is_sqlite:
        with bandit.db.reading() as conn:
            assert conn.execute(text("PRAGMA integrity_check")).scalar() == "ok"


@pytest.mark.slow
def test_a_kill_while_the_database_is_being_made_leaves_one_that_can_be_opened(
    settings_in: Callable[..., Path], new_store: Path | str
) -> None:
    folder = settings_in()
    database = folder / "data/rl/feedback.db"
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, "0"], stdout=subprocess.DEVNULL, cwd=folder
    ) as writer:
        deadline = time.monotonic() + (30 if isinstance(new_store, Path) else 1)
        while not database.exists() and time.monotonic() < deadline:
            time.sleep(0.001)
        os.kill(writer.pid, signal.SIGKILL)
    bandit = PolicyBandit()
    assert bandit.update("v1a", 0.5)
    assert bandit.statistics()["v1a"].pulls >= 1


@pytest.mark.slow
def test_processes_that_update_at_once_lose_nothing(settings_in: Callable[..., Path]) -> None:
    folder = settings_in()
    code = (
        "from apps.rl.policy_bandit import update_policy_reward\n"
        "for _ in range(10): update_policy_reward('v1a', 0.5)"
    )
    running = [subprocess.Popen([sys.executable, "-c", code], cwd=folder) for _ in range(2)]
    assert [process.wait(timeout=60) for process in running] == [0, 0]
    bandit = PolicyBandit()
    assert bandit.state.arm("v1a").pulls == 20
    assert bandit.state == bandit.rebuild()


@pytest.mark.slow
def test_workers_who_are_killed_while_they_choose_and_learn_lose_nothing(
    new_store: Path | str, tmp_path: Path
) -> None:
    """The short version of ``python -m benchmarks.store.kill``."""
    open_database(new_store).close()
    toll = kill.run(Store(new_store, tmp_path), runs=3, workers=2, seed=3)
    assert toll.wrong == []
    assert toll.chosen
    assert toll.learned
