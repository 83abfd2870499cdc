"""Outgoing calls in virtual time: dialled, screened, held, tried again, cancelled, noted."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from apps.core.audio import FRAME_MS, FRAME_SAMPLES, SAMPLE_RATE_HZ, samples_to_pcm
from apps.core.clock import loop_ms
from apps.core.errors import DialFailed, StoreError, TomError, UnknownCall
from apps.core.policy import PolicySlots
from apps.core.resources import resource
from apps.dispatcher.outgoing.calls import OutgoingCalls
from apps.dispatcher.outgoing.decide import OutgoingRequest, Rules
from apps.dispatcher.outgoing.fake import FakeDialer
from apps.dispatcher.outgoing.optout import opts_out
from apps.dispatcher.outgoing.status import Refused
from apps.dispatcher.profile import load_profiles
from apps.dispatcher.rt_fsm import PolicyRouter
from apps.dispatcher.services import Services
from apps.dispatcher.switchboard import Switchboard
from apps.llm.answer import GroundedAnswerer
from apps.store.calls import list_calls
from apps.store.consents import EVERY_PURPOSE, ConsentAction, ConsentRow, record, records_of
from apps.store.database import open_database
from apps.store.outgoing import attempts_at
from apps.voice.doors.base import CallerAudio, CallerDigit
from apps.voice.stt.fake import FakeStt
from apps.voice.tts.fake import FakeTts
from apps.voice.vad import EnergyVad
from tests.calls import (
    QUIET,
    VOICE,
    CallerHungUp,
    ListSink,
    ScriptedDoor,
    StubSelector,
    knowledge,
)
from tests.virtual_time import run_virtual

NUMBER = "+4989123456"
TUESDAY_10 = datetime(2026, 3, 10, 9, 0, tzinfo=UTC)
LISTEN = "listening"
REQUEST = OutgoingRequest(NUMBER, "kfz", "en", "callback")
HELLO = [("quiet", 400), ("voice", 600)]
MACHINE = [("quiet", 400), ("voice", 5000), ("quiet", 700), ("beep", 400)]


class Callee(ScriptedDoor):
    """Somebody who picks up: says their greeting at once, and then acts on cue."""

    def __init__(self, greeting=HELLO, *script, language="en"):
        super().__init__(*script, language=language)
        self.greeting = list(greeting)

    async def events(self):
        at = 0
        for kind, ms in self.greeting:
            for _ in range(ms // FRAME_MS):
                yield CallerAudio({"quiet": QUIET, "voice": VOICE}.get(kind) or beep(at))
                at += 1
                await asyncio.sleep(FRAME_MS / 1000)
        async for event in super().events():
            yield event


def beep(place):
    at = (place * FRAME_SAMPLES + np.arange(FRAME_SAMPLES)) / SAMPLE_RATE_HZ
    return samples_to_pcm((6000 * np.sin(2 * np.pi * 1000 * at)).astype(np.int16))


class InlineDb:
    """The real tables, without the threads that virtual time cannot wait for."""

    def __init__(self, database):
        self.database, self.fails = database, False

    async def run(self, function, *args, **kwargs):
        await asyncio.sleep(0.001)
        if self.fails:
            raise StoreError("The disk is gone.")
        with self.database.transaction() as conn:
            return function(conn, *args, **kwargs)

    query = run


class Office:
    """A server's part that calls out."""

    def __init__(self, folder, *answers, heard=(), agrees=True, rules=None, machines="hangup"):
        self.db = InlineDb(open_database(folder / "feedback.db"))
        self.began = TUESDAY_10
        selector = StubSelector(PolicySlots())
        self.taught = selector.taught
        self.services = Services(
            profiles=load_profiles(resource("profiles")),
            router=PolicyRouter(selector, b"k" * 32),
            knowledge=knowledge(),
            generator=GroundedAnswerer(),
            stt={"en": FakeStt(heard), "de": FakeStt(heard)},
            tts={"en": FakeTts(), "de": FakeTts()},
            new_vad=EnergyVad,
            log_sink=ListSink(),
            clock=lambda: self.began + timedelta(milliseconds=loop_ms()),
        )
        self.board = Switchboard(self.services, self.db, 2, "kfz")
        self.dialer = FakeDialer(answers)
        rules = rules or Rules(retries=0)
        self.calls = OutgoingCalls(self.board, {"fake": self.dialer}, rules, machines=machines)
        if agrees:
            self.record(ConsentAction.GIVEN)

    def record(self, action, purpose=EVERY_PURPOSE):
        subject = self.services.router.subject(NUMBER)
        with self.db.database.transaction() as conn:
            record(conn, ConsentRow(subject, action, purpose, "web form"))

    async def call(self, request=REQUEST, key=""):
        """Make one call and wait for its end."""
        status = await self.calls.place(request, key)
        await self.ended(status)
        return status

    async def ended(self, status):
        while status.state != "ended":  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.05)

    def attempts(self, status):
        with self.db.database.reading() as conn:
            return attempts_at(conn, self.services.router.call_ref(status.call))

    def kept(self):
        with self.db.database.reading() as conn:
            return list_calls(conn)

    def counted(self, result):
        name = "tom_outgoing_attempts_total"
        return self.services.metrics.registry.get_sample_value(name, {"outcome": result}) or 0.0


def run(office, scenario):
    async def main():
        async with office.calls:
            result = await scenario
        left = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
        assert left == []
        return result

    return run_virtual(main())


# --- somebody picks up


def test_a_person_hears_who_calls_that_it_is_an_ai_and_why(tmp_path):
    callee = Callee(HELLO, (LISTEN, CallerHungUp()))
    office = Office(tmp_path, lambda: callee)
    status = run(office, office.call())
    assert status.result == "answered"
    assert status.reason == "caller_hung_up"
    greeting = " ".join(callee.said("assistant"))
    assert "the vehicle office of Sonnenfurt" in greeting
    assert "artificial intelligence" in greeting
    assert "You asked us to call you back." in greeting
    assert callee.closed is not None


def test_in_german_too(tmp_path):
    callee = Callee(HELLO, (LISTEN, CallerHungUp()), language="de")
    office = Office(tmp_path, lambda: callee)
    run(office, office.call(replace(REQUEST, language="de", purpose="pickup")))
    greeting = " ".join(callee.said("assistant"))
    assert "künstliche Intelligenz" in greeting
    assert "Ihre Zulassungsunterlagen liegen zur Abholung bereit." in greeting


def test_the_assistant_waits_for_the_callee_s_hello_and_begins_soon_after_it(tmp_path):
    callee = Callee(HELLO, (LISTEN, CallerHungUp()))
    office = Office(tmp_path, lambda: callee)
    run(office, office.call())
    rang_ms, hello_ms = 1000, 1000
    assert rang_ms + hello_ms + 800 < callee.frames[0] < rang_ms + hello_ms + 1300


def test_a_callee_who_says_nothing_is_spoken_to_after_two_and_a_half_seconds(tmp_path):
    callee = Callee([("quiet", 400)], (LISTEN, CallerHungUp()))
    office = Office(tmp_path, lambda: callee)
    assert run(office, office.call()).result == "answered"
    assert 3400 < callee.frames[0] < 4000


def test_a_callee_whose_line_carries_no_audio_at_all_is_spoken_to_as_well(tmp_path):
    class Mute(Callee):
        async def events(self):
            while self.state != LISTEN:  # noqa: ASYNC110 - virtual time
                await asyncio.sleep(0.1)
            yield CallerHungUp()

    office = Office(tmp_path, lambda: Mute())
    assert run(office, office.call()).result == "answered"


def test_hello_is_no_question_and_what_is_said_to_the_greeting_is(tmp_path):
    question = "what documents do i need to register a used car"
    callee = Callee(HELLO, (LISTEN, 800), ("speaking", CallerHungUp()))
    office = Office(tmp_path, lambda: callee, heard=(question,))
    run(office, office.call())
    assert [text for text in callee.said("caller") if text] == [question]


def test_the_call_is_marked_as_outgoing_and_learned_from(tmp_path):
    callee = Callee(HELLO, (LISTEN, CallerHungUp()))
    office = Office(tmp_path, lambda: callee)
    status = run(office, office.call())
    (kept,) = office.kept()
    assert kept.direction == "outgoing"
    assert kept.subject == office.services.router.subject(NUMBER)
    (attempt,) = office.attempts(status)
    assert attempt.call_ref == kept.call_ref
    assert (attempt.decision, attempt.result) == ("dial", "answered")
    assert len(office.taught) == 1
    started = next(r for r in office.services.log_sink.records if r.kind == "call.started")
    assert started.data["direction"] == "outgoing"
    assert started.data["purpose"] == "callback"


def test_a_callee_who_hangs_up_before_the_greeting_teaches_nothing(tmp_path):
    class Gone(Callee):
        async def events(self):
            yield CallerAudio(VOICE)
            yield CallerDigit("1")
            yield CallerHungUp()

    callee = Gone()
    office = Office(tmp_path, lambda: callee)
    status = run(office, office.call())
    assert status.result == "hung_up"
    assert office.taught == []
    assert office.kept() == []
    assert callee.closed is not None


# --- a machine picks up


def test_a_machine_is_hung_up_on_and_heard_nothing(tmp_path):
    callee = Callee(MACHINE)
    office = Office(tmp_path, lambda: callee)
    status = run(office, office.call())
    assert status.result == "machine"
    assert callee.frames == []
    assert callee.closed is not None
    assert office.taught == []


def test_a_machine_is_left_one_message_after_its_beep(tmp_path):
    callee = Callee(MACHINE)
    office = Office(tmp_path, lambda: callee, machines="message")
    status = run(office, office.call())
    assert status.result == "message_left"
    beep_ends_ms = 1000 + sum(ms for _, ms in MACHINE)
    assert beep_ends_ms - 60 < callee.frames[0] < beep_ends_ms + 300
    assert len(callee.frames) > 100
    assert callee.closed is not None
    assert office.counted("message_left") == 1.0


def test_a_machine_that_never_beeps_is_told_once_it_is_silent(tmp_path):
    callee = Callee([("voice", 5000)])
    office = Office(tmp_path, lambda: callee, machines="message")
    assert run(office, office.call()).result == "message_left"
    assert 1000 + 5000 + 2400 < callee.frames[0] < 1000 + 5000 + 3000


def test_a_beep_behind_a_short_greeting_tells_the_machine_after_all(tmp_path):
    callee = Callee([("voice", 800), ("quiet", 1800), ("beep", 400)])
    office = Office(tmp_path, lambda: callee, machines="message")
    status = run(office, office.call())
    assert status.result == "message_left"
    assert callee.closed is not None


def test_a_machine_may_be_spoken_to_like_a_person(tmp_path):
    callee = Callee(MACHINE, (LISTEN, CallerHungUp()))
    office = Office(tmp_path, lambda: callee, machines="ignore")
    assert run(office, office.call()).result == "answered"


def test_a_machine_that_hangs_up_within_the_message_was_left_none(tmp_path):
    callee = Callee(MACHINE, (lambda door: len(door.frames) > 20, CallerHungUp()))
    office = Office(tmp_path, lambda: callee, machines="message")
    assert run(office, office.call()).result == "machine"


# --- nobody picks up


@pytest.mark.parametrize("why", ["busy", "no_answer", "declined", "unreachable", "failed"])
def test_a_call_that_is_not_answered_says_why(tmp_path, why):
    office = Office(tmp_path, why)
    status = run(office, office.call())
    assert status.result == why
    assert office.attempts(status)[0].result == why
    assert office.counted(why) == 1.0
    assert office.board.live_calls == 0


def test_who_is_busy_is_tried_again_after_a_while_and_then_longer(tmp_path):
    office = Office(
        tmp_path,
        "busy",
        "no_answer",
        lambda: Callee(HELLO, (LISTEN, CallerHungUp())),
        rules=Rules(retries=2, retry_s=600),
    )

    async def scenario():
        began = loop_ms()
        status = await office.call()
        return status, loop_ms() - began

    status, took_ms = run(office, scenario())
    assert (status.result, status.attempt) == ("answered", 3)
    assert took_ms >= (600 + 1200) * 1000
    assert [a.result for a in office.attempts(status)] == ["busy", "no_answer", "answered"]


def test_no_further_attempt_is_made_once_consent_is_revoked(tmp_path):
    office = Office(tmp_path, "busy", "busy", rules=Rules(retries=2, retry_s=600))

    async def scenario():
        status = await office.calls.place(REQUEST)
        await asyncio.sleep(60)
        assert status.state == "waiting"
        assert status.not_before is not None
        office.record(ConsentAction.REVOKED)
        await office.ended(status)
        return status

    status = run(office, scenario())
    assert office.dialer.dialled == [NUMBER]
    assert [a.decision for a in office.attempts(status)] == ["dial", "no_consent"]
    assert status.result == "busy"


def test_the_attempts_of_a_day_are_counted_over_all_calls_of_a_number(tmp_path):
    office = Office(tmp_path, "busy", "busy", rules=Rules(retries=0, max_per_day=2))

    async def scenario():
        await office.call()
        await office.call()
        with pytest.raises(Refused) as refused:
            await office.call()
        return refused.value

    refused = run(office, scenario())
    assert refused.code == "too_many_attempts"
    assert refused.not_before == datetime(2026, 3, 11, 8, 0, tzinfo=UTC)
    assert "2026-03-11 08:00 UTC" in refused.hint


# --- what is refused


def test_who_did_not_agree_is_not_dialled_and_the_refusal_is_noted(tmp_path):
    office = Office(tmp_path, agrees=False)

    async def scenario():
        with pytest.raises(Refused) as refused:
            await office.calls.place(REQUEST)
        return refused.value

    assert run(office, scenario()).code == "no_consent"
    assert office.dialer.dialled == []
    assert office.counted("no_consent") == 1.0


def test_a_block_wins_over_a_consent(tmp_path):
    office = Office(tmp_path)
    office.record(ConsentAction.BLOCKED)

    async def scenario():
        with pytest.raises(Refused) as refused:
            await office.calls.place(REQUEST)
        return refused.value

    assert run(office, scenario()).code == "do_not_call"


def test_when_the_store_cannot_be_read_nobody_is_called(tmp_path):
    office = Office(tmp_path)
    office.db.fails = True

    async def scenario():
        with pytest.raises(StoreError):
            await office.calls.place(REQUEST)

    run(office, scenario())
    assert office.dialer.dialled == []


def test_two_requests_at_once_for_one_number_make_one_call(tmp_path):
    office = Office(tmp_path, "busy", "busy")

    async def scenario():
        both = (office.calls.place(REQUEST), office.calls.place(REQUEST))
        first, second = await asyncio.gather(*both, return_exceptions=True)
        await office.ended(first)
        return second

    assert run(office, scenario()).code == "already_calling"
    assert office.dialer.dialled == [NUMBER]


def test_a_call_that_rings_takes_one_of_the_lines(tmp_path):
    office = Office(tmp_path)

    async def scenario():
        await office.calls.place(REQUEST)
        await asyncio.sleep(0.5)
        assert office.board.live_calls == 1

    run(office, scenario())
    assert office.board.live_calls == 0


# --- one key, one call


def test_a_key_makes_one_call_however_often_it_comes(tmp_path):
    office = Office(tmp_path, "busy", "busy")

    async def scenario():
        first = await office.call(key="order 7")
        again = await office.calls.place(REQUEST, "order 7")
        return first, again

    first, again = run(office, scenario())
    assert first.call == again.call
    assert office.dialer.dialled == [NUMBER]


def test_a_key_is_remembered_over_a_restart(tmp_path):
    before = Office(tmp_path, "busy")
    first = run(before, before.call(key="order 7"))
    after = Office(tmp_path, "busy")
    again = run(after, after.calls.place(REQUEST, "order 7"))
    assert (again.call, again.state, again.result) == (first.call, "ended", "busy")
    assert after.dialer.dialled == []


def test_a_key_stays_with_its_number_over_a_restart(tmp_path):
    before = Office(tmp_path, "busy")
    run(before, before.call(key="order 7"))
    after = Office(tmp_path, "busy")

    async def scenario():
        with pytest.raises(TomError) as refused:
            await after.calls.place(replace(REQUEST, to="+4989999999"), "order 7")
        return refused.value

    assert run(after, scenario()).code == "key_reused"


def test_a_line_s_own_tone_does_not_hold_the_call_for_ever(tmp_path):
    office = Office(tmp_path, lambda: Callee([("quiet", 200), ("beep", 60_000)]))
    assert run(office, office.call()).result == "machine"


def test_a_key_of_a_refused_call_may_be_used_again(tmp_path):
    office = Office(tmp_path, "busy", agrees=False)

    async def scenario():
        with pytest.raises(Refused):
            await office.calls.place(REQUEST, "order 7")
        office.record(ConsentAction.GIVEN)
        return await office.call(key="order 7")

    assert run(office, scenario()).result == "busy"


def test_a_key_for_another_call_is_refused(tmp_path):
    office = Office(tmp_path, "busy")

    async def scenario():
        await office.call(key="order 7")
        with pytest.raises(TomError) as refused:
            await office.calls.place(replace(REQUEST, purpose="pickup"), "order 7")
        return refused.value

    assert run(office, scenario()).code == "key_reused"


# --- cancelling, going away


def test_a_call_that_rings_can_be_cancelled(tmp_path):
    office = Office(tmp_path)

    async def scenario():
        status = await office.calls.place(REQUEST)
        await asyncio.sleep(5)
        await office.calls.cancel(status.call)
        return status

    status = run(office, scenario())
    assert (status.state, status.result) == ("ended", "cancelled")
    assert office.dialer.cancelled == 1
    assert office.attempts(status)[0].result == "cancelled"


def test_a_call_that_is_held_says_goodbye_when_it_is_cancelled(tmp_path):
    callee = Callee(HELLO)
    office = Office(tmp_path, lambda: callee)

    async def scenario():
        status = await office.calls.place(REQUEST)
        while status.talk != LISTEN:  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(0.05)
        await office.calls.cancel(status.call)
        await office.ended(status)
        return status

    assert run(office, scenario()).reason == "closed"
    assert "Thank you" in callee.said("assistant")[-2]
    assert "calling" not in callee.said("assistant")[-2]


def test_a_call_that_nobody_made_is_not_known(tmp_path):
    office = Office(tmp_path)

    async def scenario():
        with pytest.raises(UnknownCall):
            await office.calls.status("out_0")
        with pytest.raises(UnknownCall):
            await office.calls.cancel("out_0")

    run(office, scenario())


def test_a_server_that_goes_away_stops_ringing_and_makes_no_new_calls(tmp_path):
    office = Office(tmp_path)

    async def scenario():
        status = await office.calls.place(REQUEST)
        await asyncio.sleep(5)
        office.board.drain()
        async with asyncio.timeout(1):
            await office.board.idle()
        with pytest.raises(Refused) as refused:
            await office.calls.place(replace(REQUEST, to="+4989999999"))
        return status, refused.value

    status, refused = run(office, scenario())
    assert status.result == "cancelled"
    assert office.dialer.cancelled == 1
    assert refused.code in ("draining", "no_consent")


def test_a_server_that_goes_away_lets_a_call_that_was_picked_up_finish(tmp_path):
    callee = Callee(HELLO, (LISTEN, CallerHungUp()))
    office = Office(tmp_path, lambda: callee)

    async def scenario():
        status = await office.calls.place(REQUEST)
        await asyncio.sleep(1.5)
        office.board.drain()
        await office.board.idle()
        await office.ended(status)
        return status

    assert run(office, scenario()).result == "answered"


def test_a_dialer_that_breaks_ends_its_call_alone(tmp_path, capsys):
    class Broken(FakeDialer):
        async def dial(self, target, **_):
            raise ZeroDivisionError

    office = Office(tmp_path)
    office.calls._dialers = {"fake": Broken()}
    status = run(office, office.call())
    assert status.result == "failed"
    assert office.board.live_calls == 0


def test_the_fake_dialer_says_what_it_was_told():
    async def scenario():
        with pytest.raises(DialFailed) as failed:
            await FakeDialer(["declined"]).dial(NUMBER, caller_id="", timeout_s=9)
        return failed.value.code

    assert run_virtual(scenario()) == "declined"


# --- who does not want to be called again


def test_who_asks_not_to_be_called_again_is_let_go_and_never_called_again(tmp_path):
    callee = Callee(HELLO, (LISTEN, 800))
    office = Office(tmp_path, lambda: callee, heard=("please do not call me again",))

    async def scenario():
        status = await office.call()
        with pytest.raises(Refused) as refused:
            await office.calls.place(REQUEST)
        return status, refused.value

    status, refused = run(office, scenario())
    assert (status.result, status.reason) == ("opted_out", "opted_out")
    assert callee.said("assistant")[-3] == "All right, we will not call you again."
    assert refused.code == "do_not_call"
    with office.db.database.reading() as conn:
        rows = records_of(conn, office.services.router.subject(NUMBER))
    assert [(row.action, row.source) for row in rows][-1] == ("blocked", "said so in a call")


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("de", "Rufen Sie mich bitte nicht mehr an!"),
        ("de", "Ich möchte, dass Sie mich nie wieder anrufen."),
        ("de", "Bitte hier nicht mehr anrufen"),
        ("de", "streichen sie meine nummer"),
        ("de", "ich will keine weiteren anrufe von ihnen"),
        ("en", "Don’t call me again."),
        ("en", "please stop calling this number"),
        ("en", "take me off your list"),
        ("en", "remove my number from your records"),
        ("en", "no more calls please"),
    ],
)
def test_wishes_not_to_be_called_are_understood(language, text):
    assert opts_out(text, language)


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("de", "Kann ich Sie auch anrufen?"),
        ("de", "rufen sie mich bitte morgen wieder an"),
        ("de", "ich kann heute nicht mehr kommen"),
        ("de", "ich konnte sie nicht anrufen"),
        ("en", "can I call you again"),
        ("en", "please call me again tomorrow"),
        ("en", "did you call me"),
        ("en", "i never called you"),
        ("en", "how do I take my number plates off the car"),
    ],
)
def test_other_words_about_calls_are_not(language, text):
    assert not opts_out(text, language)
