"""From a call's facts to its signals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.rl.signals import (
    CallFacts,
    TurnFacts,
    counts_as_barge_in,
    is_abandoned,
    is_repeat,
    resolution,
    signals_of,
)

GOOD = TurnFacts(answered=True, grounded=True)
HONEST = TurnFacts(answered=True, grounded=False)  # "I don't have that here"
OPEN = TurnFacts()
REPEATED = TurnFacts(answered=True, grounded=True, is_repeat=True)
PERSON = TurnFacts(answered=True, asked_for_person=True, question=False)
YES = TurnFacts(question=False, confirmed=True)
NO = TurnFacts(question=False, confirmed=False)
THANKS = TurnFacts(question=False)


@pytest.mark.parametrize(
    ("turns", "settled"),
    [
        ((GOOD,), True),
        ((GOOD, THANKS), True),
        ((HONEST, GOOD), True),
        ((GOOD, HONEST), None),
        ((GOOD, OPEN), None),
        ((GOOD, REPEATED), None),
        ((GOOD, REPEATED, GOOD), True),
        ((GOOD, PERSON), None),
        ((PERSON, GOOD), None),
        ((GOOD, YES), True),
        ((HONEST, YES), True),
        ((GOOD, REPEATED, YES, THANKS), True),
        ((GOOD, NO), False),
        ((GOOD, NO, GOOD), True),
        ((GOOD, YES, OPEN), None),
        ((GOOD, NO, YES), True),
        ((THANKS,), None),
        ((), None),
    ],
)
def test_a_matter_is_settled_when_the_caller_says_so_or_leaves_content(
    turns: tuple[TurnFacts, ...], settled: bool | None
) -> None:
    assert resolution(CallFacts(turns, ended_by_caller=True)) is settled


def test_a_call_that_the_caller_did_not_end_is_settled_by_confirmation_alone() -> None:
    assert resolution(CallFacts((GOOD,), ended_by_caller=False)) is None
    assert resolution(CallFacts((GOOD, YES), ended_by_caller=False)) is True


def test_a_handed_over_call_is_not_known_to_be_settled() -> None:
    assert resolution(CallFacts((GOOD,), ended_by_caller=True, handed_over=True)) is None


def test_a_call_that_ends_before_its_first_answer_is_abandoned() -> None:
    assert is_abandoned(CallFacts())
    assert is_abandoned(CallFacts((OPEN, THANKS), ended_by_caller=True))
    assert not is_abandoned(CallFacts((OPEN, HONEST)))
    assert not is_abandoned(CallFacts((OPEN,), handed_over=True))


@pytest.mark.parametrize(
    ("during_answer", "heard_words", "closes", "counts"),
    [
        (True, 3, False, True),
        (False, 3, False, False),  # into the greeting
        (True, 0, False, False),  # a cough
        (True, 2, True, False),  # "thanks, bye"
    ],
)
def test_only_barge_ins_into_answers_count(
    during_answer: bool, heard_words: int, closes: bool, counts: bool
) -> None:
    assert (
        counts_as_barge_in(during_answer=during_answer, heard_words=heard_words, closes=closes)
        is counts
    )


def test_signals_carry_what_the_formula_needs() -> None:
    facts = CallFacts((GOOD, REPEATED, YES), True, barge_ins=2, duration_s=61.5)
    signals = signals_of(facts, 4)
    assert signals.model_dump() == {
        "resolution": True,
        "user_rating": 4,
        "barge_in_count": 2,
        "repeats": 1,
        "handover": False,
        "duration_sec": 61.5,
    }


@pytest.mark.parametrize(
    ("question", "earlier", "repeated"),
    [
        ("What does a custom plate cost?", ["How much does a custom plate cost?"], True),
        ("And what does the custom plate cost", ["what is the cost of a custom plate"], True),
        ("What does it cost to register a car?", ["Where do I register a car?"], False),
        ("When are you open on Friday?", ["When are you open on Monday?"], False),
        ("Was kostet ein Wunschkennzeichen?", ["Wie viel kostet das Wunschkennzeichen?"], True),
        ("Welche Unterlagen brauche ich?", ["Was kostet die Zulassung?"], False),
        ("Was kostet die Gebühr?", ["was kostet die gebuehr"], True),
        ("What was that?", ["When are you open?"], True),
        ("What was that?", [], False),
        ("When are you open?", [], False),
        ("...", ["When are you open?"], False),
        ("When are you open?", ["what?"], False),
        ("When do I need the papers?", ["Where do I need the papers?"], False),
    ],
)
def test_a_repeat_is_told_by_the_telling_words(
    question: str, earlier: list[str], repeated: bool
) -> None:
    assert is_repeat(question, earlier) is repeated


@given(st.text(max_size=60), st.lists(st.text(max_size=60), max_size=4))
def test_any_words_can_be_compared(question: str, earlier: list[str]) -> None:
    assert isinstance(is_repeat(question, earlier), bool)
    assert not is_repeat(question, [])
