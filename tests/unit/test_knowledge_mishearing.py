"""The benchmark's word errors are as many as it says, alike on every machine."""

from __future__ import annotations

import pytest

from apps.core.words import words
from benchmarks.knowledge.errors import WORD_ERROR_RATE, Mishearing, distance, word_error_rate
from benchmarks.knowledge.measure import Found, figures, threshold
from benchmarks.knowledge.questions import LANGUAGES, load


@pytest.mark.parametrize("language", LANGUAGES)
def test_errors_come_to_the_stated_rate_and_are_repeatable(language: str) -> None:
    said = [question.text for question in load(language)]
    mishearing = Mishearing(said, language)
    heard = mishearing.damage(said, seed=0)
    assert word_error_rate(said, heard) == pytest.approx(WORD_ERROR_RATE, abs=0.005)
    assert heard == Mishearing(said, language).damage(said, seed=0)
    assert heard != mishearing.damage(said, seed=1)


def test_a_word_is_misheard_as_one_that_sounds_alike() -> None:
    heard = Mishearing(["plate place car windscreen"], "en").damage(["plait"] * 200, seed=0)
    changed = {word for text in heard for word in words(text)} - {"plait"}
    assert "plate" in changed
    assert "windscreen" not in changed


def test_the_distance_counts_single_words() -> None:
    assert distance(["a", "b", "c"], ["a", "c"]) == 1
    assert distance(["a", "b"], ["a", "x", "b"]) == 1
    assert distance(["a", "b"], ["c", "b"]) == 1
    assert distance([], ["a", "b"]) == 2


def test_figures_count_ranks_and_refusals() -> None:
    found = [
        Found(rank=1, top=0.9, covered=True),
        Found(rank=3, top=0.4, covered=True),
        Found(rank=0, top=0.8, covered=True),
        Found(rank=0, top=0.2, covered=False),
        Found(rank=0, top=0.7, covered=False),
    ]
    got = figures(found, from_score=0.5)
    assert (got.hit_1, got.hit_5) == pytest.approx((1 / 3, 2 / 3))
    assert got.ndcg == pytest.approx((1 + 0.5) / 3)
    assert (got.right_refusals, got.wrong_refusals) == pytest.approx((1 / 2, 1 / 3))


def test_a_threshold_refuses_at_most_three_in_a_hundred_covered_questions() -> None:
    found = [Found(1, top / 100, covered=True) for top in range(100)]
    from_score = threshold("BM25", found)
    assert sum(one.top < from_score for one in found) == 3
    assert threshold("fused", found) == 0.5
