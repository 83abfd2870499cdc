"""Sessions and their policies: the module's own functions, over the stores of the settings."""

import pytest

from apps.core.errors import IllegalEvent, StoreError, UnknownCall
from apps.core.policy import PolicySlots
from apps.dispatcher import rt_fsm
from apps.dispatcher.call_state import EndReason, Event
from apps.dispatcher.rt_fsm import (
    CallEvent,
    CallState,
    PolicyRouter,
    create_call_session,
    handle_call_event,
)
from apps.rl.signals import CallFacts, TurnFacts
from tests.calls import StubSelector

KEY = b"k" * 32


@pytest.fixture
def router(monkeypatch):
    """The router that the module's functions use, over a selector that keeps what it is taught."""
    made = PolicyRouter(StubSelector(PolicySlots()), KEY)
    monkeypatch.setattr(rt_fsm, "default_router", lambda: made)
    return made


async def lead_through(*kinds, facts=None):
    for kind in kinds:
        effects = await handle_call_event("call_1", kind, facts)
    return effects


ANSWERED = (CallEvent.INCOMING_CALL, CallEvent.CALL_ANSWERED)


async def test_a_session_has_its_policy_before_anything_happens(router):
    session = await create_call_session("call_1", "kfz", {"time_of_day": "morning"})
    assert (session.policy_variant, session.state) == ("v1a", CallState.IDLE)
    assert session.slots == PolicySlots()
    assert session.call_ref != "call_1"


async def test_the_end_of_a_call_is_its_policy_s_reward_and_its_session_is_gone(router):
    session = await create_call_session("call_1", "kfz")
    turn = TurnFacts(question=True, answered=True, grounded=True)
    facts = CallFacts(turns=(turn,), ended_by_caller=True, duration_s=60.0)
    await lead_through(*ANSWERED, CallEvent.CALL_ENDED, facts=facts)
    assert session.state is CallState.ENDED
    assert session.learned.reward.value == pytest.approx(0.8)
    with pytest.raises(UnknownCall):
        router.session("call_1")


async def test_a_call_of_which_nothing_is_known_is_abandoned_not_rewarded(router):
    session = await create_call_session("call_1", "kfz")
    await lead_through(*ANSWERED, CallEvent.CALL_ENDED)
    assert session.learned.reward is None
    assert router.selector.taught[0].facts.ended_by_caller


async def test_a_whole_event_may_be_given_with_its_own_time_and_reason(router):
    session = await create_call_session("call_1", "kfz")
    await lead_through(*ANSWERED)
    end = Event(CallEvent.CALL_ENDED, at_ms=5.0, reason=EndReason.FAILURE.value)
    await handle_call_event("call_1", end)
    assert session.call.end_reason is EndReason.FAILURE
    assert not router.selector.taught[0].facts.ended_by_caller


async def test_a_rating_belongs_to_its_session(router):
    session = await create_call_session("call_1", "kfz")
    kinds = (*ANSWERED, CallEvent.SPEECH_FINISHED, CallEvent.TRANSCRIPT, CallEvent.ANSWER_READY)
    await lead_through(*kinds, CallEvent.SPEECH_FINISHED, CallEvent.GOODBYE)
    assert session.rating_offered
    await handle_call_event("call_1", Event(CallEvent.RATING, rating=5))
    assert (session.rating, session.rating_answered) == (5, True)


async def test_what_does_not_fit_raises_and_changes_nothing(router):
    session = await create_call_session("call_1", "kfz")
    with pytest.raises(IllegalEvent):
        await handle_call_event("call_1", CallEvent.CALL_ANSWERED)
    with pytest.raises(IllegalEvent) as error:
        await create_call_session("call_1", "kfz")
    assert error.value.code == "call_exists"
    with pytest.raises(UnknownCall):
        await handle_call_event("call_2", CallEvent.INCOMING_CALL)
    assert session.state is CallState.IDLE


@pytest.mark.parametrize("error", [StoreError("full"), UnknownCall("no choice was stored")])
async def test_a_reward_that_cannot_be_stored_does_not_harm_the_call(router, error):
    async def fail(*_):
        raise error

    router.selector.learn = fail
    session = await create_call_session("call_1", "kfz")
    await lead_through(*ANSWERED, CallEvent.CALL_ENDED)
    assert session.learned is None


def test_callers_are_known_by_a_pseudonym_that_is_not_a_call_s():
    router = PolicyRouter(StubSelector(PolicySlots()), KEY)
    assert router.subject("") is None
    assert router.subject("+49301") == router.subject("+49301")
    assert router.subject("+49301") != router.call_ref("+49301")
    other = PolicyRouter(StubSelector(PolicySlots()), b"x" * 32)
    assert other.subject("+49301") != router.subject("+49301")
