"""The switchboard: who is admitted, that every call is settled, and going away politely."""

import asyncio
import io
from dataclasses import replace

import numpy as np
import pytest
import structlog

from apps.core.errors import AtCapacity, ProtocolError, StoreError, UnknownCall
from apps.core.policy import PolicySlots
from apps.core.resources import resource
from apps.dispatcher import closing
from apps.dispatcher.closing import ask_feedback
from apps.dispatcher.profile import load_profiles
from apps.dispatcher.rt_fsm import PolicyRouter
from apps.dispatcher.services import Limits, Services
from apps.dispatcher.switchboard import Switchboard
from apps.llm.answer import GroundedAnswerer
from apps.store.calls import CallOrigin
from apps.voice.doors.base import CallRequest
from apps.voice.recording import export_wav
from apps.voice.sealed import SealingKey
from apps.voice.stt.fake import FakeStt
from apps.voice.tts.fake import FakeTts
from apps.voice.vad import EnergyVad
from tests.calls import (
    CallerHungUp,
    CallerText,
    ListSink,
    ScriptedDoor,
    StubSelector,
    knowledge,
)
from tests.virtual_time import run_virtual

QUESTION = "what documents do i need to register a used car"
KEY = SealingKey.of("k" * 32)
LISTEN, RATE = "listening", "awaiting_rating"


class MemoryDb:
    """Keeps what would have been written; the named functions fail instead."""

    def __init__(self, **failing):
        self.failing, self.written = failing, []

    async def run(self, function, *args, **kwargs):
        await asyncio.sleep(0.01)
        if error := self.failing.get(function.__name__):
            raise error
        self.written.append((function.__name__, args, kwargs))


class SlowSelector(StubSelector):
    """Takes a moment to choose, as a database does."""

    outlook_fails = False

    async def choose(self, *args, **kwargs):
        await asyncio.sleep(0.1)
        return await super().choose(*args, **kwargs)

    async def outlook(self):
        if self.outlook_fails:
            raise StoreError("The database is gone.")
        return await super().outlook()


class BrokenGenerator:
    name = "broken"

    async def stream(self, prompt):
        raise ZeroDivisionError
        yield ""

    async def close(self):
        pass


def switchboard(*heard, db=None, max_calls=2, generator=None, recordings=None):
    services = Services(
        profiles=load_profiles(resource("profiles")),
        router=PolicyRouter(SlowSelector(PolicySlots()), b"k" * 32),
        knowledge=knowledge(),
        generator=generator or GroundedAnswerer(),
        stt={"en": FakeStt(heard)},
        tts={"en": FakeTts(), "de": FakeTts()},
        new_vad=EnergyVad,
        log_sink=ListSink(),
        recordings=recordings,
        recording_key=KEY,
    )
    return Switchboard(services, db or MemoryDb(), max_calls, "kfz", CallOrigin.TEST)


def typed(*script):
    return ScriptedDoor(*script, audio=False)


def whole_call():
    return typed(
        (LISTEN, CallerText(QUESTION)), (LISTEN, CallerText("bye")), (RATE, CallerText("4"))
    )


def metric(board, name, **labels):
    return board.services.metrics.registry.get_sample_value(name, labels) or 0.0


def test_a_call_is_stored_rewarded_told_and_hung_up():
    board, door = switchboard(), whole_call()
    run_virtual(board.take(door))
    assert [name for name, *_ in board.db.written] == ["open_call", "close_call"]
    opened = board.db.written[0][1][0]
    assert (opened.profile, opened.language, opened.origin) == ("kfz", "en", CallOrigin.TEST)
    assert board.db.written[1][2]["reason"] == "completed"
    assert [m["type"] for m in door.told[-2:]] == ["reward", "call.ended"]
    assert door.of("reward")[0]["components"]["resolution"] == 0.6
    assert door.closed == "completed"
    assert board.services.router.selector.taught[0].rating == 4
    assert board.services.log_sink.kinds()[-1] == "call.ended"
    assert board.live_calls == 0
    assert metric(board, "tom_calls_total", door="test", reason="completed") == 1
    assert metric(board, "tom_live_calls") == 0


def test_the_caller_s_number_is_stored_as_a_pseudonym_alone():
    board, door = switchboard(), typed((LISTEN, CallerHungUp()))
    door.request = CallRequest("", "en", "+49 30 1234567")
    run_virtual(board.take(door))
    subject = board.db.written[0][1][0].subject
    assert subject
    assert "1234567" not in subject


def test_who_may_not_observe_is_told_no_reward():
    board, door = switchboard(), whole_call()
    door.capabilities = replace(door.capabilities, observe=False)
    run_virtual(board.take(door))
    assert not door.of("reward")
    assert door.of("call.ended")


@pytest.mark.parametrize(("profile", "language"), [("nobody", "en"), ("kfz", "fr")])
def test_a_profile_that_does_not_exist_is_refused(profile, language):
    board, door = switchboard(), typed()
    door.request = CallRequest(profile, language)
    with pytest.raises(ProtocolError) as refused:
        run_virtual(board.take(door))
    assert refused.value.code == "unknown_profile"
    assert "kfz" in refused.value.hint


def test_one_call_too_many_is_refused_though_both_came_at_the_same_moment():
    board = switchboard(max_calls=1)

    async def scenario():
        calls = [board.take(whole_call()), board.take(whole_call())]
        return await asyncio.gather(*calls, return_exceptions=True)

    first, second = run_virtual(scenario())
    assert first is None
    assert isinstance(second, AtCapacity)
    assert metric(board, "tom_calls_refused_total", door="test", reason="busy") == 1
    assert board.ready


@pytest.mark.parametrize("wait_s", [0.05, 3.0])
def test_a_server_that_goes_away_closes_its_calls_however_young_and_takes_no_more(wait_s):
    board = switchboard()
    door = ScriptedDoor((RATE, CallerText("2")))

    async def scenario():
        call = asyncio.create_task(board.take(door))
        await asyncio.sleep(wait_s)
        board.say_goodbye()
        assert not board.ready
        with pytest.raises(AtCapacity):
            await board.take(typed())
        await board.idle()
        await call

    run_virtual(scenario())
    assert door.of("call.ended")[0]["reason"] == "shutdown"
    assert door.said("assistant")[-1].strip()


def going(board, *steps):
    """Carry the switchboard's steps of going away out at their times."""

    async def scenario(door):
        call = asyncio.create_task(board.take(door))
        for at_s, step in steps:
            await asyncio.sleep(at_s - asyncio.get_running_loop().time())
            step()
        await call
        return asyncio.get_running_loop().time()

    return scenario


def test_calls_that_are_on_the_line_go_on_while_the_server_takes_no_more():
    board, door = switchboard(), whole_call()
    run_virtual(going(board, (0.5, board.drain))(door))
    assert board.draining
    assert not board.ready
    assert door.of("call.ended")[0]["reason"] == "completed"
    assert door.of("rating")[0]["stars"] == 4


def asked():
    return ScriptedDoor((LISTEN, CallerText(QUESTION)))


def test_near_the_deadline_a_caller_is_told_why_asked_for_a_rating_and_thanked():
    board, door = switchboard(), asked()
    took_s = run_virtual(
        going(board, (10.0, board.drain), (12.0, board.say_goodbye), (22.0, board.hurry))(door)
    )
    why, question, thanks = door.said("assistant")[-4:-1]
    assert "about to restart" in why
    assert question.endswith("?")
    assert "Thank you" in thanks + door.said("assistant")[-1]
    assert len(door.of("rating.asked")) == 1
    assert door.of("call.ended")[0]["reason"] == "shutdown"
    assert 24.5 < took_s < 26.0  # the thanks are heard to their end


def test_who_has_said_goodbye_already_is_not_told_of_the_restart():
    board, door = switchboard(), typed((LISTEN, CallerText(QUESTION)), (LISTEN, CallerText("bye")))
    run_virtual(
        going(board, (0.5, board.drain), (5.0, board.say_goodbye), (6.0, board.hurry))(door)
    )
    assert not any("restart" in line for line in door.said("assistant"))
    assert door.of("call.ended")[0]["reason"] == "completed"


def test_what_is_left_at_the_deadline_is_cut_off_and_settled_all_the_same():
    board, door = switchboard(), asked()
    with structlog.testing.capture_logs() as logs:
        took_s = run_virtual(going(board, (12.0, board.say_goodbye), (13.0, board.cut))(door))
    assert took_s < 13.5
    assert door.closed == "shutdown"
    assert board.db.written[-1][2]["reason"] == "shutdown"
    assert board.services.router.selector.taught
    assert [line["reason"] for line in logs if line["event"] == "call_cut_off"] == ["shutdown"]


def test_a_call_that_begins_while_the_rest_are_cut_is_cut_too():
    board, door = switchboard(), typed()
    run_virtual(going(board, (0.05, board.cut))(door))
    assert door.closed == "shutdown"
    assert board.live_calls == 0


def test_a_door_may_have_fewer_lines_than_there_are():
    board = switchboard(max_calls=3)
    board.door_max_calls = {"test": 1}

    async def scenario():
        first = asyncio.create_task(board.take(ScriptedDoor((LISTEN, CallerHungUp()))))
        await asyncio.sleep(0.5)
        assert board.calls_by_door == {"test": 1}
        with pytest.raises(AtCapacity, match="All 1 lines"):
            board.admit("test")
        board.admit("other")
        await first
        board.admit("test")

    run_virtual(scenario())
    assert metric(board, "tom_calls_refused_total", door="test", reason="busy") == 1


BROKEN = {
    "never opened": {"open_call": StoreError("full"), "close_call": UnknownCall("never opened")},
    "not closed": {"close_call": StoreError("full")},
    "deleted while it lived": {"close_call": UnknownCall("deleted")},
}


@pytest.mark.parametrize("failing", BROKEN.values(), ids=BROKEN)
def test_a_database_that_fails_costs_no_call_and_no_line(failing):
    board, door = switchboard(db=MemoryDb(**failing)), whole_call()
    run_virtual(board.take(door))
    assert door.of("call.ended")[0]["reason"] == "completed"
    assert board.live_calls == 0


def test_an_outlook_that_cannot_be_had_is_left_out():
    board, door = switchboard(), whole_call()
    board.services.router.selector.outlook_fails = True
    run_virtual(board.take(door))
    assert not door.of("reward")
    assert door.closed == "completed"


def test_a_defect_in_one_call_ends_it_settled_and_frees_its_line():
    board, door = switchboard(generator=BrokenGenerator()), whole_call()
    with pytest.raises(ExceptionGroup):
        run_virtual(board.take(door))
    assert door.of("call.ended")[0]["reason"] == "failure"
    assert board.live_calls == 0
    assert not closing._on_the_line


def test_a_call_that_is_torn_down_is_settled_all_the_same():
    board, door = switchboard(), typed()

    async def scenario():
        call = asyncio.create_task(board.take(door))
        await asyncio.sleep(1.0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    run_virtual(scenario())
    assert door.closed == "shutdown"
    assert board.db.written[-1][2]["reason"] == "shutdown"
    assert board.live_calls == 0


def recorded(folder, door, **options):
    """Hold a recorded call; returns the caller's and the assistant's samples."""
    board = switchboard(recordings=folder, **options)
    run_virtual(board.take(door))
    (recording,) = folder.glob("*.tomrec")
    assert recording.stem == board.db.written[0][1][0].call_ref
    wav = io.BytesIO()
    assert export_wav(recording, KEY, wav)
    stereo = np.frombuffer(wav.getvalue()[44:], "<i2").reshape(-1, 2)
    return stereo[:, 0], stereo[:, 1]


def test_a_caller_is_told_of_the_recording_before_their_first_recorded_word(tmp_path):
    def greeting_goes_on(door):
        return len(door.frames) > 50

    door = ScriptedDoor((greeting_goes_on, 400), (LISTEN, 400), ("speaking", CallerHungUp()))
    caller, assistant = recorded(tmp_path, door)
    said = door.said("assistant")
    assert "This call is recorded." in said[:-1]
    assert said[said.index("This call is recorded.") + 1].endswith("?")
    assert door.of("call.started")[0]["recorded"] is True
    voice = np.flatnonzero(np.abs(caller) > 1000)
    greeted = door.frames[0] / 1000
    assert np.any(assistant[:16_000])
    # Spoken over the greeting: not kept. Spoken after it: kept.
    assert len(voice) / 16_000 == pytest.approx(0.4, abs=0.05)
    assert voice[0] / 16_000 > 2.0 > greeted


def test_the_announcement_stands_in_every_greeting_in_both_languages(tmp_path):
    for language, words in (("de", "aufgezeichnet"), ("en", "recorded")):
        door = ScriptedDoor((LISTEN, CallerHungUp()), language=language)
        recorded(tmp_path / language, door)
        assert any(words in line for line in door.said("assistant"))


def test_a_typed_call_is_not_recorded_and_says_nothing_of_it(tmp_path):
    board, door = switchboard(recordings=tmp_path), whole_call()
    run_virtual(board.take(door))
    assert list(tmp_path.iterdir()) == []
    assert not any("recorded" in line for line in door.said("assistant"))
    assert "recorded" not in door.of("call.started")[0]


@pytest.mark.parametrize("moment_s", [1.0, 14.0])
def test_feedback_can_be_asked_for_at_any_moment_of_a_live_call(moment_s):
    """One moment is within the greeting, the other after an answer."""
    board = switchboard(QUESTION, "four")
    door = ScriptedDoor((LISTEN, 1500), (RATE, 600))

    async def scenario():
        call = asyncio.create_task(board.take(door))
        await asyncio.sleep(moment_s)
        call_id = door.of("call.started")[0]["call_id"]
        rating = await ask_feedback(call_id, {})
        await call
        return rating

    rating = run_virtual(scenario())
    assert rating == (4 if door.of("rating.asked") else None)
    assert bool(door.of("rating.asked")) == (moment_s > 10)
    assert door.closed == "closed"


class StuckDoor(ScriptedDoor):
    """A door through which nothing more can be told once the call has begun to close."""

    async def tell(self, kind, data):
        if data.get("state") == "thanking":
            await asyncio.Event().wait()
        await super().tell(kind, data)


def test_a_call_that_cannot_be_closed_politely_is_cut_off_in_the_end():
    board = switchboard()
    board.services = replace(board.services, limits=Limits(max_call_s=30.0))
    door = StuckDoor(audio=False)
    run_virtual(board.take(door))
    assert door.of("call.ended")[0]["reason"] == "time_limit"
    assert board.live_calls == 0
