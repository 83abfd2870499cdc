"""The trigram model is a probability distribution that prefers what its sentences say."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.voice.stt.ngram import END, START, General, Smoothing, TrigramModel

WORDS = ("a", "b", "c", "d")
GENERAL = General(
    unigrams={"a": 0.4, "b": 0.2, "c": 0.1, "d": 0.1, END: 0.2},
    bigrams={"a": {"b": 0.7}, START: {"d": 0.5}},
)
SENTENCES = st.lists(
    st.tuples(st.lists(st.sampled_from(WORDS), max_size=5), st.floats(0.01, 3.0)), max_size=6
)


@given(SENTENCES)
def test_the_probabilities_after_every_history_sum_to_one(
    sentences: list[tuple[list[str], float]],
) -> None:
    model = TrigramModel(sentences, GENERAL)
    everything = [*WORDS, END]
    assert sum(map(model.unigram, everything)) == pytest.approx(1.0)
    for first in (START, *WORDS):
        assert sum(model.bigram(first, word) for word in everything) == pytest.approx(1.0)
        for second in WORDS:
            total = sum(model.trigram(first, second, word) for word in everything)
            assert total == pytest.approx(1.0)


def test_what_a_sentence_says_becomes_likelier_than_the_general_model_has_it() -> None:
    model = TrigramModel([(("c", "d"), 1.0)], GENERAL)
    assert model.trigram(START, "c", "d") > GENERAL.unigrams["d"]
    assert model.bigram(START, "c") > GENERAL.backoff(START) * GENERAL.unigrams["c"]


def test_a_history_without_sentences_follows_the_general_model() -> None:
    model = TrigramModel([], GENERAL, Smoothing(general_bigram=1.0))
    assert model.bigram("a", "b") == pytest.approx(0.7)
    assert model.bigram("a", "c") == pytest.approx(GENERAL.backoff("a") * 0.1)


def test_a_weight_counts_as_that_many_sentences() -> None:
    once = TrigramModel([(("c", "d"), 2.0)], GENERAL)
    twice = TrigramModel([(("c", "d"), 1.0), (("c", "d"), 1.0)], GENERAL)
    assert once.trigram("c", "d", END) == pytest.approx(twice.trigram("c", "d", END))


def test_perplexity_falls_when_the_sentence_was_seen() -> None:
    unseen = TrigramModel([], GENERAL).perplexity([("c", "d")])
    seen = TrigramModel([(("c", "d"), 1.0)], GENERAL).perplexity([("c", "d")])
    assert seen < unseen


def test_a_word_outside_the_vocabulary_is_refused() -> None:
    with pytest.raises(ValueError, match="vocabulary"):
        TrigramModel([(("zebra",), 1.0)], GENERAL)


def _read(lines: list[str]) -> dict[tuple[str, ...], tuple[float, float]]:
    """Return probability and back-off weight of each n-gram of an ARPA file."""
    grams = {}
    order = 0
    for line in "\n".join(lines).splitlines():
        if line.endswith("-grams:"):
            order = int(line[1])
        elif line and not line.startswith(("\\", "ngram")):
            p, *rest = line.split(" ")
            weight = float(rest[order]) if len(rest) > order else 0.0
            grams[tuple(rest[:order])] = 10 ** float(p), 10**weight
    return grams


def _lookup(grams: dict[tuple[str, ...], tuple[float, float]], *words: str) -> float:
    if words in grams:
        return grams[words][0]
    return grams.get(words[:-1], (0.0, 1.0))[1] * _lookup(grams, *words[1:])


@given(SENTENCES)
def test_the_arpa_file_announces_what_it_holds_and_sums_to_one(
    sentences: list[tuple[list[str], float]],
) -> None:
    lines = list(TrigramModel(sentences, GENERAL).arpa())
    grams = _read(lines)
    for order in (1, 2, 3):
        held = sum(len(gram) == order for gram in grams)
        assert f"ngram {order}={held}" in lines
    for first in (START, *WORDS):
        for second in WORDS:
            total = sum(_lookup(grams, first, second, word) for word in (*WORDS, END))
            assert math.isclose(total, 1.0, rel_tol=2e-3)
