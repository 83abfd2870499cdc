"""What the caller's words mean at each point of a dialogue, and what is remembered of it."""

import pytest

from apps.core.events import CallEvent
from apps.core.passages import Passage
from apps.core.person import ANYBODY, Person, telephone_number
from apps.core.policy import InquiryMode, PolicySlots
from apps.dispatcher.conversation import Ask, Conversation, SayAgain, SayLine, SaySource
from apps.llm.answer import AnswerPlan
from apps.llm.prompt import assemble
from apps.llm.style import Line, wording

FAR = Person(reachable=False, number="+4930123456")


def dialogue(*, grounded=None, offer="", inquiry=InquiryMode.DIRECT, language="en"):
    """A dialogue whose one answer, if `grounded` is not None, was heard."""
    talk = Conversation(language, PolicySlots(inquiry_mode=inquiry))
    if grounded is not None:
        meaning = talk.understand("what does it cost", person=Person())
        talk.note_caller("what does it cost", meaning)
        talk.note_turn(2)
        entry = "fee" if grounded else None
        said = ("It costs 12 euros.",)
        plan = AnswerPlan(grounded, entry, "What does it cost?", said, offer)
        talk.note_answer(2, "what does it cost", "What does it cost?", plan)
        talk.note_answered(2)
        talk.note_heard(2, "It costs 12 euros.")
    return talk


def means(talk, text, *, person=ANYBODY):
    return talk.understand(text, person=person)


@pytest.mark.parametrize("text", ["", "   "])
def test_nothing_is_not_understood(text):
    assert means(dialogue(), text).kind is CallEvent.NOT_UNDERSTOOD


def test_a_question_is_to_be_answered():
    assert means(dialogue(), "where is the office").reply == Ask("where is the office")


def test_a_goodbye_closes_the_call():
    assert means(dialogue(grounded=True), "thank you goodbye").kind is CallEvent.GOODBYE


@pytest.mark.parametrize(
    ("person", "kind", "reply"),
    [
        (Person(), CallEvent.HANDOVER_REQUESTED, None),
        (Person(there=False), CallEvent.TRANSCRIPT, SayLine(Line.OUT_OF_HOURS)),
        (Person(reachable=False), CallEvent.TRANSCRIPT, SayLine(Line.NOT_FROM_HERE)),
        (
            Person(reachable=False, number="+4930123"),
            CallEvent.TRANSCRIPT,
            SayLine(Line.NOT_FROM_HERE_CALL, "+4930123"),
        ),
        (Person(there=False, reachable=False), CallEvent.TRANSCRIPT, SayLine(Line.OUT_OF_HOURS)),
    ],
)
def test_a_person_is_promised_only_while_one_is_there_and_can_be_reached(person, kind, reply):
    meaning = means(dialogue(), "I want to talk to a human", person=person)
    assert (meaning.kind, meaning.reply, meaning.asks_person) == (kind, reply, True)


def test_the_last_answer_is_said_again_where_there_is_one():
    assert means(dialogue(grounded=True), "please repeat that").reply == SayAgain()
    nothing = means(dialogue(), "please repeat that")
    assert (nothing.reply, nothing.repeats) == (SayLine(Line.NOTHING_TO_REPEAT), False)


def test_yes_takes_an_offer_up():
    talk = dialogue(grounded=True, offer="what should I bring")
    meaning = means(talk, "yes please")
    assert (meaning.reply, meaning.confirms) == (Ask("what should I bring"), True)


def test_yes_confirms_an_answer_and_asks_for_a_person_after_none():
    assert means(dialogue(grounded=True), "yes").confirms is True
    assert means(dialogue(grounded=False), "yes please").kind is CallEvent.HANDOVER_REQUESTED


def test_no_denies_an_answer_only_where_it_was_asked_whether_it_helped():
    asked = dialogue(grounded=True, inquiry=InquiryMode.CONFIRM)
    assert means(asked, "no").confirms is False
    assert means(dialogue(grounded=True), "no").confirms is None
    declined = means(dialogue(grounded=False), "no thanks")
    assert declined.reply == SayLine(Line.HANDOVER_DECLINED)


@pytest.mark.parametrize(("grounded", "confirms"), [(True, True), (False, None), (None, None)])
def test_thanks_confirm_a_grounded_answer_alone(grounded, confirms):
    meaning = means(dialogue(grounded=grounded), "thank you")
    assert (meaning.reply, meaning.confirms) == (SayLine(Line.ANYTHING_ELSE), confirms)


def test_the_facts_of_a_call_hold_nobody_s_words():
    (turn,) = dialogue(grounded=True).facts()
    assert (turn.question, turn.answered, turn.grounded, turn.is_repeat) == (
        True,
        True,
        True,
        False,
    )


def test_asking_the_same_again_is_a_repeat():
    talk = dialogue(grounded=True)
    talk.note_caller("what does it cost", means(talk, "what does it cost"))
    assert [turn.is_repeat for turn in talk.facts()] == [False, True]


def test_an_answer_of_which_nothing_was_heard_is_forgotten_with_its_question():
    talk = dialogue(grounded=True)
    talk.note_heard(2, "")
    talk.caller_turns[0].answered = False
    talk.forget(2)
    assert (talk.history, talk.facts()) == ((), ())


def asked_for_the_source(*said: tuple[Passage, ...]):
    talk = Conversation("en", PolicySlots())
    talk.note_answer(2, "cost", "cost", AnswerPlan(True, "fee", "", ()))
    for passages in said:
        talk.note_said(2, "12 euros.", passages)
    return talk.understand("where did you get that from", person=ANYBODY).reply


def test_who_asks_for_the_source_gets_what_the_last_answer_was_made_of_once_each():
    fee, other = (
        Passage(name, name, "", 1.0, "en", source=f"kfz/en/a.md#{name}")
        for name in ("fee", "other")
    )
    reply = asked_for_the_source((fee,), (), (other,), (fee,))
    assert reply == SaySource((fee.cited, other.cited))


def test_who_asks_for_the_source_of_an_answer_without_one_is_told_so():
    assert asked_for_the_source(()) == SayLine(Line.NO_SOURCE)


def test_who_asks_for_the_source_before_any_answer_is_asked_for_a_question():
    reply = Conversation("de", PolicySlots()).understand("woher wissen Sie das", person=ANYBODY)
    assert reply.reply == SayLine(Line.NOTHING_TO_REPEAT)


def test_an_agent_gets_the_questions_and_where_their_answers_came_from():
    assert dialogue(grounded=True).summary() == "What does it cost? → fee"
    assert dialogue(grounded=False).summary() == "What does it cost? → —"


@pytest.mark.parametrize("language", ["de", "en"])
def test_a_line_that_cannot_put_through_names_the_person_s_number_where_it_has_one(language):
    slots = PolicySlots()
    said = wording(language).line(Line.NOT_FROM_HERE_CALL, slots, number="+4930123456")
    assert "+4930123456" in said
    elsewhere = assemble(slots, (), (), "?", language=language, office="", person=FAR)
    assert "+4930123456" in elsewhere.dont_know()
    for person in (Person(reachable=False), Person(there=False, reachable=False)):
        alone = assemble(slots, (), (), "?", language=language, office="", person=person)
        assert "{number}" not in alone.dont_know()
        assert not alone.dont_know().endswith("?"), "nobody is offered who cannot be reached"


@pytest.mark.parametrize(
    ("target", "number"),
    [
        ("+49 30 123-456", "+4930123456"),
        ("tel:+4930123456", "+4930123456"),
        ("(030) 123 456", "030123456"),
        ("030/123456", "030123456"),
        ("110", "110"),
        ("12", ""),
        ("sip:desk@town.example", ""),
        ("sip:+4930123456@town.example", ""),
        ("", ""),
    ],
)
def test_a_target_is_a_telephone_number_or_not(target, number):
    assert telephone_number(target) == number
