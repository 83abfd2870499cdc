"""Trainings of a tiny model by PEFT and TRL, from the first step to the adapter's record."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="make test-train installs it")

from safetensors.torch import load_file  # noqa: E402

from apps.rl.adapters.hashing import adapter_files, base_model_hash, tokenizer_hash  # noqa: E402
from apps.rl.adapters.record import TrainedAdapter  # noqa: E402
from apps.rl.adapters.training.checkpoints import whole  # noqa: E402
from tests.train import tiny  # noqa: E402
from tests.train.forked import Child, config  # noqa: E402


def said_by(told, out, **options):
    """Train; returns what it said by kind of event, the last of each kind."""
    events = Child(told, out, **options).ended()
    return {event.event: event for event in events}


def record(out: Path) -> TrainedAdapter:
    return TrainedAdapter.model_validate_json((out / "adapter" / "adapter.json").read_bytes())


@pytest.mark.parametrize("method", ["lora", "dora"])
def test_an_adapter_lowers_the_loss_on_calls_it_has_not_seen(base, turns, tmp_path, method):
    said = said_by(config(base, turns, adapter={"method": method}), tmp_path)
    assert said["finished"].folder == str(tmp_path / "adapter")
    found = record(tmp_path)
    assert found.metrics["loss_dev"] < 0.97 * found.metrics["loss_dev_before"]
    assert found.metrics["held_out"] == said["ready"].held_out > 0
    assert (found.method, found.rank, found.precision) == (method, 4, "float32")
    assert found.base_model_hash == base_model_hash(base)
    assert found.tokenizer_hash == tokenizer_hash(base)
    assert found.calls
    assert found.environment["peft"]
    assert set(adapter_files(tmp_path / "adapter")) >= {"adapter_model.safetensors"}
    shape = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert shape["use_dora"] is (method == "dora")
    assert whole(tmp_path / "adapter")


def test_kto_makes_wanted_answers_likelier_than_unwanted_ones(base, ratings, tmp_path):
    told = config(base, ratings, training={"objective": "kto", "learning_rate": 0.005})
    said = said_by(told, tmp_path)
    assert said["finished"]
    found = record(tmp_path)
    assert found.method == "kto"
    before = found.metrics["loss_unwanted_dev_before"] - found.metrics["loss_dev_before"]
    after = found.metrics["loss_unwanted_dev"] - found.metrics["loss_dev"]
    assert after > before


def test_qlora_without_a_gpu_says_what_is_missing_and_trains_nothing(base, turns, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU; benchmarks/adapters/gpu.py trains QLoRA on it")
    said = said_by(config(base, turns, adapter={"method": "qlora"}), tmp_path)
    assert said["failed"].code == "engine_unavailable"
    assert "CUDA GPU" in said["failed"].message
    assert "lora" in said["failed"].hint
    assert not (tmp_path / "adapter").exists()


def test_a_stop_leaves_a_checkpoint_and_the_next_run_goes_on_from_it(base, turns, tmp_path):
    told = config(base, turns, training={"checkpoint_steps": 1000})
    child = Child(told, tmp_path)
    for event in child.events():
        if event.event == "step" and event.step == 2:
            child.kill(signal.SIGTERM)
        last = event
    assert last.event == "stopped"
    assert child.wait() == 3
    said = said_by(told, tmp_path)
    assert said["resumed"].step == last.step
    assert said["finished"]


def test_a_finished_run_is_handed_over_again_without_training(base, turns, tmp_path):
    told = config(base, turns, training={"epochs": 1})
    first = said_by(told, tmp_path)
    again = said_by(told, tmp_path)
    assert again["finished"] == first["finished"]
    assert "step" not in again


def test_another_training_does_not_overwrite_a_run(base, turns, tmp_path):
    said_by(config(base, turns, training={"epochs": 1}), tmp_path)
    other = config(base, turns, training={"epochs": 1, "seed": 7})
    refused = said_by(other, tmp_path)
    assert refused["failed"].code == "other_run"
    assert "config" in refused["failed"].message
    assert said_by(other, tmp_path, fresh=True)["finished"].adapter.config["seed"] == 7


def test_when_memory_runs_out_fewer_examples_at_a_time_make_the_same_steps(base, turns, tmp_path):
    def short_of_memory():
        from apps.rl.adapters.training.worker import trainers

        step = trainers._Sft.training_step

        def tight(self, model, inputs, *rest, **more):
            if len(inputs["input_ids"]) > 4:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return step(self, model, inputs, *rest, **more)

        trainers._Sft.training_step = tight

    told = config(base, turns, adapter={"dropout": 0.0})
    said_by(told, tmp_path / "roomy")
    tight = said_by(told, tmp_path / "tight", prepare=short_of_memory)
    assert tight["less_memory"].micro_batch == 4
    assert (tight["ready"].micro_batch, tight["ready"].accumulation) == (4, 4)
    roomy = load_file(tmp_path / "roomy" / "adapter" / "adapter_model.safetensors")
    found = load_file(tmp_path / "tight" / "adapter" / "adapter_model.safetensors")
    assert max(float((roomy[name] - found[name]).abs().max()) for name in roomy) < 1e-3


def test_memory_that_never_suffices_ends_the_training_with_a_hint(base, turns, tmp_path):
    def no_memory():
        from apps.rl.adapters.training.worker import trainers

        def full(*_, **__):
            raise torch.OutOfMemoryError("CUDA out of memory.")

        trainers._Sft.training_step = full

    failed = said_by(config(base, turns), tmp_path, prepare=no_memory)["failed"]
    assert failed.code == "out_of_memory"
    assert "1 examples at a time" in failed.message


def test_an_adapter_goes_on_from_its_parent_even_after_a_kill(base, turns, ratings, tmp_path):
    first = config(base, turns, training={"epochs": 1})
    said_by(first, tmp_path / "parent")
    told = config(
        base,
        ratings,
        adapter={"parent": str(tmp_path / "parent" / "adapter"), "parent_id": "general/lora-r4-v1"},
        training={"objective": "kto", "epochs": 1, "learning_rate": 0.001},
    )
    assert said_by(told, tmp_path / "whole")["finished"]
    child = Child(told, tmp_path / "killed")
    for event in child.events():
        if event.event == "checkpoint" and event.step == 2:
            child.kill()
    said = said_by(told, tmp_path / "killed")
    assert said["resumed"].step >= 2
    found = record(tmp_path / "killed")
    assert found.parents == ("general/lora-r4-v1",)
    whole_run = load_file(tmp_path / "whole" / "adapter" / "adapter_model.safetensors")
    resumed = load_file(tmp_path / "killed" / "adapter" / "adapter_model.safetensors")
    assert max(float((whole_run[n] - resumed[n]).abs().max()) for n in whole_run) <= 1e-6
    parent = load_file(tmp_path / "parent" / "adapter" / "adapter_model.safetensors")
    assert max(float((whole_run[n] - parent[n]).abs().max()) for n in whole_run) < 0.05


def test_a_base_that_cannot_be_loaded_gives_way_to_the_fallback_and_says_so(base, turns, tmp_path):
    missing = tmp_path / "missing"
    missing.mkdir()
    parts = {"model": str(missing), "fallback": {"model": str(base)}, "backoff_s": 0}
    said = said_by(config(base, turns, base=parts, training={"epochs": 1}), tmp_path / "run")
    assert record(tmp_path / "run").base_model == str(base)
    assert said["finished"].adapter.base_model_hash == base_model_hash(base)
    alone = said_by(config(base, turns, base={"model": str(missing)}), tmp_path / "alone")
    assert alone["failed"].code == "base_model"


def test_layers_that_the_base_does_not_have_are_named(base, turns, tmp_path):
    said = said_by(config(base, turns, adapter={"target_modules": ["c_attn"]}), tmp_path)
    assert "c_attn" in said["failed"].message
    assert "q_proj" in said["failed"].hint


def test_a_loss_that_is_no_number_ends_the_training(base, turns, tmp_path):
    told = config(base, turns, training={"learning_rate": 0.1, "max_grad_norm": 1e9})

    def poisoned():
        from apps.rl.adapters.training.worker import trainers

        step = trainers._Sft.training_step

        def broken(self, *words, **more):
            loss = step(self, *words, **more)
            return loss * float("nan") if self.state.global_step >= 1 else loss

        trainers._Sft.training_step = broken

    assert said_by(told, tmp_path, prepare=poisoned)["failed"].code == "diverged"


def test_two_trainings_do_not_share_a_folder(base, turns, tmp_path):
    told = config(base, turns, training={"epochs": 20})
    first = Child(told, tmp_path)
    for event in first.events():
        if event.event == "step":
            break
    assert said_by(told, tmp_path)["failed"].code == "training_busy"
    first.kill()
    first.wait()


@pytest.mark.parametrize(
    ("precision", "says"), [("bfloat16", "finished"), ("auto", "finished"), ("float16", "failed")]
)
def test_precision_is_what_was_asked_for_or_refused(base, turns, tmp_path, precision, says):
    said = said_by(config(base, turns, training={"epochs": 1, "precision": precision}), tmp_path)
    assert says in said
    if says == "finished":
        assert said["ready"].precision == {"auto": "float32"}.get(precision, precision)
        assert record(tmp_path).precision == said["ready"].precision
        assert said["finished"].adapter.metrics["loss_dev"] > 0
    else:
        assert "bfloat16" in said["failed"].hint


def test_a_template_of_ones_own_is_used_and_a_missing_one_is_asked_for(base, turns, tmp_path):
    bare = tmp_path / "bare"
    shutil.copytree(base, bare)
    template = tmp_path / "own.jinja"
    (bare / "chat_template.jinja").rename(template)
    asked = said_by(config(bare, turns), tmp_path / "asked")
    assert "chat template" in asked["failed"].message
    told = config(bare, turns, base={"model": str(bare), "chat_template": str(template)})
    assert said_by(told, tmp_path / "run")["finished"].adapter.config["chat_template"]


def test_examples_that_are_too_long_are_counted_and_said(base, turns, tmp_path):
    long = tmp_path / "long.jsonl"
    found = tiny.examples(20)
    long.write_text(turns.read_text())
    with long.open("a") as lines:
        for number, turn in enumerate(found[:3]):
            more = {"completion": turn.completion * 20, "calls": (f"long-{number}",)}
            lines.write(turn.model_copy(update=more).model_dump_json() + "\n")
    said = said_by(config(base, long, training={"epochs": 1}), tmp_path / "run")
    assert said["ready"].too_long == 3
    assert "3 examples are left out" in said["note"].text
    alone = tmp_path / "alone.jsonl"
    alone.write_text("".join(long.read_text().splitlines(keepends=True)[-3:]))
    failed = said_by(config(base, alone), tmp_path / "none")["failed"]
    assert "longer than 96 tokens" in failed.message
