"""Weights and voices: which are there, and how they get there."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from apps.core.errors import ConfigError, EngineUnavailable
from apps.voice import pull
from apps.voice.models import (
    PiperVoice,
    english_only,
    find_piper,
    find_whisper,
    missing_whisper_files,
    multilingual,
    present,
    whisper_repository,
)
from apps.voice.pull import PIPER_REPOSITORY, Progress, pull_piper, pull_whisper
from tests.fake_hub import FakeHub, fake_hub

TINY = {
    "README.md": b"about it",
    "config.json": b"{}",
    "model.bin": b"weights" * 50_000,
    "tokenizer.json": b"{}",
    "vocabulary.txt": b"a\nb\n",
}
VOICE = "de_DE-thorsten-medium"
VOICE_FOLDER = "de/de_DE/thorsten/medium"
VOICES = {
    f"{VOICE_FOLDER}/{VOICE}.onnx": b"network" * 1000,
    f"{VOICE_FOLDER}/{VOICE}.onnx.json": b"{}",
    "en/en_US/lessac/medium/en_US-lessac-medium.onnx": b"another",
}


@pytest.fixture(autouse=True)
def _hub_reachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with fake_hub(
        {"Systran/faster-whisper-tiny": dict(TINY), PIPER_REPOSITORY: dict(VOICES)}
    ) as running:
        yield running


def ignore(progress: Progress) -> None:
    pass


def closed_port() -> str:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{s.getsockname()[1]}"


# --- what is there


def test_a_whisper_model_is_found_by_its_name_and_by_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "whisper" / "tiny"
    assert find_whisper(tmp_path, "tiny") is None
    folder.mkdir(parents=True)
    for name, data in TINY.items():
        (folder / name).write_bytes(data)

    assert find_whisper(tmp_path, "tiny") == folder
    assert find_whisper(Path("elsewhere"), str(folder)) == folder


def test_a_folder_that_lacks_a_file_is_no_model(tmp_path: Path) -> None:
    folder = tmp_path / "whisper" / "tiny"
    folder.mkdir(parents=True)
    (folder / "model.bin").write_bytes(b"")
    (folder / "config.json").write_bytes(b"")

    assert missing_whisper_files(folder) == ["tokenizer.json", "vocabulary.json"]
    assert find_whisper(tmp_path, "tiny") is None
    assert present(tmp_path) == []


def test_a_piper_voice_is_found_by_name_and_by_path_once_it_has_its_configuration(
    tmp_path: Path,
) -> None:
    onnx = tmp_path / "piper" / f"{VOICE}.onnx"
    onnx.parent.mkdir()
    onnx.write_bytes(b"network")
    assert find_piper(tmp_path, VOICE) is None

    (tmp_path / "piper" / f"{VOICE}.onnx.json").write_bytes(b"{}")

    assert find_piper(tmp_path, VOICE) == onnx
    assert find_piper(Path("elsewhere"), str(onnx)) == onnx
    assert find_piper(tmp_path, str(tmp_path)) is None


def test_a_voice_is_named_by_language_speaker_and_quality() -> None:
    voice = PiperVoice.parse(VOICE)

    assert (voice.language, voice.name, voice.quality) == ("de", "thorsten", "medium")
    assert voice.repository_folder == VOICE_FOLDER
    assert voice.full_name == VOICE


@pytest.mark.parametrize(
    "name", ["thorsten", "de-thorsten-medium", "../../de_DE-thorsten-medium", "de_DE-x-huge", ""]
)
def test_what_is_no_voice_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="no name of a Piper voice"):
        PiperVoice.parse(name)


@pytest.mark.parametrize("name", ["huge", "../tiny", "a/b/c", "/etc", ""])
def test_what_is_no_whisper_model_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="no Whisper model"):
        whisper_repository(name)


@pytest.mark.parametrize(
    ("model", "only"),
    [("small.en", True), ("folder/base.en", True), ("small", False), ("a/b.en-us", False)],
)
def test_a_model_says_in_its_name_that_it_hears_english_alone(model: str, only: bool) -> None:
    assert english_only(model) is only
    assert not english_only(multilingual(model))


# --- how they get there


def test_a_pulled_whisper_model_is_present_and_progress_was_told(
    hub: FakeHub, tmp_path: Path
) -> None:
    told: list[Progress] = []

    home = pull_whisper("tiny", tmp_path, told.append, endpoint=hub.url)

    assert find_whisper(tmp_path, "tiny") == home
    wanted = {name: data for name, data in TINY.items() if name != "README.md"}
    assert {f.name: f.read_bytes() for f in home.iterdir()} == wanted
    assert [w.name for w in present(tmp_path)] == ["tiny"]
    assert [w.size_bytes for w in present(tmp_path)] == [sum(map(len, wanted.values()))]
    assert told[0].done_bytes == 0
    assert told[-1].done_bytes == told[-1].total_bytes == sum(map(len, wanted.values()))
    assert [p.done_bytes for p in told] == sorted(p.done_bytes for p in told)


def test_a_repository_of_ones_own_can_be_pulled(tmp_path: Path) -> None:
    with fake_hub({"someone/their-whisper": TINY}) as hub:
        pull_whisper("someone/their-whisper", tmp_path, ignore, endpoint=hub.url)

    assert find_whisper(tmp_path, "someone/their-whisper") is not None
    assert [w.name for w in present(tmp_path)] == ["someone/their-whisper"]


def test_a_second_pull_replaces_the_first(hub: FakeHub, tmp_path: Path) -> None:
    pull_whisper("tiny", tmp_path, ignore, endpoint=hub.url)
    hub.repositories["Systran/faster-whisper-tiny"]["config.json"] = b'{"new": 1}'

    home = pull_whisper("tiny", tmp_path, ignore, endpoint=hub.url)

    assert (home / "config.json").read_bytes() == b'{"new": 1}'


def test_a_broken_pull_leaves_nothing_that_looks_present_and_can_be_taken_up_again(
    hub: FakeHub, tmp_path: Path
) -> None:
    tokenizer = hub.repositories["Systran/faster-whisper-tiny"].pop("tokenizer.json")
    with pytest.raises(EngineUnavailable, match=r"lacks tokenizer\.json"):
        pull_whisper("tiny", tmp_path, ignore, endpoint=hub.url)
    assert present(tmp_path) == []
    assert find_whisper(tmp_path, "tiny") is None

    hub.repositories["Systran/faster-whisper-tiny"]["tokenizer.json"] = tokenizer
    hub.asked.clear()
    pull_whisper("tiny", tmp_path, ignore, endpoint=hub.url)

    assert find_whisper(tmp_path, "tiny") is not None
    assert not any(path.endswith("model.bin") for path in hub.asked)


def test_a_pull_that_is_interrupted_in_the_middle_of_a_file_leaves_nothing_present(
    hub: FakeHub, tmp_path: Path
) -> None:
    def interrupt(progress: Progress) -> None:
        if progress.file == "model.bin" and progress.done_bytes > 100:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull_whisper("tiny", tmp_path, interrupt, endpoint=hub.url)

    assert present(tmp_path) == []


def test_a_pulled_piper_voice_is_present(hub: FakeHub, tmp_path: Path) -> None:
    path = pull_piper(VOICE, tmp_path, ignore, endpoint=hub.url)

    assert find_piper(tmp_path, VOICE) == path
    assert path.read_bytes() == VOICES[f"{VOICE_FOLDER}/{VOICE}.onnx"]
    assert [w.kind for w in present(tmp_path)] == ["piper"]


@pytest.mark.parametrize("voice", ["de_DE-nobody-low", "en_US-lessac-medium"])
def test_a_voice_that_the_hub_has_not_or_only_half_is_said_to_be_missing(
    hub: FakeHub, tmp_path: Path, voice: str
) -> None:
    with pytest.raises(EngineUnavailable, match="no Piper voice"):
        pull_piper(voice, tmp_path, ignore, endpoint=hub.url)

    assert present(tmp_path) == []


def test_a_repository_that_the_hub_has_not_is_said_to_be_missing(
    hub: FakeHub, tmp_path: Path
) -> None:
    with pytest.raises(EngineUnavailable, match=r"no a/b that can be fetched \(40[14]\)"):
        pull_whisper("a/b", tmp_path, ignore, endpoint=hub.url)


def test_a_hub_that_cannot_be_reached_is_said_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match="cannot be reached") as caught:
        pull_whisper("tiny", tmp_path, ignore, endpoint=closed_port())

    assert "HF_ENDPOINT" in caught.value.hint
    assert present(tmp_path) == []


def test_a_full_disk_is_said(hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pull, "_fetch", full)
    with pytest.raises(EngineUnavailable, match="No space left") as caught:
        pull_whisper("tiny", tmp_path, ignore, endpoint=hub.url)

    assert "TOM_MODELS_DIR" in caught.value.hint
