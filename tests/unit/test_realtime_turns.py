"""Turns that the caller's side ends, and an assistant that it silences."""

import pytest

from apps.voice import turn_events as turns
from apps.voice.doors.base import CallerHungUp, CallerInterrupted, CallerTurnEnded, TurnsByHand
from apps.voice.ear_log import read_ear
from apps.voice.turn_options import TurnOptions
from apps.voice.turn_taking import Floor, step
from tests.calls import ScriptedDoor, hold_call
from tests.virtual_time import run_virtual

OPTIONS = TurnOptions()


def feed(floor, *heard):
    """Return the floor and all signals after a sequence; a number is that much voice in ms."""
    signals, at_ms = [], floor.last_voice_ms
    for item in heard:
        windows = [item]
        if isinstance(item, int):
            count = abs(item) // 32
            probability = 1.0 if item > 0 else 0.0
            windows = [turns.Window(at_ms + (i + 1) * 32, 32.0, probability) for i in range(count)]
            at_ms += count * 32
        for window in windows:
            floor, more = step(floor, window, OPTIONS)
            signals += more
    return floor, [type(signal).__name__ for signal in signals]


def test_silence_ends_no_turn_that_is_ended_by_hand():
    _, signals = feed(Floor(), turns.ByHand(on=True), 640, -6400, 640, -640, turns.Yielded())
    assert signals == ["CallerStarted", "CallerEnded"]


def test_without_a_turn_there_is_nothing_to_end():
    floor, signals = feed(Floor(), turns.ByHand(on=True), -640, turns.Yielded())
    assert signals == []
    assert not floor.speaking


def test_a_turn_can_be_ended_early_where_silence_ends_turns_too():
    _, signals = feed(Floor(), 640, turns.Yielded(), -6400)
    assert signals == ["CallerStarted", "CallerEnded"]


def test_voice_does_not_interrupt_who_is_interrupted_by_hand():
    playing = turns.Playback(interruptible=True)
    _, signals = feed(Floor(), turns.ByHand(on=True), playing, 3200)
    assert signals == ["CallerStarted"]
    _, signals = feed(Floor(), playing, 192, turns.ByHand(on=True), 3200)
    assert signals == ["CallerStarted", "Hold", "FalseAlarm"]


def test_the_log_gives_back_what_was_done_by_hand():
    records = [("ear.by_hand", {"on": True}), ("ear.yielded", {})]
    assert list(read_ear(records)) == [turns.ByHand(on=True), turns.Yielded()]


def test_a_call_answers_when_the_caller_s_side_ends_the_turn():
    def ended(door):
        return door.state == "hearing" and door._voice_left <= 0

    door = ScriptedDoor(
        ("greeting", TurnsByHand(on=True)),
        ("listening", 800),
        (ended, CallerTurnEnded()),
        (lambda d: d.state == "listening" and len(d.said("caller")) == 1, CallerHungUp()),
    )
    call = run_virtual(hold_call(door, "what does a new registration cost"))
    assert any("euro" in said for said in call.door.said("assistant"))
    assert len(call.door.of("speech.started")) == len(call.door.of("speech.ended")) - 2 == 1
    assert {"ear.by_hand", "ear.yielded"} <= set(call.sink.kinds())


def test_a_turn_that_is_discarded_is_not_answered():
    def ended(door):
        return door.state == "hearing" and door._voice_left <= 0

    door = ScriptedDoor(
        ("greeting", TurnsByHand(on=True)),
        ("listening", 800),
        (ended, CallerTurnEnded(discard=True)),
        (lambda d: len(d.said("assistant")) > 3, CallerHungUp()),
    )
    call = run_virtual(hold_call(door, "what does a new registration cost"))
    assert call.door.said("caller") == []
    assert "fsm.transcript" not in call.sink.kinds()


@pytest.mark.parametrize("state", ["speaking", "greeting"])
def test_an_answer_is_silenced_by_the_caller_s_side_and_the_greeting_is_not(state):
    def is_time(door):
        return door.state == state and len(door.frames) > 50

    door = ScriptedDoor(
        *([("listening", 800)] if state == "speaking" else []),
        (
            lambda d: is_time(d) and len(d.said("caller")) == (state == "speaking"),
            CallerInterrupted(),
        ),
        ("listening", CallerHungUp()),
    )
    call = run_virtual(hold_call(door, "what does a new registration cost"))
    heard = [message["text"] for message in call.door.of("heard")]
    assert len(heard) == (state == "speaking")
    assert call.reason == "caller_hung_up"
    assert call.left_over == []


def test_words_after_the_answer_was_silenced_count_as_an_interruption():
    door = ScriptedDoor(
        ("listening", 800),
        (lambda d: d.state == "speaking" and len(d.frames) > 420, CallerInterrupted()),
        ("listening", 800),
        (lambda d: d.state == "speaking" and len(d.said("caller")) == 2, CallerHungUp()),
    )
    words = ("what does a new registration cost", "and how long does that take then")
    call = run_virtual(hold_call(door, *words))
    assert call.door.of("heard")[0]["text"]
    assert call.facts.barge_ins == 1
