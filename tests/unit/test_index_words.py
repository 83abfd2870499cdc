"""What full text search compares, and what a question may cost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from apps.knowledge.index.analysis import MAX_QUERY_TERMS, passage_words, question_words
from apps.knowledge.index.base import Chunk, Document
from apps.knowledge.index.bounds import bounded

DOCUMENT = Document("a", "kfz", "Abmeldung", "a", "text/plain", "de", "0", 1, 1, 1.0)


def stored(text: str, language: str = "de", headings: tuple[str, ...] = ()) -> list[str]:
    return passage_words(DOCUMENT, Chunk(0, text, headings, None, language)).split()


def test_question_and_passage_meet_in_their_stems() -> None:
    assert set(question_words("Gebühren der Anhänger", "de")) <= set(
        stored("Die Gebühr für einen Anhänger.")
    )
    assert set(question_words("registering cars", "en")) <= set(stored("Register a car.", "en"))


def test_title_and_headings_count() -> None:
    assert {"abmeld", "kost"} <= set(stored("Nichts.", headings=("Kosten",)))


def test_a_divided_verb_is_found_whole() -> None:
    assert "abmeld" in stored("Sie melden das Auto beim Amt ab.")
    assert "abmeld" in question_words("Wie melde ich mein Auto ab", "de")


def test_prepositions_make_no_verbs_of_a_passage_s_words() -> None:
    assert "mitformular" not in stored("Das Formular mit dem Stempel.")


def test_without_a_language_words_of_both_are_searched() -> None:
    assert {"gebuehr", "car"} <= set(question_words("gebühren cars", None))
    assert question_words("cars", "fr") == question_words("cars", "en")


@given(st.text(max_size=400), st.sampled_from(["de", "en", None]))
def test_any_question_gives_few_plain_words(query: str, language: str | None) -> None:
    found = question_words(query, language)
    assert len(found) <= MAX_QUERY_TERMS
    assert len(set(found)) == len(found)
    assert all(word.isalnum() for word in found)


counts = st.dictionaries(st.text("abcdef", min_size=1, max_size=3), st.integers(0, 50_000))


@given(counts, st.integers(1, 20_000))
def test_what_is_ranked_stays_within_the_budget(counted: dict[str, int], budget: int) -> None:
    wanted = bounded(counted, 100_000, budget)
    found = [counted[word] for word, _ in wanted.words]
    assert bool(found) == any(counted.values())
    assert sum(found) <= budget or all(count > budget for count in counted.values() if count)
    assert all(count > 0 for count in found)
    assert all(idf > 0 for _, idf in wanted.words)
    assert len({word for word, _ in (*wanted.words, *wanted.besides)}) == len(
        (*wanted.words, *wanted.besides)
    )
    rest = [count for word, count in counted.items() if count and word not in dict(wanted.words)]
    assert not rest or not found or max(found) <= min(rest)


def test_a_rare_word_makes_common_ones_needless() -> None:
    wanted = bounded({"kennzeichen": 40_000, "vignette": 12}, 100_000, 8_000)
    assert [word for word, _ in wanted.words] == ["vignette"]
    assert not wanted.together


def test_common_words_still_tell_which_passage_is_better() -> None:
    wanted = bounded({"kennzeichen": 40_000, "kosten": 9_000, "vignette": 12}, 100_000, 8_000)
    assert [word for word, _ in wanted.words] == ["vignette"]
    assert [word for word, _ in wanted.besides] == ["kosten", "kennzeichen"]


def test_common_words_alone_must_stand_together() -> None:
    wanted = bounded({"kennzeichen": 40_000, "kosten": 30_000, "fehlt": 0}, 100_000, 8_000)
    assert [word for word, _ in wanted.words] == ["kosten", "kennzeichen"]
    assert wanted.together


def test_rarer_words_tell_more() -> None:
    weights = dict(bounded({"a": 5, "b": 500, "c": 5_000}, 100_000, 8_000).words)
    assert weights["a"] > weights["b"] > weights["c"] > 0
