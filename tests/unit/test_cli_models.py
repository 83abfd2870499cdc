"""`tom models`: what a person reads when they look for weights or fetch them."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from apps.cli.models import models_app
from apps.settings import load_settings
from apps.voice.pull import PIPER_REPOSITORY
from tests.fake_hub import FakeHub, fake_hub

VOICE = "de_DE-thorsten-medium"
FILES = dict.fromkeys(("config.json", "model.bin", "tokenizer.json", "vocabulary.json"), b"{}")
VOICES = {f"de/de_DE/thorsten/medium/{VOICE}.{ext}": b"{}" for ext in ("onnx", "onnx.json")}


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with fake_hub({"Systran/faster-whisper-tiny": FILES, PIPER_REPOSITORY: VOICES}) as running:
        yield running


@pytest.fixture(autouse=True)
def models_dir(hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOM_MODELS_DIR", "models")
    monkeypatch.setenv("TOM_WHISPER_MODEL", "tiny")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    load_settings.cache_clear()
    yield tmp_path / "models"
    load_settings.cache_clear()


def tom_models(*args: str) -> tuple[int, str]:
    result = CliRunner().invoke(models_app, list(args), env={"COLUMNS": "200"})
    return result.exit_code, result.output


def test_what_is_missing_is_listed_with_the_command_that_fetches_it() -> None:
    status, output = tom_models("list")

    assert status == 0
    assert "missing: tiny  (tom models pull tiny)" in output
    assert f"missing: {VOICE}" in output


def test_pulled_weights_are_listed(models_dir: Path) -> None:
    status, output = tom_models("pull", "tiny", VOICE)
    assert status == 0, output
    assert "tiny is in models/whisper/tiny" in output

    _, table = tom_models("list")
    assert "models/whisper/tiny" in table
    assert "missing: tiny" not in table
    _, raw = tom_models("list", "--json")
    rows = [json.loads(line) for line in raw.splitlines()]
    assert [(row["kind"], row["name"]) for row in rows] == [("whisper", "tiny"), ("piper", VOICE)]


def test_without_names_those_of_the_settings_are_pulled_and_what_fails_is_said() -> None:
    status, output = tom_models("pull")

    assert status == 1
    assert "tiny is in" in output
    assert "en_US-lessac-medium: The hub has no Piper voice" in output


def test_a_name_that_means_nothing_is_refused_with_a_hint() -> None:
    status, output = tom_models("pull", "gigantic")

    assert status == 1
    assert "no Whisper model 'gigantic'" in output
    assert "large-v3-turbo" in output


def test_a_hub_that_cannot_be_reached_is_said_without_a_traceback() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{unused.getsockname()[1]}"
        status, output = tom_models("pull", "tiny", "--endpoint", nowhere)

    assert status == 1
    assert "cannot be reached" in output
    assert "Traceback" not in output


def test_settings_that_cannot_be_used_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOM_HTTP_PORT", "many")
    load_settings.cache_clear()

    status, output = tom_models("list")

    assert status == 1
    assert "TOM_HTTP_PORT" in output
