"""Checkpoints are whole or not there; a run goes on from the newest whole one, or is refused."""

from __future__ import annotations

import json
import shutil

import pytest

from apps.core.errors import ConfigError
from apps.rl.adapters.training import resume
from apps.rl.adapters.training.backoff import waits, worth_retrying
from apps.rl.adapters.training.checkpoints import MANIFEST, Checkpoints, alone, aside, whole

STATE = resume.RunState(config="c", data="d", base="b", tokenizer="t", micro_batch=4)


def write(checkpoints: Checkpoints, step: int) -> None:
    with checkpoints.written(step) as draft:
        (draft / "weights").write_text(f"weights {step}")
        (draft / "deep").mkdir()
        (draft / "deep" / "state").write_text("state")


def break_off(checkpoints: Checkpoints, step: int) -> None:
    with checkpoints.written(step) as draft:
        (draft / "weights").write_text("half")
        raise OSError("full")


def test_a_checkpoint_is_there_whole_and_old_ones_make_room(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    assert checkpoints.newest() is None
    for step in (1, 2, 3):
        write(checkpoints, step)
    assert checkpoints.newest() == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000002", "step-00000003"]


def test_a_write_that_breaks_off_leaves_nothing_in_its_place(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    write(checkpoints, 1)
    with pytest.raises(OSError, match="full"):
        break_off(checkpoints, 2)
    assert checkpoints.newest() == 1
    assert len(list(tmp_path.iterdir())) == 1


def damaged_weights(folder):
    (folder / "weights").write_text("weights X")


def cut_weights(folder):
    (folder / "weights").write_text("wei")


def without_a_file(folder):
    (folder / "deep" / "state").unlink()


def with_a_stranger(folder):
    (folder / "stranger").write_text("")


def without_manifest(folder):
    (folder / MANIFEST).unlink()


def with_half_a_manifest(folder):
    text = (folder / MANIFEST).read_text()
    (folder / MANIFEST).write_text(text[: len(text) // 2])


def with_another_manifest(folder):
    (folder / MANIFEST).write_text(json.dumps([1, 2]))


@pytest.mark.parametrize(
    "harm",
    [
        damaged_weights,
        cut_weights,
        without_a_file,
        with_a_stranger,
        without_manifest,
        with_half_a_manifest,
        with_another_manifest,
    ],
)
def test_a_torn_checkpoint_is_told_removed_and_passed_over(tmp_path, harm):
    told = []
    checkpoints = Checkpoints(tmp_path, keep=3, torn=told.append)
    for step in (1, 2):
        write(checkpoints, step)
    harm(checkpoints.path(2))
    assert not whole(checkpoints.path(2))
    assert checkpoints.newest() == 1
    assert told == ["step-00000002"]
    assert not checkpoints.path(2).exists()


def test_a_folder_takes_the_place_of_another_at_once(tmp_path):
    for text in ("old", "new"):
        with aside(tmp_path / "adapter") as draft:
            (draft / "weights").write_text(text)
    assert (tmp_path / "adapter" / "weights").read_text() == "new"
    assert whole(tmp_path / "adapter")


def test_a_removal_that_is_killed_leaves_no_half_of_a_checkpoint(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path, keep=1)
    write(checkpoints, 1)
    with monkeypatch.context() as killed:
        killed.setattr(shutil, "rmtree", lambda *_, **__: None)
        write(checkpoints, 2)
    assert [path.name for path in tmp_path.glob("step-*")] == ["step-00000002"]
    assert checkpoints.newest() == 2
    checkpoints.clear()
    assert not list(tmp_path.parent.glob(f"*{tmp_path.name}*"))


def test_a_folder_is_held_by_one_at_a_time(tmp_path):
    with alone(tmp_path), pytest.raises(ConfigError, match="Another training"), alone(tmp_path):
        pass
    with alone(tmp_path):
        pass


@pytest.mark.parametrize(
    ("left", "newest", "finished", "fresh", "decision"),
    [
        (None, None, False, False, resume.Begin()),
        (None, 7, True, False, resume.Begin()),
        (STATE, None, False, False, resume.Begin()),
        (STATE, 7, False, False, resume.GoOn(7)),
        (STATE, 7, True, False, resume.Done()),
        (STATE, 7, True, True, resume.Begin()),
        (STATE.model_copy(update={"micro_batch": 1}), 7, False, False, resume.GoOn(7)),
        (STATE.model_copy(update={"data": "x"}), 7, False, False, resume.Refuse(("data",))),
        (STATE.model_copy(update={"base": "x", "config": "y"}), None, True, False,
         resume.Refuse(("config", "base"))),
        (STATE.model_copy(update={"data": "x"}), 7, False, True, resume.Begin()),
    ],
)  # fmt: skip
def test_how_a_run_starts(left, newest, finished, fresh, decision):
    assert resume.decide(left, STATE, newest, finished, fresh) == decision


def test_a_runs_state_is_kept_and_a_broken_one_is_none(tmp_path):
    path = tmp_path / "run.json"
    assert resume.read_state(path) is None
    resume.write_state(path, STATE)
    assert resume.read_state(path) == STATE
    path.write_text("{")
    assert resume.read_state(path) is None


@pytest.mark.parametrize(
    ("micro_batch", "batch", "least", "smaller"),
    [
        (8, 16, 1, 4),
        (6, 12, 1, 3),
        (5, 10, 1, 2),
        (1, 4, 1, None),
        (2, 4, 2, None),
        (3, 9, 2, None),
    ],
)
def test_fewer_examples_at_a_time_still_make_the_same_step(micro_batch, batch, least, smaller):
    assert resume.smaller_micro_batch(micro_batch, batch, least) == smaller


def test_waits_double_up_to_a_limit():
    assert list(waits(5, 1.0)) == [1, 2, 4, 8]
    assert list(waits(4, 20.0)) == [20, 40, 60]
    assert list(waits(1, 1.0)) == []


def test_only_what_may_pass_is_tried_again():
    class HfHubHTTPError(OSError):
        pass

    class RepositoryNotFoundError(HfHubHTTPError):
        pass

    passing = [TimeoutError(), ConnectionResetError(), HfHubHTTPError()]
    lasting = [FileNotFoundError(), RepositoryNotFoundError(), ValueError(), PermissionError()]
    assert all(map(worth_retrying, passing))
    assert not any(map(worth_retrying, lasting))
