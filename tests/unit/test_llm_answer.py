"""An answer is what was asked, in the policy's style, and nothing that no passage says."""

from __future__ import annotations

import re

import pytest

from apps.core.passages import Passage
from apps.core.policy import Greeting, InquiryMode, Length, PolicySlots, Tone
from apps.core.resources import resource
from apps.knowledge.entries import load_entries
from apps.llm.answer import AnswerPlan, GroundedAnswerer, plan_answer
from apps.llm.prompt import Exchange, Prompt, assemble

MOTORCYCLE = Passage(
    entry_id="reg-motorcycle",
    question="How do I register a motorcycle?",
    text=(
        "To register a motorcycle, bring your identity card and the vehicle papers. "
        "The registration of a motorcycle costs 30 euros 60. "
        "A motorcycle needs only one plate at the rear, which costs about 15 euros. "
        "The registration of a motorcycle takes 20 minutes. "
        "A used motorcycle also needs a valid inspection report."
    ),
    score=0.9,
    language="en",
    source="kfz/en/registration.md#reg-motorcycle",
)
ONLINE = Passage(
    entry_id="reg-online",
    question="Can I register my car online?",
    text=(
        "Yes, you can register a car online at any time of day. "
        "The online registration costs 16 euros 40. "
        "For the online registration you need an identity card with the online function."
    ),
    score=0.9,
    language="en",
    source="kfz/en/registration.md#reg-online",
)


def prompt(
    question: str,
    slots: PolicySlots | None = None,
    passages: tuple[Passage, ...] = (MOTORCYCLE,),
    history: tuple[Exchange, ...] = (),
    language: str = "en",
) -> Prompt:
    return assemble(
        slots or PolicySlots(), passages, history, question, language=language, office="the office"
    )


def plan(question: str, slots: PolicySlots | None = None, **more: object) -> AnswerPlan:
    return plan_answer(prompt(question, slots, **more))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("question", "first"),
    [
        ("how do I register a motorcycle", "To register a motorcycle, bring"),
        (
            "how much does it cost to register a motorcycle",
            "The registration of a motorcycle costs",
        ),
        (
            "how long does it take to register a motorcycle",
            "The registration of a motorcycle takes",
        ),
        ("which documents do I need for my motorcycle", "To register a motorcycle, bring"),
        ("how many plates does a motorcycle need at the rear", "A motorcycle needs only one plate"),
        ("is an inspection report needed for a used one", "A used motorcycle also needs"),
    ],
)
def test_the_sentence_that_answers_the_question_comes_first(question: str, first: str) -> None:
    assert plan(question).sentences[0].startswith(first)


def test_an_answer_names_the_entry_it_comes_from() -> None:
    answer = plan("how do I register a motorcycle")
    assert answer.grounded
    assert answer.entry_id == "reg-motorcycle"
    assert answer.entry_question == "How do I register a motorcycle?"


@pytest.mark.parametrize(("length", "sentences"), [("short", 1), ("medium", 3), ("long", 5)])
def test_the_length_slot_limits_the_facts(length: str, sentences: int) -> None:
    slots = PolicySlots(length=Length(length))
    assert len(plan("how do I register a motorcycle", slots).sentences) <= sentences
    if length == "long":
        assert len(plan("how do I register a motorcycle", slots).sentences) == sentences


def test_the_tone_slot_opens_the_answer() -> None:
    question = "how do I register a motorcycle"
    openings = {tone: plan(question, PolicySlots(tone=tone)).sentences[0] for tone in Tone}
    assert len(set(openings.values())) == 3
    assert openings[Tone.FACTUAL].startswith("To register")
    assert all("To register a motorcycle" in opening for opening in openings.values())


def test_lead_ins_take_turns_within_a_call() -> None:
    slots = PolicySlots(tone=Tone.LIVELY)
    later = (Exchange("q", "a", "x", "q"),)
    assert (
        plan("how do I register a motorcycle", slots).sentences[0]
        != (plan("how do I register a motorcycle", slots, history=later).sentences[0])
    )


def test_bad_news_gets_sympathy_and_no_cheer() -> None:
    stolen = plan("my motorcycle was stolen", PolicySlots(tone=Tone.LIVELY)).sentences[0]
    assert stolen.startswith("Oh, I'm sorry to hear that.")


def test_the_inquiry_slot_ends_the_answer() -> None:
    question = "how do I register a motorcycle"
    short = {"length": Length.SHORT}
    direct = plan(question, PolicySlots(inquiry_mode=InquiryMode.DIRECT, **short))
    confirm = plan(question, PolicySlots(inquiry_mode=InquiryMode.CONFIRM, **short))
    proactive = plan(question, PolicySlots(inquiry_mode=InquiryMode.PROACTIVE, **short))
    assert not direct.sentences[-1].endswith("?")
    assert confirm.sentences[-1] == "Did that answer your question?"
    assert confirm.offer == ""
    assert proactive.sentences[-1] == "Would you also like to know what it costs?"
    assert proactive.offer == "How much does it cost to register a motorcycle?"


def test_what_was_offered_is_then_answered() -> None:
    slots = PolicySlots(inquiry_mode=InquiryMode.PROACTIVE, length=Length.SHORT)
    first = plan("how do I register a motorcycle", slots)
    heard = Exchange("q", " ".join(first.sentences), first.entry_id, first.entry_question)
    second = plan(first.offer, slots, history=(heard,))
    assert second.sentences[0] == "The registration of a motorcycle costs 30 euros 60."


def test_what_was_heard_is_not_told_again() -> None:
    first = plan("how do I register a motorcycle")
    heard = Exchange("q", " ".join(first.sentences), "reg-motorcycle", MOTORCYCLE.question)
    second = plan("what else is there about my motorcycle", history=(heard,))
    assert second.sentences[0] not in first.sentences


def test_who_asks_the_same_again_is_told_again() -> None:
    question = "how do I register a motorcycle"
    first = plan(question)
    heard = Exchange(question, " ".join(first.sentences), "reg-motorcycle", MOTORCYCLE.question)
    assert plan(question, history=(heard,)).sentences == first.sentences


@pytest.mark.parametrize(
    ("question", "first"),
    [
        ("can I register online", "Yes, you can register a car online at any time of day."),
        ("how do I register online", "You can register a car online at any time of day."),
    ],
)
def test_yes_answers_only_a_question_for_yes_or_no(question: str, first: str) -> None:
    assert plan(question, passages=(ONLINE,)).sentences[0] == first


@pytest.mark.parametrize(
    ("language", "words"), [("en", "I don't have that here"), ("de", "Das habe ich hier nicht")]
)
def test_what_is_not_covered_is_said_honestly(language: str, words: str) -> None:
    far = Passage("x", "q", "Some text.", 0.3, language, "s")
    for passages in ((), (far,)):
        answer = plan_answer(prompt("pizza", passages=passages, language=language))
        assert not answer.grounded
        assert answer.entry_id is None
        assert words in answer.sentences[0]
        assert answer.sentences[-1].endswith("?")


@pytest.mark.parametrize("language", ["de", "en"])
@pytest.mark.parametrize("length", list(Length))
def test_every_sample_entry_is_answered_with_its_own_numbers_alone(
    language: str, length: Length
) -> None:
    slots = PolicySlots(Greeting.FRIENDLY, Tone.WARM, length, InquiryMode.CONFIRM)
    for entry in load_entries(resource("knowledge")):
        if entry.language != language:
            continue
        passage = Passage(entry.id, entry.question, entry.answer, 0.9, language, entry.source)
        for question in (entry.question, *entry.variants):
            said = " ".join(
                plan_answer(prompt(question, slots, (passage,), (), language)).sentences
            )
            assert set(re.findall(r"\d+", said)) <= set(re.findall(r"\d+", entry.answer))


async def test_the_stream_joined_is_the_plan() -> None:
    answerer = GroundedAnswerer()
    asked = prompt("how do I register a motorcycle", PolicySlots(length=Length.LONG))
    pieces = [piece async for piece in answerer.stream(asked)]
    assert len(pieces) == 5
    assert "".join(pieces) == " ".join(answerer.plan(asked).sentences)
    await answerer.close()
