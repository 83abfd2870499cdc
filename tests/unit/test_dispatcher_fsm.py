"""The call's state machine: the table, its rules, and random walks through it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.core.errors import IllegalEvent
from apps.core.events import CallEvent
from apps.dispatcher.call_fsm import MAX_FAILURES, MAX_SILENCES, TABLE, allows, is_late, step
from apps.dispatcher.call_state import (
    Act,
    Answer,
    Arm,
    Call,
    CallState,
    Disarm,
    End,
    EndReason,
    Event,
    Silence,
    Speak,
    Timer,
    Transfer,
)

E, S = CallEvent, CallState


def after(*kinds: CallEvent | Event, start: Call | None = None):
    """Apply events in order; return the call and every effect."""
    call, effects = start or Call(), []
    for kind in kinds:
        event = kind if isinstance(kind, Event) else Event(kind)
        call, more = step(call, event)
        effects += more
    return call, effects


ANSWERED = (E.INCOMING_CALL, E.CALL_ANSWERED, E.SPEECH_FINISHED)
ASKED = (*ANSWERED, E.CALLER_STARTED, E.CALLER_ENDED, Event(E.TRANSCRIPT, text="what does it cost"))
ANSWERING = (*ASKED, E.ANSWER_READY)


def test_a_call_is_greeted_when_it_is_answered():
    call, effects = after(E.INCOMING_CALL, E.CALL_ANSWERED)
    assert call.state is S.GREETING
    assert Speak(1, Act.GREETING) in effects


def test_a_question_becomes_a_turn_of_its_own():
    call, effects = after(*ASKED)
    assert call.state is S.THINKING
    assert effects[-1] == Answer(2, "what does it cost")
    assert call.turn_id == 2


def test_the_assistant_listens_again_when_it_has_spoken():
    call, effects = after(*ANSWERING, E.SPEECH_FINISHED)
    assert call.state is S.LISTENING
    assert effects[-1] == Arm(Timer.NO_INPUT)


def test_it_hears_a_caller_who_already_speaks_when_it_has_spoken():
    call, effects = after(*ANSWERING, E.CALLER_STARTED, E.SPEECH_FINISHED)
    assert call.state is S.HEARING
    assert effects[-1] != Arm(Timer.NO_INPUT)


def test_a_barge_in_silences_the_turn():
    call, effects = after(*ANSWERING, E.CALLER_STARTED, E.BARGE_IN)
    assert call.state is S.HEARING
    assert effects[-1] == Silence(2)


def test_a_caller_who_goes_on_takes_the_question_back():
    call, effects = after(*ASKED, E.CALLER_STARTED)
    assert call.state is S.HEARING
    assert effects[-1] == Silence(2)


def test_silence_is_asked_about_twice_and_then_the_call_is_closed():
    start, _ = after(*ANSWERED)
    call, effects = after(*[E.NO_INPUT, E.SPEECH_FINISHED] * MAX_SILENCES, start=start)
    assert [e.act for e in effects if isinstance(e, Speak)] == [Act.NO_INPUT] * MAX_SILENCES
    call, effects = after(E.NO_INPUT, E.SPEECH_FINISHED, start=call)
    assert effects[-1] == End(EndReason.NO_INPUT)


def test_goodbye_after_an_answer_asks_for_the_rating_once():
    call, effects = after(*ANSWERING, E.BARGE_IN, E.GOODBYE)
    assert call.state is S.ASKING_RATING
    assert effects[-1] == Speak(3, Act.RATING_QUESTION)


def test_goodbye_before_any_answer_asks_for_no_rating():
    call, effects = after(*ASKED, E.GOODBYE)
    assert call.state is S.THANKING
    assert effects[-1] == Speak(3, Act.FAREWELL)


def test_a_rating_is_thanked_for_and_ends_the_call():
    call, effects = after(
        *ANSWERING,
        E.BARGE_IN,
        E.GOODBYE,
        E.SPEECH_FINISHED,
        Event(E.RATING, rating=4),
        E.SPEECH_FINISHED,
    )
    assert call.state is S.ENDED
    assert effects[-1] == End(EndReason.COMPLETED)


def test_a_rating_spoken_into_the_question_silences_it():
    _, effects = after(*ANSWERING, E.BARGE_IN, E.GOODBYE, Event(E.RATING, rating=5))
    assert Silence(3) in effects
    assert effects.index(Silence(3)) < effects.index(Speak(4, Act.FAREWELL))


def test_a_hand_over_is_announced_then_carried_out():
    call, effects = after(*ASKED, E.HANDOVER_REQUESTED, E.SPEECH_FINISHED, E.TRANSFERRED)
    assert effects[-2:] == [Transfer(), End(EndReason.HANDOVER)]
    assert call.end_reason is EndReason.HANDOVER


def test_a_hand_over_that_fails_is_told_and_the_call_goes_on():
    happened = (E.HANDOVER_REQUESTED, E.SPEECH_FINISHED, E.TRANSFER_FAILED, E.SPEECH_FINISHED)
    call, effects = after(*ASKED, *happened)
    assert [e.act for e in effects if isinstance(e, Speak)][-1] is Act.NOT_TRANSFERRED
    assert call.state is S.LISTENING
    assert call.end_reason is None


def test_failures_are_apologised_for_until_there_are_too_many():
    call, effects = after(*ASKED, *[E.FAILURE] * MAX_FAILURES)
    assert [e.act for e in effects if isinstance(e, Speak)][1:] == [Act.APOLOGY] * MAX_FAILURES
    call, effects = after(E.FAILURE, start=call)
    assert effects[-1] == End(EndReason.FAILURE)


def test_a_greeting_that_failed_is_given_again_for_the_disclosure_in_it():
    call, effects = after(E.INCOMING_CALL, E.CALL_ANSWERED, E.FAILURE)
    assert call.state is S.GREETING
    assert effects[-1] == Speak(2, Act.GREETING)


def test_a_recogniser_that_fails_while_the_assistant_talks_interrupts_nothing():
    for start in ((E.INCOMING_CALL, E.CALL_ANSWERED), ANSWERING, (*ANSWERED, E.GOODBYE)):
        call, _ = after(*start)
        same, effects = after(E.NOT_HEARD, start=call)
        assert same.state is call.state
        assert effects == []


def test_a_time_limit_ends_the_wait_for_a_rating():
    call, _ = after(*ANSWERING, E.BARGE_IN, E.GOODBYE, E.SPEECH_FINISHED)
    call, effects = after(Event(E.TIME_LIMIT, reason="time_limit"), start=call)
    assert call.state is S.THANKING
    assert effects[-1] == Speak(call.turn_id, Act.FAREWELL)


def test_a_time_limit_closes_the_call_under_its_own_name():
    _, effects = after(*ANSWERED, Event(E.TIME_LIMIT, reason="time_limit"), E.SPEECH_FINISHED)
    assert effects[-1] == End(EndReason.TIME_LIMIT)


def test_an_illegal_event_raises_and_changes_nothing():
    call, _ = after(*ANSWERED)
    with pytest.raises(IllegalEvent) as error:
        step(call, Event(E.CALL_ANSWERED))
    assert error.value.code == "illegal_event"
    assert call == after(*ANSWERED)[0]


def test_a_late_event_of_a_cancelled_turn_is_refused_by_its_id():
    call, _ = after(*ASKED, E.CALLER_STARTED, E.CALLER_ENDED, Event(E.TRANSCRIPT, text="no"))
    late = Event(E.ANSWER_READY, turn_id=2)
    assert is_late(call, late)
    with pytest.raises(IllegalEvent) as error:
        step(call, late)
    assert error.value.code == "late_event"


def test_every_state_is_reachable_and_every_live_state_can_be_hung_up():
    targets = {t.to for rows in TABLE.values() for t in rows}
    assert targets == set(S) - {S.IDLE}
    for state in set(S) - {S.IDLE, S.ENDED}:
        assert (state, E.CALL_ENDED) in TABLE


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(list(E)), st.booleans()), max_size=60))
def test_any_sequence_of_events_keeps_the_rules(moves):
    """A call ends once and last, speaks one thing at a time, and asks for a rating once."""
    call, ended, speaking, ratings, armed = Call(), 0, None, 0, set()
    for kind, in_turn in moves:
        event = Event(kind, turn_id=call.turn_id if in_turn else None)
        if not allows(call, kind):
            before = call
            with pytest.raises(IllegalEvent):
                step(call, event)
            assert call == before
            continue
        assert ended == 0, "nothing is allowed after the end"
        if kind is E.SPEECH_FINISHED:
            speaking = None
        if kind is E.NO_INPUT:  # a timer that rings has run out
            armed.clear()
        call, effects = step(call, event)
        for effect in effects:
            assert ended == 0, "no effect after the end"
            if isinstance(effect, Silence):
                speaking = None
            elif isinstance(effect, Speak | Answer):
                assert speaking is None, "the assistant says one thing at a time"
                speaking = effect.turn_id
                ratings += isinstance(effect, Speak) and effect.act is Act.RATING_QUESTION
            elif isinstance(effect, Arm):
                armed.add(effect.timer)
            elif isinstance(effect, Disarm):
                armed.discard(effect.timer)
            elif isinstance(effect, End):
                ended += 1
        assert ratings <= 1
        assert (call.state is S.ENDED) == (ended == 1)
        if call.state is S.LISTENING and not call.caller_speaking:
            assert Timer.NO_INPUT in armed, "nobody waits for a caller without a timer"
        if call.state is not S.ENDED:
            assert call.state is S.LISTENING or Timer.NO_INPUT not in armed
            assert call.state is S.AWAITING_RATING or Timer.RATING not in armed
