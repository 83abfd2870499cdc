"""What learning is told of a call beside its reward: the conditions, and what went wrong in it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from apps.core.resources import resource
from apps.dispatcher.call_state import EndReason
from apps.dispatcher.profile import TIMES_OF_DAY, load_profiles
from apps.rl.simulator import callers
from apps.store.feedback import Flag
from tests.calls import CallerHungUp, CallerText, ScriptedDoor
from tests.unit.test_live_call import LISTEN, QUESTION, SPEAK, DyingTts, hold, whole_call


def flags_of_hanging_up(state: str, *said: object) -> tuple[Flag, ...]:
    script = [(LISTEN, CallerText(str(text))) for text in said]
    return hold(ScriptedDoor(*script, (state, CallerHungUp()), audio=False)).facts.flags


def test_a_good_call_has_no_flags_and_its_conditions_are_known() -> None:
    facts = whole_call().facts
    assert facts.flags == ()
    assert set(facts.conditions) == {"stt_confidence", "latency_ms", "noise_db"}
    assert 500 < facts.conditions["latency_ms"] < 3000
    assert facts.conditions["noise_db"] == 0.0  # the scripted line is silent


def test_a_typed_call_has_no_line_whose_noise_could_be_told() -> None:
    door = ScriptedDoor((LISTEN, CallerText(QUESTION)), (LISTEN, CallerHungUp()), audio=False)
    assert hold(door).facts.conditions == {}


def test_who_leaves_before_the_first_answer_has_hung_up() -> None:
    assert flags_of_hanging_up(LISTEN) == (Flag.HANG_UP,)


def test_who_leaves_in_the_middle_of_an_answer_has_hung_up() -> None:
    door = ScriptedDoor((LISTEN, 1500), (SPEAK, CallerHungUp()))
    assert hold(door, QUESTION).facts.flags == (Flag.HANG_UP,)


def test_who_leaves_after_an_answer_has_not() -> None:
    assert flags_of_hanging_up(LISTEN, QUESTION) == ()
    # What follows a thank-you is no answer, so leaving into it is no complaint.
    door = ScriptedDoor((LISTEN, 1500), (LISTEN, 800), (SPEAK, CallerHungUp()))
    assert hold(door, QUESTION, "thank you").facts.flags == ()


def test_an_engine_that_fails_is_told_whatever_comes_of_the_call() -> None:
    door = ScriptedDoor((LISTEN, 1500), (LISTEN, CallerHungUp()))
    assert Flag.ENGINE_ERROR in hold(door, QUESTION, tts=DyingTts(4)).facts.flags


def test_what_a_check_of_the_answers_finds_is_told_too() -> None:
    call = whole_call()
    call.call.conditions.flags.add(Flag.UNSAFE)
    assert call.call.facts(EndReason.COMPLETED).flags == (Flag.UNSAFE,)


@pytest.mark.parametrize(
    ("hour", "part"),
    [(22, "evening"), (23, "night"), (5, "morning"), (10, "morning"), (11, "afternoon")],
)
def test_the_time_of_day_is_the_offices_own(hour: int, part: str) -> None:
    profile = load_profiles(resource("profiles"))["kfz"]
    winter = datetime(2026, 1, 15, hour, 30, tzinfo=UTC)  # an hour later in Germany
    summer = datetime(2026, 7, 15, hour, 30, tzinfo=UTC)
    assert profile.time_of_day(winter) == part
    assert profile.time_of_day(summer) == TIMES_OF_DAY[(hour + 2) % 24 // 6]


def test_learners_are_trained_on_the_same_parts_of_the_day() -> None:
    assert TIMES_OF_DAY == callers.TIMES_OF_DAY
