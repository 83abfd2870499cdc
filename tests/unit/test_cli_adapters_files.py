"""`tom adapters sources|export`: knowledge becomes examples, and an export is asked for rightly."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from apps.cli import app
from apps.rl.adapters.training.config import DataConfig
from apps.rl.adapters.training.dataset import load_data
from apps.settings import load_settings

RUNNER = CliRunner()


@pytest.fixture(autouse=True)
def fresh_settings(tmp_path, monkeypatch):
    monkeypatch.setenv("TOM_DATA_DIR", str(tmp_path / "data"))
    load_settings.cache_clear()
    yield
    load_settings.cache_clear()


def test_the_knowledge_base_can_be_trained_on(tmp_path):
    out = tmp_path / "sources.jsonl"
    done = RUNNER.invoke(app, ["adapters", "sources", str(out), "-d", "kfz", "--language", "en"])
    assert done.exit_code == 0, done.output
    data = load_data(DataConfig(sources=out), "sft", 0)
    assert len(data.train) > 100
    assert data.held_out
    assert {example.language for example in data.train} == {"en"}
    assert {example.domain for example in data.train} == {"kfz"}


def test_knowledge_that_is_not_there_is_no_empty_file(tmp_path):
    out = tmp_path / "sources.jsonl"
    done = RUNNER.invoke(app, ["adapters", "sources", str(out), "-d", "nothing"])
    assert done.exit_code == 1
    assert not out.exists()


@pytest.mark.parametrize("kind", [[], ["--merged", "--ollama-base", "llama3.2"]])
def test_an_export_is_one_of_two_kinds(tmp_path, kind):
    words = ["adapters", "export", "kfz/lora-r4-v1", "--out", str(tmp_path / "out"), *kind]
    done = RUNNER.invoke(app, words)
    assert done.exit_code == 1
    assert "Say one of the two" in done.output
