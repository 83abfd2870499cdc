"""The recognition benchmark counts word errors as the field does and knows what it measures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.resources import resource
from apps.knowledge.entries import load_entries
from apps.voice.stt.band import is_narrow
from apps.voice.stt.features import MelStream
from benchmarks.recognition.__main__ import read_utterances
from benchmarks.recognition.measure import Result, collisions, figures, word_errors
from benchmarks.recognition.speech import telephone

WORDS = st.lists(st.sampled_from("abc"), max_size=6)


@pytest.mark.parametrize(
    ("said", "heard", "errors"),
    [
        ("a b c", "a b c", 0),
        ("a b c", "a c", 1),
        ("a b c", "a b b c", 1),
        ("a b c", "a d c", 1),
        ("a b c", "", 3),
        ("", "a", 1),
    ],
)
def test_each_wrong_missing_or_added_word_is_one_error(said: str, heard: str, errors: int) -> None:
    assert word_errors(said.split(), heard.split()) == errors


@given(WORDS, WORDS)
def test_errors_are_at_least_the_difference_in_length_and_at_most_the_longer(
    said: list[str], heard: list[str]
) -> None:
    errors = word_errors(said, heard)
    assert abs(len(said) - len(heard)) <= errors <= max(len(said), len(heard))
    assert (errors == 0) == (said == heard)


def test_figures_weigh_words_and_normalise_both_sides() -> None:
    one = Result("It costs 30 euros", "it costs thirty euros", "slt", "16 kHz", 2.0, 0.5)
    two = replace(one, reference="hello", heard="halo", decode_s=1.5, right_entry=True)
    some = figures([one, two])
    assert some.word_error_rate == pytest.approx(1 / 5)
    assert some.right_sentences == 0.5
    assert some.real_time_factor == pytest.approx(0.5)
    assert some.right_entries == 1.0
    assert some.median_latency_ms is None


def test_the_measured_sentences_are_not_in_the_knowledge_base() -> None:
    entries = load_entries(resource("knowledge"))
    text = [
        line
        for entry in entries
        if entry.language == "en"
        for line in (entry.question, *entry.variants, *entry.sentences)
    ]
    measured = [text for name in ("test", "tuning") for _, text, _ in read_utterances(name)]
    assert len(read_utterances("test")) >= 100
    assert collisions(measured, text) == []


def test_the_measured_sentences_name_entries_that_exist() -> None:
    known = {entry.id for entry in load_entries(resource("knowledge")) if entry.language == "en"}
    wanted = {
        entry for name in ("test", "tuning") for *_, es in read_utterances(name) for entry in es
    }
    assert wanted <= known


def test_the_telephone_band_is_narrow_and_the_same_every_time() -> None:
    rng = np.random.default_rng(5)
    wide = (2000 * rng.standard_normal(16000)).astype(np.int16)
    narrow = telephone(wide)
    assert np.array_equal(narrow, telephone(wide))
    assert is_narrow(MelStream().push(narrow))
    assert not is_narrow(MelStream().push(wide))
