"""A profile's language model hears its questions in many more words than they are written in."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from apps.voice.stt.domain import DomainText, domain_sentences, inflections, rating_sentences
from apps.voice.stt.general import cut_general, rank_words
from apps.voice.stt.ngram import END, START

TEXT = DomainText(
    asked=("How do I register a new car?", "Can I come on Monday?"),
    answered=("It costs 30 euros 60.",),
)


def sentences(text: DomainText) -> dict[str, float]:
    weights: dict[str, float] = {}
    for words, weight in domain_sentences(text):
        weights[" ".join(words)] = weights.get(" ".join(words), 0.0) + weight
    return weights


def test_questions_count_more_than_answers_and_numbers_are_in_words() -> None:
    found = sentences(TEXT)
    assert found["how do i register a new car"] >= 1.0
    assert 0 < found["it costs thirty euros sixty"] < 1.0


def test_what_follows_one_opening_may_follow_every_other() -> None:
    found = sentences(TEXT)
    assert "i'd like to register a new car" in found
    assert "how do i come on monday" in found


def test_persons_and_words_of_a_class_are_exchanged() -> None:
    found = sentences(TEXT)
    assert "how do we register a new car" in found
    assert "can i come on friday" in found


def test_dialogue_is_there_for_every_profile() -> None:
    assert {"human agent", "goodbye", "and how much is that"} <= sentences(DomainText(())).keys()


def test_sentences_that_are_measured_are_held_out_even_when_made_up() -> None:
    measured = ("how do I register a new car?", "i'd like to register a new car")
    found = sentences(DomainText(TEXT.asked, TEXT.answered, held_out=measured))
    assert "how do i register a new car" not in found
    assert "i'd like to register a new car" not in found


def test_forms_of_a_word_include_its_plural_and_its_singular() -> None:
    assert "wheelchairs" in set(inflections("wheelchair"))
    assert "plate" in set(inflections("plates"))
    assert "countries" in set(inflections("country"))
    assert list(inflections("it")) == []


def test_ratings_are_heard_as_people_say_them() -> None:
    found = {" ".join(words) for words, _ in rating_sentences()}
    assert {
        "four",
        "four out of five",
        "i'd say three maybe four",
        "five stars",
        "very good",
        "no thanks",
        "seven out of ten",
    } <= found


def general_log_probs(words: Sequence[str], history: str | None) -> NDArray[np.float64]:
    """A general model of four words in which "car" often follows "new"."""
    p = {"the": 0.5, "new": 0.2, "car": 0.1, END: 0.2}
    if history == "new":
        p = {word: share * 0.2 / 0.9 for word, share in p.items()} | {"car": 0.8}
    return np.array([math.log(p[word]) if word in p else -1e5 for word in words])


def test_the_cut_keeps_the_pairs_that_the_general_model_holds_and_only_those() -> None:
    general = cut_general(general_log_probs, ["the", "new", "car", "unheard"], ["the", "new"])
    assert set(general.bigrams["new"]) == {"car"}
    assert np.isclose(general.bigrams["new"]["car"], 0.8, atol=1e-3)
    assert general.bigrams["the"] == {}
    assert general.bigrams[START] == {}
    assert np.isclose(sum(general.unigrams.values()), 1.0)
    assert 0 < general.unigrams["unheard"] < 1e-5


def test_words_are_ranked_by_how_common_they_are() -> None:
    assert rank_words(general_log_probs, ["car", "the", "new"]) == ["the", "new", "car"]
