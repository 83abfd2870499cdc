"""`tom adapters`: what an operator sees and does, with a training process that only pretends."""

from __future__ import annotations

import asyncio
import json
import shutil
import stat
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from apps.cli import adapters_make, app
from apps.cli.adapters_golden import Asked, ask, golden_prompts
from apps.cli.adapters_parts import registry_of
from apps.core.errors import EngineUnavailable
from apps.core.resources import resource
from apps.llm.answer import GroundedAnswerer
from apps.llm.prompt import Prompt
from apps.rl.adapters.golden import (
    GoldenQuestion,
    GoldenResult,
    chosen,
    counted,
    read_golden,
    share_passed,
)
from apps.rl.adapters.hashing import base_model_hash, tokenizer_hash
from apps.rl.adapters.record import AdapterRecord, AdapterState, TrainedAdapter
from apps.rl.adapters.registry import AdapterRegistry
from apps.rl.adapters.rollout.machine import Happening, What
from apps.settings import load_settings
from apps.store.calls import CallRow, open_call

PRETENDER = """#!/bin/sh
# Stands for an interpreter: `... -m apps.rl.adapters.training run|evaluate|compose ...`
case "$*" in
  *" evaluate "*--adapter*) cat {lines}/adapter.jsonl ;;
  *" evaluate "*) cat {lines}/base.jsonl ;;
  *" compose "*) cat {lines}/composed.jsonl ;;
  *) echo "$*" > {lines}/asked; cat {lines}/run.jsonl ;;
esac
exit $(cat {lines}/status)
"""


class Office:
    """An installation in a folder, with a base model, and a training process that pretends."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, store: Path) -> None:
        self.folder, self.lines = folder, folder / "lines"
        self.base = folder / "base"
        for path in (self.lines, self.base):
            path.mkdir()
        for name in ("config.json", "model.safetensors", "tokenizer.json"):
            (self.base / name).write_text(f"{name} of a tiny model")
        shutil.copy(store, folder / "feedback.db")
        shutil.copytree(resource("profiles"), folder / "profiles")
        for page in ("en/hours.md", "de/hours.md"):
            (folder / "knowledge/kfz" / page).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(resource("knowledge") / "kfz" / page, folder / "knowledge/kfz" / page)
        values = {
            "TOM_DATA_DIR": folder / "data",
            "RL_FEEDBACK_DB_PATH": folder / "feedback.db",
            "RL_BANDIT_STATE_PATH": folder / "bandit.json",
            "RL_CANDIDATES_PATH": folder / "candidates",
            "TOM_MODELS_DIR": folder / "models",
            "TOM_PROFILE_DIR": folder,
            "TOM_ADAPTER_BASE": self.base,
        }
        for name, value in values.items():
            monkeypatch.setenv(name, str(value))
        monkeypatch.chdir(folder)
        load_settings.cache_clear()
        self.python = folder / "python"
        self.python.write_text(PRETENDER.format(lines=self.lines))
        self.python.chmod(self.python.stat().st_mode | stat.S_IXUSR)
        (self.lines / "status").write_text("0")
        self.say("base", evaluated("base", 2.0))
        self.say("adapter", evaluated("adapter", 1.5))

    def say(self, what: str, *events: dict[str, object]) -> None:
        text = "".join(json.dumps(event) + "\n" for event in events)
        (self.lines / f"{what}.jsonl").write_text(text)

    def trained(self, **changes: object) -> TrainedAdapter:
        said = {
            "domain": ["kfz"],
            "method": "lora",
            "rank": 16,
            "precision": "fp32",
            "base_model": str(self.base),
            "base_model_hash": base_model_hash(self.base),
            "tokenizer_hash": tokenizer_hash(self.base),
            "dataset_ref": "answers.jsonl",
            "dataset_sha256": "d" * 64,
            "calls": ["call1"],
        }
        return TrainedAdapter.model_validate(said | changes)

    def made(self, name: str = "adapter", **changes: object) -> dict[str, object]:
        """Write what a training leaves behind, and return what it says at its end."""
        folder = self.folder / "run" / name
        folder.mkdir(parents=True)
        (folder / "adapter_config.json").write_text("{}")
        (folder / "adapter_model.safetensors").write_text(f"weights of {name}")
        adapter = self.trained(**changes)
        (folder / "adapter.json").write_text(adapter.model_dump_json())
        return {
            "event": "finished",
            "folder": str(folder),
            "adapter": adapter.model_dump(mode="json"),
        }

    @property
    def registry(self) -> AdapterRegistry:
        return registry_of(load_settings())

    def train(self, *events: dict[str, object]) -> Result:
        self.say("run", *events)
        return tom("train", "lora", "--domain", "kfz", "--python", str(self.python))

    def add(self, name: str = "adapter") -> AdapterRecord:
        assert self.train(self.made(name)).exit_code == 0
        return list(self.registry.known().records.values())[-1]


def evaluated(what: str, loss: float) -> dict[str, object]:
    return {
        "event": "evaluated",
        "what": what,
        "loss": loss,
        "perplexity": 7.4,
        "examples": 20,
        "tokens": 300,
    }


def tom(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["adapters", *arguments], env={"COLUMNS": "200"})


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, migrated_store: Path) -> Office:
    yield Office(tmp_path, monkeypatch, migrated_store)
    load_settings.cache_clear()


def test_a_training_is_shown_and_its_adapter_is_entered(office: Office) -> None:
    step = {"event": "step", "step": 1, "steps": 2, "loss": 2.4, "learning_rate": 1e-4}
    step |= {"tokens_s": 90.0, "memory_mb": 200.0}
    done = office.train({"event": "loading", "model": "base"}, step, office.made())
    assert done.exit_code == 0, done.output
    assert "Loading base" in done.output
    assert "Entered as kfz/lora-r16-v1" in done.output
    assert "tom adapters eval kfz/lora-r16-v1" in done.output
    asked = (office.lines / "asked").read_text()
    assert f"base.model={office.base}" in asked
    assert "domain=[kfz]" in asked
    assert str(office.folder / "data" / "training" / "lora-kfz") in asked
    record = office.registry.record("kfz/lora-r16-v1")
    assert record.state is AdapterState.TRAINED
    assert (office.folder / "models/adapters/kfz/lora-r16-v1/adapter.json").is_file()


def test_a_training_that_fails_says_why_and_enters_nothing(office: Office) -> None:
    failed = {"event": "failed", "code": "out_of_memory", "message": "No room.", "hint": "Buy."}
    done = office.train(failed)
    assert done.exit_code == 1
    assert "No room." in done.output
    assert "Buy." in done.output
    assert not office.registry.known().records


def test_a_training_that_was_stopped_enters_nothing_and_can_go_on(office: Office) -> None:
    (office.lines / "status").write_text("3")
    done = office.train({"event": "stopped", "step": 40})
    assert done.exit_code == 130
    assert "same command goes on" in done.output
    assert not office.registry.known().records


@pytest.mark.parametrize("command", ["train", "eval", "compose"])
def test_without_torch_the_error_names_the_extra(office: Office, monkeypatch, command) -> None:
    def missing() -> None:
        raise EngineUnavailable("Not installed.", hint="pip install 'tom-voice[train]'")

    adapter = office.add().id
    monkeypatch.setattr(adapters_make, "require_train_extra", missing)
    arguments = {
        "train": ["lora"],
        "eval": [adapter, "--data", str(office.python), "--no-golden"],
        "compose": [adapter, adapter, "--kind", "additive"],
    }
    done = tom(command, *arguments[command])
    assert done.exit_code == 1
    assert "tom-voice[train]" in done.output


def test_an_adapter_with_a_lower_loss_than_the_base_passes(office: Office) -> None:
    adapter = office.add().id
    data = ["--data", str(office.python), "--no-golden", "--python", str(office.python)]
    done = tom("eval", adapter, *data)
    assert done.exit_code == 0, done.output
    record = office.registry.record(adapter)
    assert record.state is AdapterState.EVALUATED
    assert record.metrics == {"loss_base": 2.0, "loss_dev": 1.5}
    office.say("adapter", evaluated("adapter", 2.1))
    failed = tom("eval", adapter, *data)
    assert failed.exit_code == 1
    assert "It failed: held-out loss 2.1000" in failed.output
    assert office.registry.record(adapter).state is AdapterState.REJECTED


def test_golden_prompts_need_a_server(office: Office) -> None:
    done = tom("eval", office.add().id, "--no-loss")
    assert done.exit_code == 1
    assert "TOM_ADAPTER_URL" in done.output


def test_only_what_was_evaluated_is_promoted_and_what_was_changed_is_not(office: Office) -> None:
    adapter = office.add()
    assert "has not been evaluated" in tom("promote", adapter.id).output
    office.registry.happened(adapter.id, Happening(What.PASSED, "passed"))
    file = office.folder / "models/adapters" / adapter.id / "adapter_model.safetensors"
    kept = file.read_bytes()
    file.write_text("others")
    assert "not what was registered" in tom("promote", adapter.id).output
    file.write_bytes(kept)
    (office.base / "config.json").write_text("another base")
    assert "another base model" in tom("promote", adapter.id).output
    (office.base / "config.json").write_text("config.json of a tiny model")
    assert "no variant 'v9'" in tom("promote", adapter.id, "--like", "v9").output
    done = tom("promote", adapter.id, "--like", "v2a", "--why", "it reads well")
    assert done.exit_code == 0, done.output
    assert "No server loads adapters yet" in done.output
    record = office.registry.record(adapter.id)
    assert (record.state, record.why) == (AdapterState.LOADING, "it reads well")


def test_a_roll_out_is_taken_back_and_what_cannot_be_is_said(office: Office) -> None:
    adapter = office.add()
    refused = tom("rollback", adapter.id)
    assert refused.exit_code == 1
    assert "cannot be rolled_back" in refused.output
    office.registry.happened(adapter.id, Happening(What.PASSED, "passed"))
    office.registry.happened(adapter.id, Happening(What.PROMOTED, "go"))
    done = tom("rollback", adapter.id, "--why", "second thoughts")
    assert "it is draining" in done.output
    assert "There is no adapter 'kfz/lora-r16-v9'" in tom("rollback", "kfz/lora-r16-v9").output


def test_the_list_and_one_adapter_with_its_history(office: Office) -> None:
    assert "There is no adapter." in tom("list").output
    first, second = office.add("a"), office.add("b")
    office.registry.happened(first.id, Happening(What.FAILED, "too bad", "operator"))
    shown = tom("list").output
    assert second.id in shown
    assert first.id not in shown
    assert "1 more whose time is over" in shown
    everything = tom("list", "--all", "--json").output.splitlines()
    assert [json.loads(line)["id"] for line in everything] == [first.id, second.id]
    one = tom("show", first.served).output
    for told in (first.served, "rejected", "too bad", "answers.jsonl", "1 call\n"):
        assert told in one


def test_verify_tells_what_was_changed_and_repairs_the_file(office: Office) -> None:
    adapter = office.add()
    assert tom("verify").exit_code == 0
    office.registry.file.write_text("{}")
    broken = tom("verify")
    assert broken.exit_code == 1
    assert "wrong" in broken.output
    assert tom("verify", "--repair").exit_code == 0
    weights = office.folder / "models/adapters" / adapter.id / "adapter_model.safetensors"
    weights.write_text("others")
    assert adapter.id in tom("verify").output


def test_whoever_deletes_a_call_hears_which_adapters_learned_from_it(office: Office) -> None:
    adapter = office.add()
    with office.registry.db.transaction() as conn:
        for ref in ("call1", "call2"):
            open_call(conn, CallRow(ref, "kfz", "en", "websocket"))
    told = CliRunner().invoke(app, ["calls", "delete", "call1", "--yes"], env={"COLUMNS": "200"})
    assert f"{adapter.id} (trained) learned from it" in told.output
    told = CliRunner().invoke(app, ["calls", "delete", "call2", "--yes"])
    assert told.exit_code == 0, told.output
    assert "learned" not in told.output


def test_a_comparison_without_calls_says_that_nothing_is_known(office: Office) -> None:
    adapter = office.add()
    told = json.loads(tom("compare", adapter.id, "--json").output)
    assert told["calls"] == 0
    assert told["differences"]["reward"] == [-2.0, 2.0]


def test_a_composite_is_entered_with_its_parents(office: Office) -> None:
    first, second = office.add("a"), office.add("b")
    parents = (first.id, second.id)
    made = office.made("both", method="weighted", parents=parents, dataset_sha256="")
    made |= {"event": "composed", "combination": "cat", "relative_error": 0.0}
    made |= {"conflicts": [], "cosines": {}}
    row = {"event": "loss_row", "held_out": first.id, "tokens": 9, "base": 2.0, "composite": 1.6}
    made["losses"] = [{k: v for k, v in row.items() if k != "event"} | {"parents": {"a": 1.5}}]
    office.say("composed", made)
    done = tom("compose", *parents, "--kind", "weighted", "--python", str(office.python))
    assert done.exit_code == 0, done.output
    assert "composite 1.6000" in done.output
    record = office.registry.record("kfz/weighted-r16-v1")
    assert record.parents == parents
    alone = tom("compose", first.id, "--kind", "weighted", "--python", str(office.python))
    assert "two adapters or more" in alone.output


class Parrot(GroundedAnswerer):
    """Says the same to everything, and none of it is so."""

    async def stream(self, prompt: Prompt) -> AsyncGenerator[str, None]:
        yield "The office is open on 31 February at 25 o'clock."


def test_a_grounded_answerer_passes_the_golden_prompts_and_a_parrot_does_not(office) -> None:
    adapter = office.add()

    async def asked_all() -> tuple[list[Asked], list[GoldenResult], list[GoldenResult]]:
        asked = await golden_prompts(load_settings(), adapter, None, 30)
        good, bad = list[GoldenResult](), list[GoldenResult]()
        await ask(GroundedAnswerer(), asked, good.append)
        await ask(Parrot(), asked, bad.append)
        return asked, good, bad

    asked, good, bad = asyncio.run(asked_all())
    assert all(prompt.adapter == adapter.served for _, prompt in asked)
    assert {bool(question.entry) for question, _ in asked} == {True, False}
    assert len(asked) == len(good) == len(bad)
    assert share_passed(good) >= 0.95, counted(good)
    assert share_passed(bad) == 0.0
    assert "supported" in counted(bad)


def test_the_golden_prompts_can_be_read_and_are_spread_the_same_way_each_time() -> None:
    read = read_golden(resource("policies", "golden_prompts.yaml"))
    assert {question.language for question in read} == {"de", "en"}
    assert all(not question.entry for question in read)
    questions = {("en", f"e{n}"): f"Question {n}?" for n in range(20)}
    assert chosen(questions, 5) == chosen(dict(reversed(questions.items())), 5)
    assert set(chosen(questions, 5)) <= {
        GoldenQuestion(text, "en", name) for (_, name), text in questions.items()
    }
