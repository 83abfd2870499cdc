"""A training that is killed at any moment goes on, and ends with the adapter it would have had."""

from __future__ import annotations

import itertools
import os
import random
import signal
import sys
import time
import types
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="make test-train installs it")

from safetensors.torch import load_file  # noqa: E402

from apps.rl.adapters.record import TrainedAdapter  # noqa: E402
from apps.rl.adapters.training.checkpoints import whole  # noqa: E402
from tests.train.forked import Child, config  # noqa: E402

KILLS = 20


def weights(out: Path) -> dict[str, torch.Tensor]:
    return load_file(out / "adapter" / "adapter_model.safetensors")


def record(out: Path) -> TrainedAdapter:
    return TrainedAdapter.model_validate_json((out / "adapter" / "adapter.json").read_bytes())


def furthest(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).abs().max()) for name in one)


@pytest.mark.timeout(600)
def test_killed_at_twenty_random_moments_it_ends_with_the_same_adapter(base, turns, tmp_path):
    told = config(base, turns)
    began = time.monotonic()
    said_by_reference = Child(told, tmp_path / "reference").ended()
    pause_s = (time.monotonic() - began) / len(said_by_reference)
    assert said_by_reference[-1].event == "finished"
    reference = weights(tmp_path / "reference")
    drawn, killed, resumed = random.Random(6), 0, 0
    for number in range(KILLS):
        out = tmp_path / f"run-{number}"
        child = Child(told, out)
        # Somewhere between two things that it says, or before the first.
        last = drawn.randrange(-1, len(said_by_reference) - 1)
        for _ in itertools.islice(child.events(), last + 1):
            pass
        time.sleep(drawn.uniform(0.0, 2.0) * pause_s)
        child.kill()
        killed += child.wait() != 0
        left = list((out / "checkpoints").glob("step-*")) if out.exists() else []
        assert all(whole(folder) for folder in left), "a checkpoint in its place is whole"
        said = Child(told, out).ended()
        resumed += any(event.event == "resumed" for event in said)
        assert said[-1].event == "finished"
        assert whole(out / "adapter")
        assert furthest(reference, weights(out)) <= 1e-6
        same = ("train_loss", "loss_dev", "loss_dev_before", "steps")
        mine, theirs = record(out).metrics, record(tmp_path / "reference").metrics
        assert [mine[name] for name in same] == pytest.approx([theirs[name] for name in same])
        assert sorted(path.name for path in out.iterdir()) == [".lock", "adapter", "run.json"]
    sys.stdout.write(f"{killed} of {KILLS} killed in their work, {resumed} went on\n")
    assert killed >= KILLS // 2
    assert resumed >= KILLS // 4


def test_a_torn_checkpoint_is_told_removed_and_passed_over(base, turns, tmp_path):
    told = config(base, turns)
    assert Child(told, tmp_path / "reference").ended()[-1].event == "finished"
    out = tmp_path / "run"
    child = Child(told, out)
    for event in child.events():
        if event.event == "checkpoint" and event.step == 3:
            child.kill()
            break
    child.wait()
    newest = sorted((out / "checkpoints").glob("step-*"))[-1]
    torn = newest / "optimizer.pt"
    torn.write_bytes(torn.read_bytes()[:-100])
    said = Child(told, out).ended()
    assert [event.name for event in said if event.event == "torn"] == [newest.name]
    assert furthest(weights(tmp_path / "reference"), weights(out)) <= 1e-6


@pytest.mark.parametrize("when", ["before the manifest", "before the name", "after the name"])
def test_a_kill_at_any_point_of_writing_leaves_the_old_or_the_new(base, turns, tmp_path, when):
    def killed_in_writing():
        from apps.rl.adapters.training import checkpoints

        def killing(function, place):
            def killed(*words, **more):
                writing = "step-00000003" in str(words[0])
                if writing and not place.startswith("after"):
                    os.kill(os.getpid(), signal.SIGKILL)
                function(*words, **more)
                if writing:
                    os.kill(os.getpid(), signal.SIGKILL)

            return killed

        if when == "before the manifest":
            checkpoints.write_whole = killing(checkpoints.write_whole, when)
        else:
            checkpoints.os = types.SimpleNamespace(
                **{**vars(os), "replace": killing(os.replace, when)}
            )

    told = config(base, turns)
    assert Child(told, tmp_path / "reference").ended()[-1].event == "finished"
    out = tmp_path / "run"
    broken = Child(told, out, prepare=killed_in_writing)
    broken.ended()
    assert broken.status == -signal.SIGKILL
    said = Child(told, out).ended()
    resumed = next(event.step for event in said if event.event == "resumed")
    assert resumed == (3 if when == "after the name" else 2)
    assert not [event for event in said if event.event == "torn"]
    assert furthest(weights(tmp_path / "reference"), weights(out)) <= 1e-6


def test_a_kill_while_the_adapter_is_written_leaves_none_and_then_the_same(base, turns, tmp_path):
    def killed_at_the_end():
        from apps.rl.adapters.training import checkpoints

        def killed(draft, place):
            if place.name == "adapter":
                os.kill(os.getpid(), signal.SIGKILL)
            publish(draft, place)

        publish, checkpoints.publish = checkpoints.publish, killed

    told = config(base, turns)
    assert Child(told, tmp_path / "reference").ended()[-1].event == "finished"
    out = tmp_path / "run"
    broken = Child(told, out, prepare=killed_at_the_end)
    broken.ended()
    assert broken.status == -signal.SIGKILL
    assert not (out / "adapter").exists()
    assert Child(told, out).ended()[-1].event == "finished"
    assert furthest(weights(tmp_path / "reference"), weights(out)) <= 1e-6
    mine, theirs = record(out).metrics, record(tmp_path / "reference").metrics
    assert mine["train_loss"] == pytest.approx(theirs["train_loss"])
    assert mine["loss_dev"] == pytest.approx(theirs["loss_dev"])
