"""A question about a subject that a knowledge base does not know is refused, whatever its frame."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.passages import COVERED_SCORE
from apps.core.resources import resource
from apps.core.words import words
from apps.knowledge.entries import load_entries
from apps.knowledge.foreign import ForeignSubjects, ForeignTerms, foreign_terms
from apps.knowledge.retriever import Retriever
from apps.knowledge.terms import lexicon
from tests.knowledge_foreign_questions import COVERED, UNCOVERED

OWN = {
    "en": ["When are you open on Sunday?", "How do I register a trailer?", "What does it cost?"],
    "de": ["Wann ist am Sonntag offen?", "Wie melde ich einen Anhänger an?", "Was kostet das?"],
}


@cache
def subjects(language: str) -> ForeignSubjects:
    return ForeignSubjects(OWN[language], language)


@cache
def sample() -> Retriever:
    return Retriever(load_entries(resource("knowledge")))


@pytest.mark.parametrize(
    ("language", "query", "share"),
    [
        ("en", "is the swimming pool open on sunday", 1 / 3),
        ("en", "what do dentists cost", 1 / 2),
        ("en", "is that open", 0),
        ("en", "i have a career", 1),
        ("en", "i have a car", 0),
        ("de", "hat das freibad sonntag offen", 1 / 3),
        ("de", "was kosten zahnärzte", 1 / 2),
        ("de", "ist das offen", 0),
        ("de", "die zeitungen", 1),
        ("de", "die zeit", 0),
        ("en", "", 0),
        ("de", "", 0),
    ],
)
def test_the_share_counts_foreign_subjects_among_the_telling_words(
    language: str, query: str, share: float
) -> None:
    assert subjects(language).share(query) == pytest.approx(share)


def test_german_compounds_are_foreign_by_a_part_unless_they_end_with_something_known() -> None:
    assert subjects("de").share("Hundetrainer") == 0  # parts of four letters are too common
    assert subjects("de").share("Pferdetransport") == 1
    assert subjects("de").share("Pferdeanhänger") == 0
    assert subjects("de").share("Lieblingspizzeria") == 1


def test_words_of_several_parts_count_where_the_parts_stand_side_by_side() -> None:
    assert subjects("en").share("a speed camera") == 1
    assert subjects("en").share("a camera with speed") == 0


@pytest.mark.parametrize(
    ("language", "own", "query"),
    [
        ("en", "How much is the dog tax for two dogs?", "what does the dog tax cost for a dog"),
        ("en", "Which vaccines do you have?", "is there a vaccine"),
        ("de", "Wie hoch ist die Hundesteuer?", "was kostet die hundesteuer"),
        ("de", "Wo sind die Schwimmbäder? Wann öffnet das Schwimmbad?", "hat das schwimmbad auf"),
        ("de", "Wo tausche ich meinen Führerscheinantrag um?", "ich brauche einen führerschein"),
    ],
)
def test_what_a_base_says_itself_is_not_foreign_to_it(language: str, own: str, query: str) -> None:
    assert ForeignSubjects(OWN[language], language).share(query) > 0
    assert ForeignSubjects([*OWN[language], own], language).share(query) == 0


@pytest.mark.parametrize(
    ("language", "phrase", "query"),
    [
        ("en", "my dog ate my plates", "what does a dog cost"),
        ("en", "i came by speed camera", "a speed camera"),
        ("de", "mein hund hat die kennzeichen gefressen", "was kostet ein hund"),
    ],
)
def test_what_one_phrase_alone_mentions_is_foreign_still(
    language: str, phrase: str, query: str
) -> None:
    once, twice = (
        ForeignSubjects(OWN[language], language, asked=asked)
        for asked in ([phrase, "how do i"], [phrase, f"again {phrase}"])
    )
    assert once.share(query) == subjects(language).share(query) > 0
    assert twice.share(query) == 0


@given(st.sampled_from(("de", "en")), st.text(max_size=80))
def test_a_share_is_a_share_and_nothing_of_its_own_is_foreign(language: str, text: str) -> None:
    assert 0 <= subjects(language).share(text) <= 1
    assert ForeignSubjects([text], language).share(text) == 0


@pytest.mark.parametrize("language", ["de", "en"])
def test_the_lexicon_names_many_subjects_and_no_silent_word_alone(language: str) -> None:
    terms = [term for topic in foreign_terms(language).by_topic.values() for term in topic]
    assert len(set(terms)) > 1000
    assert all(term and all(term) for term in terms)
    silent = lexicon(language).stop_words
    foreign = ForeignSubjects([], language)
    assert not [word for word in silent if foreign.share(word) > 0]


def test_a_topic_can_be_left_out() -> None:
    terms = ForeignTerms({"pets": (("dog",),), "food": (("pizza",),)})
    left = ForeignSubjects([], "en", terms.without("pets"))
    assert left.share("dog") == 0
    assert left.share("pizza") == 1


@pytest.mark.parametrize("language", ["de", "en"])
async def test_nothing_that_the_sample_says_is_foreign_to_it(language: str) -> None:
    own = [e for e in load_entries(resource("knowledge")) if e.language == language]
    told = [text for e in own for text in (e.question, *e.sentences)]
    asked = [text for e in own for text in e.variants]
    foreign = ForeignSubjects(told, language, asked=asked)
    assert not [text for text in told if words(text) and foreign.share(text) > 0]
    assert sum(foreign.share(text) > 0 for text in asked) < 0.02 * len(asked)


@pytest.mark.parametrize("language", ["de", "en"])
async def test_other_subjects_are_refused_and_mentioned_ones_are_not(language: str) -> None:
    async def refused(questions: list[str]) -> float:
        best = [
            await sample().search(text, language=language, profile="kfz", k=1) for text in questions
        ]
        return sum(not found or found[0].score < COVERED_SCORE for found in best) / len(best)

    assert await refused(UNCOVERED[language]) > 0.7
    assert await refused(COVERED[language]) < 0.08
