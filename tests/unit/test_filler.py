"""A caller who has to wait is told so, once, and the answer follows."""

import asyncio
from itertools import pairwise

import pytest

from apps.core.errors import EngineError
from apps.dispatcher.services import Limits
from apps.llm.answer import GroundedAnswerer
from apps.voice.stt.fake import FakeStt
from apps.voice.tts.fake import FakeTts
from tests.calls import CallerHungUp, CallerText, ScriptedDoor, hold_call
from tests.virtual_time import run_virtual

QUESTION = "what documents do i need to register a used car"
FILLER = "One moment, please."
LISTEN, SPEAK = "listening", "speaking"


class SlowGenerator(GroundedAnswerer):
    def __init__(self, delay_s):
        self.delay_s = delay_s

    async def stream(self, prompt):
        await asyncio.sleep(self.delay_s)
        async for piece in super().stream(prompt):
            yield piece


class SlowTts(FakeTts):
    """Takes its time for a sentence, or fails on it."""

    def __init__(self, delay_s=0.0, fails_on=None):
        super().__init__()
        self.delay_s, self.fails_on = delay_s, fails_on

    async def synthesise(self, text, style):
        await asyncio.sleep(self.delay_s)
        if text == self.fails_on:
            raise EngineError("No.")
        async for chunk in super().synthesise(text, style):
            yield chunk


def hold(*script, delay_s=0.0, tts=None, heard=(QUESTION,), language="en", audio=True, **limits):
    script = script or ((LISTEN, 1500), (LISTEN, CallerHungUp()))
    door = ScriptedDoor(*script, language=language, audio=audio)
    return run_virtual(
        hold_call(
            door,
            stt=FakeStt(heard),
            generator=SlowGenerator(delay_s),
            tts=tts,
            limits=Limits(**limits),
        )
    )


def said(call):
    return call.door.said("assistant")


def fillers(call):
    text = call.services.metrics.exposition()[0].decode()
    line = next(line for line in text.splitlines() if line.startswith("tom_fillers_total "))
    return float(line.split()[1])


def test_a_late_answer_is_announced_once_and_follows():
    call = hold(delay_s=4.0)
    announced = said(call).index(FILLER)
    assert " ".join(said(call)[announced + 1 :]) == call.call.conversation.answers[0].said
    assert said(call).count(FILLER) == fillers(call) == 1


@pytest.mark.parametrize(
    "quick", [{"delay_s": 1.0}, {"delay_s": 4.0, "filler_after_ms": 0.0}, {"delay_s": 0.0}]
)
def test_an_answer_in_time_is_not_announced(quick):
    call = hold(**quick)
    assert FILLER not in said(call)
    assert fillers(call) == 0


def test_the_wait_is_a_setting():
    assert FILLER in said(hold(delay_s=1.0, filler_after_ms=500.0))


def test_it_is_said_in_the_call_s_language():
    heard = ("wann haben sie am samstag geöffnet",)
    call = hold(delay_s=4.0, heard=heard, language="de")
    assert "Einen Moment bitte." in said(call)


def test_the_answer_does_not_begin_before_the_filler_has_been_heard():
    ends_while_it_sounds = 1.5 + len(FILLER) * 0.06 / 2
    call = hold(delay_s=ends_while_it_sounds)
    waited = hold(delay_s=ends_while_it_sounds, filler_after_ms=0.0)
    frames, filler_frames = call.door.frames, len(FILLER) * 60 // 20
    assert len(frames) == len(waited.door.frames) + filler_frames
    latency = [c.door.of("turn.latency")[0]["ms"] for c in (call, waited)]
    assert latency[0] - latency[1] == pytest.approx(len(FILLER) * 60 / 2, abs=80)
    gaps = [after - before for before, after in pairwise(frames)]
    assert max(gaps[-2 * filler_frames :]) < 150


def test_its_sound_is_not_the_answer_s_first():
    call = hold(delay_s=4.0)
    latency = call.door.of("turn.latency")
    assert len(latency) == 1
    assert latency[0]["ms"] > 4000
    assert sum(latency[0]["stages"].values()) == pytest.approx(latency[0]["ms"], abs=0.5)
    kinds = [(r.kind, r.data.get("text")) for r in call.sink.records]
    assert kinds.index(("assistant", FILLER)) < kinds.index(("fsm.answer_ready", None))


def test_it_is_no_part_of_what_was_heard_of_the_answer():
    call = hold(delay_s=4.0)
    answer = call.call.conversation.answers[0]
    assert answer.exchange.answer == answer.said
    assert FILLER not in answer.said


def test_who_breaks_into_the_answer_after_it_has_heard_of_the_answer_alone():
    script = [(LISTEN, 1500), (been(SPEAK, 1500), 1500), (LISTEN, CallerHungUp())]
    call = hold(*script, delay_s=4.0, heard=(QUESTION, "when are you open on saturday"))
    heard = call.door.of("heard")[0]["text"]
    assert heard
    assert call.call.conversation.answers[0].said.startswith(heard[:10])


def been(state, wait_ms):
    """A cue: the call has been in the state for so long."""
    return lasting(lambda door: door.state == state, wait_ms)


def lasting(holds, wait_ms):
    """A cue: something has been true of the door for so long."""
    steps = []

    def cue(door):
        steps.append(holds(door))
        return sum(steps) * 20 >= wait_ms

    return cue


def test_a_caller_who_speaks_silences_it_and_nothing_was_heard_of_an_answer():
    def told(door):
        return FILLER in door.said("assistant")

    call = hold(
        (LISTEN, 1500),
        (lasting(told, 600), 600),
        (LISTEN, CallerHungUp()),
        delay_s=3.0,
        heard=("when are you open", "on saturday"),
    )
    assert call.door.of("heard")[0]["text"] == ""
    assert len(call.door.flushed) == 1
    answers = call.call.conversation.answers
    assert [a.asked for a in answers] == ["when are you open on saturday"]
    assert call.left_over == []


def test_an_answer_that_is_there_first_after_all_is_not_announced():
    call = hold(delay_s=1.4, tts=SlowTts(0.2))
    assert FILLER in call.tts.spoken
    assert FILLER not in said(call)
    assert fillers(call) == 0


def test_a_filler_that_cannot_be_spoken_is_left_out():
    call = hold(delay_s=4.0, tts=SlowTts(fails_on=FILLER))
    assert FILLER not in said(call)
    assert call.call.conversation.answers[0].exchange.answer
    assert "fsm.failure" not in call.sink.kinds()


def test_who_types_is_not_asked_for_patience():
    script = ((LISTEN, CallerText(QUESTION)), (LISTEN, CallerHungUp()))
    call = hold(*script, delay_s=4.0, audio=False)
    assert call.call.conversation.answers
    assert FILLER not in said(call)
