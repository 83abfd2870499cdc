"""The second stage says how surely a passage answers a question, by its words."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.passages import COVERED_SCORE
from apps.knowledge.index.base import Chunk, Document, StoredChunk
from apps.knowledge.retrieval.closeness import (
    FEATURES,
    asked,
    closeness,
    passage_terms,
    standing,
    weights,
)
from apps.knowledge.retrieval.second_stage import (
    CALIBRATIONS,
    INPUTS,
    MOST_BOOST,
    Candidate,
    CoveredCosine,
    rank,
)
from apps.knowledge.terms import sound_key, sound_keys


def stored(key, text, *headings, language="en", title="Guide"):
    name = f"doc{key}"
    document = Document(name, "s", title, name, "text/plain", language, "", 0, 0, 1.0)
    return StoredChunk(key, Chunk(0, text, headings, None, language), document)


def candidates(*pieces, cosine=None):
    return [Candidate(p, 1 / (61 + i), i + 1, None, cosine) for i, p in enumerate(pieces)]


SAUNA = stored(1, "The sauna opens daily at 11:00. Towels cost 3 euros.", "Sauna")
LIBRARY = stored(2, "The library lends books for four weeks.", "Borrowing")
DOGS = stored(3, "A dog must be on a leash in the park.", "Leash")


def order(question, *pieces, language="en", **options):
    return [r.stored.key for r in rank(question, language, candidates(*pieces), **options)]


def score(question, *pieces, language="en", **options):
    return rank(question, language, candidates(*pieces), **options)[0].score


def test_what_the_first_stage_found_last_comes_first_where_its_words_fit_best():
    assert order("how long can i keep books from the library", SAUNA, DOGS, LIBRARY)[0] == 2


def test_a_passage_that_answers_covers_and_one_about_something_else_does_not():
    assert score("when does the sauna open", SAUNA, DOGS, LIBRARY) >= COVERED_SCORE
    assert score("where is the cemetery", SAUNA, DOGS, LIBRARY) < COVERED_SCORE


@pytest.mark.parametrize("question", ["", "?", "what is it", "und was"])
def test_a_question_without_a_word_of_its_own_is_covered_by_nothing(question):
    assert score(question, SAUNA, DOGS) == 0.0


def test_a_misrecognised_word_is_heard_all_the_same():
    wrong = score("what does the libery lend", LIBRARY, DOGS, SAUNA)
    other = score("what does the garden lend", LIBRARY, DOGS, SAUNA)
    assert wrong > other


def test_a_german_compound_is_found_by_its_part():
    pass_ = stored(1, "Die Meldebescheinigung kostet 9 Euro.", "Kosten", language="de")
    assert score("was kostet die bescheinigung", pass_, language="de") > score(
        "was kostet die wohnung", pass_, language="de"
    )


def features(question, piece, language="en"):
    query = asked(question, language)
    terms = passage_terms(piece.chunk.text, piece.chunk.headings, piece.document.title, language)
    stands = standing(query, [terms])
    values = closeness(query, terms, stands[0], weights(stands))
    return dict(zip(FEATURES, values.tolist(), strict=True))


def test_the_kind_of_fact_that_is_asked_for_is_seen():
    assert features("what does the sauna cost", SAUNA)["told"] == 1.0
    assert features("where is the sauna", LIBRARY)["told"] == 0.0
    assert features("tell me about the sauna", SAUNA)["told"] == 0.5


def test_neighbours_in_the_question_are_sought_near_each_other():
    near = stored(1, "The dog tax is 96 euros.")
    far = stored(2, "The tax office is closed. A dog is welcome.")
    assert features("dog tax", near)["near"] == 1.0
    assert features("dog tax", far)["near"] == 0.0


def test_near_duplicates_go_behind_what_says_something_else():
    twin = stored(4, SAUNA.chunk.text, "Sauna")
    assert order("when does the sauna open", SAUNA, twin, DOGS) == [1, 3, 4]


def test_standing_near_the_last_answer_adds_a_bounded_boost():
    plain = {r.stored.key: r for r in rank("and the leash", "en", candidates(SAUNA, DOGS))}
    near = {"doc1#0": 0.5, "doc3": 7.0}
    boosted = {
        r.stored.key: r for r in rank("and the leash", "en", candidates(SAUNA, DOGS), near=near)
    }
    assert boosted[1].score == pytest.approx(plain[1].score + MOST_BOOST / 2)
    assert boosted[3].score == pytest.approx(min(1.0, plain[3].score + MOST_BOOST))
    assert boosted[3].boost == MOST_BOOST


def test_vectors_that_know_meanings_may_cover_what_shares_no_word():
    covered = CoveredCosine(0.6)
    near = candidates(LIBRARY, cosine=0.8)
    far = candidates(LIBRARY, cosine=0.3)
    assert rank("novels for a month", "en", near, covered_cosine=covered)[0].score > 0.9
    assert rank("novels for a month", "en", far, covered_cosine=covered)[0].score < 0.5
    assert rank("novels for a month", "en", near)[0].score < 0.5


@pytest.mark.parametrize("language", ["de", "en"])
def test_more_of_any_input_never_lowers_a_score(language):
    calibration = CALIBRATIONS[language]
    assert len(calibration.weights) == len(INPUTS)
    assert min(calibration.weights) >= 0.0


texts = st.text(alphabet="abcdehilnorstuwä .?!-\n", max_size=120)


@given(texts, texts, st.lists(texts, max_size=3), st.sampled_from(["de", "en"]))
def test_every_feature_and_score_is_between_0_and_1(question, text, headings, language):
    piece = stored(1, text, *headings, language=language)
    assert all(0.0 <= value <= 1.0 for value in features(question, piece, language).values())
    (ranked,) = rank(question, language, candidates(piece))
    assert 0.0 <= ranked.score <= 1.0


@given(st.lists(texts, min_size=1, max_size=6), texts)
def test_the_best_comes_first_and_nothing_is_lost(found, question):
    pieces = [stored(number, text) for number, text in enumerate(found)]
    ranked = rank(question, "en", candidates(*pieces))
    assert sorted(r.stored.key for r in ranked) == list(range(len(found)))
    assert ranked[0].score == max(r.score for r in ranked)


def test_a_word_that_few_passages_have_counts_more_and_at_most_twice():
    query = asked("sauna opening", "en")
    passages = [passage_terms("The opening.", (), "", "en") for _ in range(9)]
    passages.append(passage_terms("The sauna.", (), "", "en"))
    weight = weights(standing(query, passages))
    assert weight[0] > weight[1]
    assert np.all((weight >= 1.0) & (weight <= 2.0))


@given(
    st.lists(st.text("abcdefghijklmnopqrstuvwxyz09ß", min_size=1, max_size=12), max_size=8),
    st.sampled_from(["de", "en"]),
)
def test_words_sound_alike_one_by_one_and_all_at_once(found, language):
    one_by_one = {sound_key(word, language) for word in found} - {""}
    assert sound_keys(found, language) == one_by_one
