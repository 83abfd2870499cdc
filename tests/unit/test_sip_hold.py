"""A caller who puts the call on hold: nothing is said and nothing asked until they are back."""

from apps.core.clock import loop_ms
from apps.dispatcher.services import Limits
from apps.voice.doors.base import CallerHold, CallerHungUp
from tests.calls import ScriptedDoor, hold_call
from tests.virtual_time import run_virtual


def at(frames):
    """When so many frames have been heard."""
    return lambda door: len(door.frames) >= frames


def after(seconds, since):
    """When some time has passed since something was told."""
    begun = []

    def is_time(door):
        if not begun and since(door):
            begun.append(loop_ms())
        return bool(begun) and loop_ms() - begun[0] >= seconds * 1000

    return is_time


def held_in_the_greeting(seconds):
    door = ScriptedDoor(
        (at(20), CallerHold(True)),
        (after(seconds, at(20)), CallerHold(False)),
        (after(5, lambda door: True), CallerHungUp()),
    )
    return run_virtual(hold_call(door, limits=Limits(no_input_s=5.0)))


def test_the_assistant_falls_silent_on_hold_and_goes_on_afterwards():
    outcome = held_in_the_greeting(20)
    gaps = [b - a for a, b in zip(outcome.door.frames, outcome.door.frames[1:], strict=False)]
    assert 19_000 < max(gaps) < 21_000
    assert outcome.sink.kinds().count("caller.hold") == 2


def test_nobody_is_asked_whether_they_are_still_there_while_on_hold():
    waiting = ScriptedDoor(
        ("listening", CallerHold(True)),
        (after(20, lambda door: True), CallerHold(False)),
        (after(6, lambda door: True), CallerHungUp()),
    )
    outcome = run_virtual(hold_call(waiting, limits=Limits(no_input_s=5.0)))
    asked = [r.at_ms for r in outcome.sink.records if r.kind == "fsm.no_input"]
    back = [r.at_ms for r in outcome.sink.records if r.kind == "caller.hold"][1]
    assert [at_ms - back > 4900 for at_ms in asked] == [True]


def test_a_caller_who_hangs_up_on_hold_is_gone_at_once():
    door = ScriptedDoor((at(20), CallerHold(True)), (after(3, at(20)), CallerHungUp()))
    outcome = run_virtual(hold_call(door))
    assert outcome.reason == "caller_hung_up"
    assert outcome.left_over == []
