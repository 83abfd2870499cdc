"""The benchmark of retrieval asks questions that the knowledge base has not seen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from apps.core.resources import resource
from apps.core.words import words
from apps.knowledge.entries import load_entries
from benchmarks.knowledge.questions import HALVES, LANGUAGES, PARTS, half_of, load
from tests.knowledge_questions import GERMAN, NOT_COVERED

RECOGNITION = Path(__file__).parents[2] / "benchmarks" / "recognition"


def plain(text: str) -> str:
    return " ".join(words(text))


def earlier() -> set[str]:
    texts = [text for text, _ in GERMAN]
    texts += [text for group in NOT_COVERED.values() for text in group]
    for name in ("test", "fresh", "tuning"):
        lines = (RECOGNITION / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        texts += [json.loads(line)["text"] for line in lines]
    return {plain(text) for text in texts}


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_question_is_a_phrase_of_the_base_or_of_an_earlier_set(language: str) -> None:
    entries = [e for e in load_entries(resource("knowledge")) if e.language == language]
    known = {plain(text) for entry in entries for text in (entry.question, *entry.variants)}
    asked = [plain(question.text) for question in load(language)]
    assert not known & set(asked)
    assert not earlier() & set(asked)
    assert len(set(asked)) == len(asked)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_entry_is_asked_for_and_a_fifth_of_the_questions_have_none(language: str) -> None:
    entries = {e.id for e in load_entries(resource("knowledge")) if e.language == language}
    questions = load(language)
    assert len(questions) >= 150
    assert {q.entry for q in questions if q.entry} == entries
    assert 0.15 <= sum(q.entry is None for q in questions) / len(questions) <= 0.3


def test_the_parts_share_no_question_and_are_the_same_in_both_languages() -> None:
    by_part = {part: {q.id for q in load("en", part)} for part in PARTS}
    assert sum(map(len, by_part.values())) == len(set().union(*by_part.values()))
    assert by_part == {part: {q.id for q in load("de", part)} for part in PARTS}
    assert all(half_of(name) == half for half in HALVES for name in by_part[half])
    assert all(len(names) >= 75 for names in by_part.values())


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_blind_part_asks_enough_that_is_not_covered(language: str) -> None:
    questions = load(language, "blind")
    assert len(questions) == 180
    assert sum(q.entry is None for q in questions) == 70
