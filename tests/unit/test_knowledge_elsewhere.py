"""What is asked elsewhere teaches refusal, and gives way to what a knowledge base covers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from apps.core.passages import COVERED_SCORE
from apps.core.resources import resource
from apps.knowledge.elsewhere import asked_elsewhere, subjects_elsewhere
from apps.knowledge.entries import load_elsewhere, load_entries
from apps.knowledge.retriever import Retriever
from benchmarks.knowledge.questions import LANGUAGES, load

OWN = {
    "en": "How much is the dog tax for a dog?",
    "de": "Wie hoch ist die Hundesteuer für einen Hund?",
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_the_base_asks_itself_is_no_example_of_elsewhere(language: str) -> None:
    every = set(asked_elsewhere([], language))
    left = set(asked_elsewhere([OWN[language]], language))
    gone = every - left
    assert gone
    assert all({"en": "dog", "de": "Hund"}[language] in text for text in gone)
    assert len(left) > 150


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_example_is_a_question_of_the_benchmark(language: str) -> None:
    assert not set(asked_elsewhere([], language)) & {q.text for q in load(language)}


@pytest.mark.parametrize("language", LANGUAGES)
async def test_no_phrase_of_the_base_counts_as_asked_elsewhere(language: str) -> None:
    entries = [e for e in load_entries(resource("knowledge")) if e.language == language]
    retriever = Retriever(entries, None, load_elsewhere(resource("knowledge")))
    phrases = [phrase for entry in entries for phrase in entry.variants[:: len(LANGUAGES) * 3]]
    refused = []
    for phrase in phrases:
        best = (await retriever.search(phrase, language=language, profile="kfz", k=1))[:1]
        if not best or best[0].score < COVERED_SCORE:
            refused.append(phrase)
    assert len(refused) <= len(phrases) // 200, refused


def test_both_languages_know_as_much_that_is_asked_elsewhere() -> None:
    english, german = (len(list(subjects_elsewhere([], language))) for language in ("en", "de"))
    assert abs(english - german) <= 5


async def test_a_base_with_an_entry_on_dogs_answers_about_dogs() -> None:
    office = [e for e in load_entries(resource("knowledge")) if e.language == "en"][:20]
    dogs = replace(
        office[0],
        id="dog-tax",
        question=OWN["en"],
        variants=("what do i pay for my dog", "i want to register my dog", "dog licence"),
        sentences=("The dog tax is 60 euros a year.",),
    )
    question = "how much is the dog tax"
    with_dogs, without = Retriever([*office, dogs]), Retriever(office)
    (best,) = await with_dogs.search(question, language="en", profile="kfz", k=1)
    assert (best.entry_id, best.score >= COVERED_SCORE) == ("dog-tax", True)
    found = await without.search(question, language="en", profile="kfz", k=1)
    assert not found or found[0].score < COVERED_SCORE


async def test_what_somebody_wrote_down_as_not_answered_is_refused() -> None:
    office = [e for e in load_entries(resource("knowledge")) if e.language == "en"][:20]
    asked = "please find out who owns the car with this plate"
    told = (
        "who owns the car with this plate",
        "can you find out who the car with this plate belongs to",
        "tell me the owner of a car by its plate",
    )
    best = []
    for others in ((), told):
        retriever = Retriever(office, None, {("kfz", "en"): others})
        best += (await retriever.search(asked, language="en", profile="kfz", k=1))[:1]
    assert best[0].score >= COVERED_SCORE > best[1].score


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_the_sample_does_not_answer_is_nobody_elses_question(language: str) -> None:
    not_answered = load_elsewhere(resource("knowledge"))["kfz", language]
    entries = [e for e in load_entries(resource("knowledge")) if e.language == language]
    own = {text.lower() for e in entries for text in (e.question, *e.variants)}
    assert len(set(not_answered)) == len(not_answered) >= 100
    assert not set(not_answered) & ({q.text for q in load(language)} | own)
