"""The training process itself, started and followed as the server does it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="make test-train installs it")

from apps.core.errors import TrainingFailed  # noqa: E402
from apps.rl.adapters.training.checkpoints import whole  # noqa: E402
from apps.rl.adapters.training.process import follow, train_command  # noqa: E402
from tests.train.forked import Child, config  # noqa: E402


def overrides(base: Path, turns: Path) -> list[str]:
    return [
        *(f"base.model={base}", f"data.train={turns}", "adapter.rank=4", "training.threads=1"),
        *("training.batch=8", "training.epochs=1", "training.checkpoint_steps=1"),
    ]


@pytest.mark.timeout(300)
async def test_a_process_that_is_killed_is_told_and_goes_on_by_the_same_command(
    base, turns, tmp_path
):
    command = train_command("lora", tmp_path, overrides(base, turns))
    with pytest.raises(TrainingFailed, match="status -9"):
        await killed_at_a_checkpoint(command)
    async with follow(command) as events:
        said = [event async for event in events]
    assert next(event.step for event in said if event.event == "resumed") >= 1
    assert said[-1].event == "finished"
    assert whole(tmp_path / "adapter")


async def killed_at_a_checkpoint(command: list[str]) -> None:
    async with follow(command) as events:
        async for event in events:
            if event.event == "checkpoint":
                kill_child()


def kill_child() -> None:
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    os.kill(int(children[-1]), signal.SIGKILL)


def test_a_hub_that_fails_for_a_while_is_asked_again_with_growing_waits(base, turns, tmp_path):
    def flaky_hub():
        from apps.rl.adapters.training.worker import base as loading

        asked = []

        def download(name, *, revision, allow_patterns):
            asked.append(revision)
            if len(asked) < 3:
                raise ConnectionError("The hub does not answer.")
            return str(base)

        loading.snapshot_download = download
        loading.time.sleep = lambda seconds: None

    told = config(
        base,
        turns,
        base={"model": "org/model", "revision": "a" * 40, "backoff_s": 2},
        training={"epochs": 1},
    )
    said = Child(told, tmp_path, prepare=flaky_hub).ended()
    assert [event.attempt for event in said if event.event == "loading"] == [1, 2, 3, 1]
    notes = [event.text for event in said if event.event == "note"]
    assert "Another try in 2 s." in notes[0]
    assert "Another try in 4 s." in notes[1]
    assert said[-1].event == "finished"
    assert said[-1].adapter.config["base_revision"] == "a" * 40


def test_a_hub_without_that_model_is_not_asked_again(base, turns, tmp_path):
    def empty_hub():
        from apps.rl.adapters.training.worker import base as loading

        class RepositoryNotFoundError(OSError):
            pass

        def download(*_, **__):
            raise RepositoryNotFoundError("There is no such model.")

        loading.snapshot_download = download

    told = config(base, turns, base={"model": "org/model", "revision": "a" * 40})
    said = Child(told, tmp_path, prepare=empty_hub).ended()
    assert [event.event for event in said] == ["loading", "failed"]
    assert said[-1].code == "base_model"
