"""Which recogniser serves a language, and what is said when none does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from apps.engines import Choice, Present, choose
from apps.settings import Settings

WEIGHTS = Present(whisper=Path("models/whisper/any"), piper={}, piper_package=False)
NOTHING = Present(whisper=None, piper={}, piper_package=False)


def stt(language: str, present: Present, **settings: Any) -> Choice:
    return choose(Settings(_env_file=None, **settings), present)[f"stt.{language}"]


def test_german_is_heard_by_whisper_or_by_nothing() -> None:
    assert stt("de", WEIGHTS).engine == "faster-whisper"
    nothing = stt("de", NOTHING)
    assert nothing.engine is None
    assert "tom models pull small" in nothing.why


def test_weights_that_hear_english_alone_are_not_given_german() -> None:
    assert stt("en", WEIGHTS, whisper_model="base.en").engine == "faster-whisper"
    german = stt("de", WEIGHTS, whisper_model="base.en")
    assert german.engine is None
    assert german.why.endswith("tom models pull base.")


@pytest.mark.parametrize("language", ["de", "en"])
def test_whisper_that_is_asked_for_and_missing_is_not_replaced_in_silence(language: str) -> None:
    choice = stt(language, NOTHING, stt_engine="faster-whisper")
    assert choice.engine is None
    assert "missing" in choice.why


def test_english_is_heard_without_weights() -> None:
    assert stt("en", NOTHING).engine == "pocketsphinx"
    assert stt("en", WEIGHTS, stt_engine="pocketsphinx").engine == "pocketsphinx"


def test_a_server_hears_both() -> None:
    assert {stt(each, NOTHING, stt_engine="openai").engine for each in ("de", "en")} == {"openai"}
