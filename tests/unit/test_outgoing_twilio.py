"""Dialling through Twilio's API, and the doors that come back by their tokens."""

import asyncio
import re
from urllib.parse import parse_qs

import httpx
import pytest

from apps.core.clock import loop_ms
from apps.core.errors import DialFailed, ProtocolError
from apps.dispatcher.outgoing.expected import Expected
from apps.dispatcher.outgoing.twilio import TwilioDialer
from tests.calls import ScriptedDoor
from tests.virtual_time import run_virtual

NUMBER, OWN = "+4989123456", "+4930999999"


class Twilio:
    """The API: creates a call, tells the given statuses in turn, and ends it."""

    def __init__(self, *statuses, answers=None):
        self.statuses, self.answers = list(statuses), answers
        self.expected, self.forms, self.paths = Expected(), [], []
        self.dialer = TwilioDialer(
            self.expected,
            base_url="https://api.example",
            account_sid="AC1",
            auth_token="secret",
            stream_url="wss://tom.example/twilio",
            transport=httpx.MockTransport(self),
        )

    def __call__(self, request):
        self.paths.append(f"{request.method} {request.url.path}")
        if request.method == "POST":
            form = parse_qs(request.content.decode())
            self.forms.append({name: values[0] for name, values in form.items()})
        if isinstance(self.answers, httpx.Response):
            return self.answers
        if isinstance(self.answers, Exception):
            raise self.answers
        status = self.statuses.pop(0) if request.method == "GET" and self.statuses else "ringing"
        return httpx.Response(200, json={"sid": "CA1", "status": status})

    @property
    def token(self):
        (token,) = re.findall(r'name="answers" value="([^"]+)"', self.forms[0]["Twiml"])
        return token

    @property
    def ended(self):
        return [form["Status"] for form in self.forms if "Status" in form]

    async def dial(self, timeout_s=30.0):
        return await self.dialer.dial(NUMBER, caller_id=OWN, timeout_s=timeout_s)

    async def fails(self, **given):
        with pytest.raises(DialFailed) as failed:
            await self.dial(**given)
        return failed.value.code


def test_a_callee_who_picks_up_is_the_door_that_comes_with_the_token():
    twilio, door = Twilio(), ScriptedDoor()

    async def scenario():
        async with asyncio.TaskGroup() as tasks:
            dialling = tasks.create_task(twilio.dial())
            await asyncio.sleep(3.5)
            holding = tasks.create_task(twilio.expected.hold(twilio.token, door))
            answered = await dialling
            assert not holding.done()
            await answered.close("completed")
            await holding
        return answered

    answered = run_virtual(scenario())
    assert door.closed == "completed"
    assert answered.name == door.name
    assert twilio.ended == []
    form = twilio.forms[0]
    assert (form["To"], form["From"], form["Timeout"]) == (NUMBER, OWN, "30")
    assert 'url="wss://tom.example/twilio"' in form["Twiml"]
    assert twilio.paths[0] == "POST /2010-04-01/Accounts/AC1/Calls.json"
    assert twilio.paths[1] == "GET /2010-04-01/Accounts/AC1/Calls/CA1.json"


@pytest.mark.parametrize(
    ("status", "code"),
    [("busy", "busy"), ("no-answer", "no_answer"), ("failed", "unreachable"), ("canceled", None)],
)
def test_a_call_that_is_not_answered_says_why(status, code):
    assert run_virtual(Twilio("queued", "ringing", status).fails()) == (code or "no_answer")


def test_a_call_that_rings_for_ever_is_hung_up():
    twilio = Twilio()

    async def scenario():
        code = await twilio.fails(timeout_s=20)
        return code, loop_ms()

    code, took_ms = run_virtual(scenario())
    assert code == "no_answer"
    assert 20_000 <= took_ms <= 26_000
    assert twilio.ended == ["completed"]


def test_a_call_that_is_cancelled_stops_ringing_and_expects_nobody_any_more():
    twilio = Twilio()

    async def scenario():
        dialling = asyncio.create_task(twilio.dial())
        await asyncio.sleep(3)
        dialling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await dialling
        with pytest.raises(ProtocolError) as refused:
            await twilio.expected.hold(twilio.token, ScriptedDoor())
        return refused.value.code

    assert run_virtual(scenario()) == "unknown_call"
    assert twilio.ended == ["completed"]


def test_who_picks_up_in_the_moment_of_cancelling_is_hung_up_on():
    twilio, door = Twilio(), ScriptedDoor()

    async def scenario():
        dialling = asyncio.create_task(twilio.dial())
        await asyncio.sleep(3.5)
        holding = asyncio.create_task(twilio.expected.hold(twilio.token, door))
        await asyncio.sleep(0)
        dialling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await dialling
        await holding

    run_virtual(scenario())
    assert door.closed == "cancelled"
    assert twilio.ended == ["completed"]


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (httpx.Response(400, json={"code": 21211}), "unreachable"),
        (httpx.Response(401, json={}), "failed"),
        (httpx.Response(500), "failed"),
        (httpx.Response(200, text="<html>"), "failed"),
        (httpx.Response(200, json=["CA1"]), "failed"),
        (httpx.Response(200, json={"sid": 7}), "failed"),
        (httpx.ConnectError("gone"), "failed"),
    ],
)
def test_an_api_that_refuses_or_talks_nonsense_fails_the_call(answer, code):
    assert run_virtual(Twilio(answers=answer).fails()) == code


def test_a_token_serves_once():
    twilio, door = Twilio(), ScriptedDoor()

    async def scenario():
        dialling = asyncio.create_task(twilio.dial())
        await asyncio.sleep(2.5)
        holding = asyncio.create_task(twilio.expected.hold(twilio.token, door))
        answered = await dialling
        with pytest.raises(ProtocolError):
            await twilio.expected.hold(twilio.token, ScriptedDoor())
        await answered.close("over")
        await holding

    run_virtual(scenario())


def test_a_guessed_token_is_nobody_s():
    async def scenario():
        with pytest.raises(ProtocolError) as refused:
            await Expected().hold("guessed", ScriptedDoor())
        return refused.value.code

    assert run_virtual(scenario()) == "unknown_call"
