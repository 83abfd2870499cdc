"""How an answer is judged by rules alone."""

from dataclasses import replace

import pytest

from apps.core.passages import Passage
from apps.core.policy import InquiryMode, Length, PolicySlots
from apps.llm.answer import plan_answer
from apps.llm.prompt import Exchange, Prompt
from apps.llm.scoring import score_answer

FEES = Passage(
    "fee-registration",
    "How much does it cost to register a car?",
    "The registration of a new car costs 30 euros 60. The online registration is cheaper.",
    0.9,
    "en",
    "kfz/en/fees.md#fee-registration",
)
PROMPT = Prompt(PolicySlots(), "en", "the vehicle office", FEES.question, (FEES,))
UNKNOWN = replace(PROMPT, passages=(replace(FEES, score=0.1),))
GOOD = ("The registration of a new car costs 30 euros 60.",)


@pytest.mark.parametrize("slots", [PolicySlots(), PolicySlots(inquiry_mode=InquiryMode.CONFIRM)])
@pytest.mark.parametrize("prompt", [PROMPT, UNKNOWN])
def test_what_the_embedded_answerer_says_passes(prompt: Prompt, slots: PolicySlots) -> None:
    prompt = replace(prompt, slots=slots)
    found = score_answer(prompt, plan_answer(prompt).sentences, 10.0)
    assert found.passed, found.checks
    assert found.score > 0.8


@pytest.mark.parametrize(
    ("sentences", "check"),
    [
        ((), "answered"),
        (("The registration costs 45 euros.",), "supported"),
        ((PROMPT.dont_know(),), "covered"),
        (("**30 euros 60** for a new car.",), "speakable"),
        (("The fee for <b>a new car</b> is 30 euros 60.",), "speakable"),
        (("- The registration of a new car costs 30 euros 60.",), "speakable"),
    ],
)
def test_what_must_not_be_done_is_named(sentences: tuple[str, ...], check: str) -> None:
    found = score_answer(PROMPT, sentences, 10.0)
    assert not found.passed
    assert found.checks[check] is False
    assert [k for k, v in found.checks.items() if v is False] == [check] or check == "answered"


def test_a_question_that_nothing_covers_must_not_be_answered() -> None:
    assert not score_answer(UNKNOWN, ("That is free of charge, of course.",), 10.0).passed
    assert score_answer(UNKNOWN, (UNKNOWN.dont_know(),), 10.0).passed


def test_a_number_may_come_from_what_was_said_before() -> None:
    said = replace(PROMPT, history=(Exchange("Is it 45 euros?", "No."),))
    answer = ("No, not 45: the registration of a new car costs 30 euros 60.",)
    assert score_answer(said, answer, 10.0).passed
    assert not score_answer(PROMPT, answer, 10.0).passed


def test_long_slow_and_empty_talk_loses_marks() -> None:
    good = score_answer(PROMPT, GOOD, 10.0)
    slow = score_answer(PROMPT, GOOD, 2900.0)
    short = replace(PROMPT, slots=PolicySlots(length=Length.SHORT))
    long = score_answer(short, GOOD * 4, 10.0)
    empty = score_answer(PROMPT, ("Wonderful weather makes everybody happier somehow.",), 10.0)
    assert good.score == 1.0
    assert slow.checks["speed"] == pytest.approx(0.05)
    assert long.checks["length"] == 0.25
    assert empty.score < 0.8
    assert score_answer(PROMPT, (), 10.0).score == 0.0
