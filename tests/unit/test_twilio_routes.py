"""The webhooks of the carriers: whom they answer, with what, and what a busy line says."""

import json
from uuid import UUID
from xml.etree import ElementTree

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import FastAPI

from apps.core.errors import AtCapacity, TransferFailed
from apps.dispatcher.routes import asterisk, telnyx, twilio, vonage
from apps.dispatcher.routes.reception import Reception
from apps.voice.doors.asterisk.desk import Desk
from apps.voice.doors.carriers.handovers import TelnyxCalls, TwilioCalls, VonageCalls
from apps.voice.doors.carriers.tickets import Ticket, TicketOffice

CALL = "12345678-1234-5678-1234-567812345678"
TOKEN = "an operator's token"


class Board:
    """A switchboard that has room, or has none."""

    def __init__(self, *, busy=False):
        self.busy, self.asked = busy, []

    def admit(self, door):
        self.asked.append(door)
        if self.busy:
            raise AtCapacity("All lines are busy.")


def served(*, busy=False, guarded=False, public_url=""):
    reception = Reception(Board(busy=busy), TOKEN)
    key = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key()
    app = FastAPI()
    for routes in (
        twilio.router(reception, auth_token="secret" if guarded else "", public_url=public_url),
        telnyx.router(reception, public_key=key if guarded else None, public_url=public_url),
        vonage.router(
            reception, signature_secret="secret" if guarded else "", public_url=public_url
        ),
        asterisk.router(reception, Desk(), password="secret" if guarded else ""),
    ):
        app.include_router(routes)
    return app


async def ask(app, method, path, *, peer="127.0.0.1", **request):
    transport = httpx.ASGITransport(app, client=(peer, 5))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return await client.request(method, path, **request)


FORM = {"CallSid": "CA1", "AccountSid": "AC1", "From": "+4915112345", "To": "+4930"}
WEBHOOKS = ["/twilio/voice", "/telnyx/voice", "/vonage/answer", f"/asterisk/calls/{CALL}"]


async def test_twilio_is_told_to_connect_the_call_to_a_stream_with_its_ticket():
    answer = await ask(served(), "POST", "/twilio/voice?profile=kfz&language=de", data=FORM)
    assert answer.headers["content-type"] == "application/xml"
    response = ElementTree.fromstring(answer.text)
    assert [verb.tag for verb in response] == ["Connect", "Hangup"]
    assert response.find("Connect/Stream").attrib["url"] == "ws://localhost/twilio"
    (parameter,) = response.iter("Parameter")
    now_s = Reception(Board(), TOKEN).now_s()
    office = TicketOffice(TOKEN.encode(), "twilio")
    ticket = office.redeem(parameter.attrib["value"], now_s)
    assert ticket == Ticket("CA1", profile="kfz", language="de", caller="+4915112345")


@pytest.mark.parametrize("path", ["/twilio/voice", "/telnyx/voice"])
async def test_a_stream_s_address_is_the_public_one(path):
    app = served(public_url="https://tom.example/voice/")
    response = ElementTree.fromstring((await ask(app, "POST", path, data=FORM)).text)
    url = response.find("Connect/Stream").attrib["url"]
    assert url.split("?")[0] == f"wss://tom.example/voice/{path.split('/')[1]}"


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_vonage_is_told_to_connect_the_call_to_a_websocket(method):
    told = {"from": "4915112345", "to": "4930", "uuid": "u-1"}
    request = {"params": told} if method == "GET" else {"json": told}
    (action,) = (await ask(served(), method, "/vonage/answer", **request)).json()
    (endpoint,) = action["endpoint"]
    assert endpoint["uri"] == "ws://localhost/vonage"
    assert endpoint["content-type"] == "audio/l16;rate=16000"
    now_s = Reception(Board(), TOKEN).now_s()
    ticket = TicketOffice(TOKEN.encode(), "vonage").redeem(endpoint["headers"]["token"], now_s)
    assert (ticket.call, ticket.called, ticket.caller) == ("u-1", "4930", "+4915112345")


@pytest.mark.parametrize("path", ["/twilio/voice", "/telnyx/voice"])
async def test_a_call_is_rejected_as_busy_before_it_is_answered(path):
    answer = await ask(served(busy=True), "POST", path, data=FORM)
    (verb,) = ElementTree.fromstring(answer.text)
    assert (verb.tag, verb.attrib) == ("Reject", {"reason": "busy"})


async def test_who_cannot_be_rejected_is_told_that_the_lines_are_busy():
    app = served(busy=True)
    german = await ask(app, "POST", "/vonage/answer?language=de", json={})
    assert german.json()[0]["language"] == "de-DE"
    assert "belegt" in german.json()[0]["text"]
    assert (await ask(app, "POST", f"/asterisk/calls/{CALL}")).text == "busy"


@pytest.mark.parametrize("path", WEBHOOKS)
async def test_without_a_secret_only_this_machine_may_call(path):
    app = served()
    here = await ask(app, "POST", path, json={})
    there = await ask(app, "POST", path, peer="192.0.2.7", json={})
    forwarded = await ask(app, "POST", path, headers={"x-forwarded-for": "192.0.2.7"}, json={})
    assert [r.status_code for r in (here, there, forwarded)] == [200, 403, 403]


@pytest.mark.parametrize("path", WEBHOOKS)
async def test_with_a_secret_even_this_machine_must_know_it(path):
    assert (await ask(served(guarded=True), "POST", path, json={})).status_code == 403


@pytest.mark.parametrize("path", WEBHOOKS)
async def test_a_body_of_nonsense_does_no_harm(path):
    app = served()
    fields = b"&".join(b"a%d=1" % n for n in range(300))
    codes = [
        (await ask(app, "POST", path, content=body)).status_code
        for body in (fields, b"\xff\xfe", b"[1]")
    ]
    assert set(codes) <= {200, 400}


async def test_a_profile_s_name_that_cannot_be_is_refused():
    answer = await ask(served(), "POST", "/twilio/voice?language=xx", data=FORM)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_message")


@pytest.mark.parametrize(
    ("told", "caller"),
    [("4915112345", "+4915112345"), ("desk", "desk"), ("Anonymous", ""), ("", "")],
)
async def test_an_exchange_s_caller_is_a_number_or_a_name_of_its_own(told, caller):
    reception, desk = Reception(Board(), TOKEN), Desk()
    app = FastAPI()
    app.include_router(asterisk.router(reception, desk))
    form = {"caller": told, "door": "audiosocket"}
    await ask(app, "POST", f"/asterisk/calls/{CALL}", data=form)
    assert desk.claim(UUID(CALL), reception.now_s()).caller == caller
    assert reception.switchboard.asked == ["audiosocket"]


async def test_a_call_s_id_must_be_a_uuid():
    assert (await ask(served(), "POST", "/asterisk/calls/5")).status_code == 422


# --- the carriers' APIs


def carriers_api(monkeypatch, answer):
    """Let every request get this answer; returns what was asked."""
    asked = []

    def respond(request):
        asked.append(request)
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer)

    real = httpx.AsyncClient
    transport = httpx.MockTransport(respond)
    monkeypatch.setattr(httpx, "AsyncClient", lambda **given: real(transport=transport, **given))
    return asked


KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
APIS = [
    TwilioCalls("https://api.example", "AC1", "secret"),
    TelnyxCalls("https://api.example", "key"),
    VonageCalls("https://api.example", "app", KEY),
]


@pytest.mark.parametrize("api", APIS, ids=lambda api: type(api).__name__)
@pytest.mark.parametrize("answer", [404, 500, 302, httpx.ConnectError("no route")])
async def test_a_hand_over_that_the_carrier_does_not_do_has_failed(monkeypatch, api, answer):
    carriers_api(monkeypatch, answer)
    with pytest.raises(TransferFailed):
        await api.hand_over(Ticket("CA1", "AC1"), "+4930", "")


@pytest.mark.parametrize("api", APIS, ids=lambda api: type(api).__name__)
async def test_a_call_s_id_cannot_reach_another_resource(monkeypatch, api):
    asked = carriers_api(monkeypatch, 200)
    await api.hand_over(Ticket("../../Messages?x=", "../AC2"), "+4930", "")
    assert b"Messages?" not in asked[0].url.raw_path
    assert b"%2F..%2FMessages" in asked[0].url.raw_path


@pytest.mark.parametrize("api", APIS, ids=lambda api: type(api).__name__)
async def test_a_target_that_nobody_can_dial_is_not_tried(monkeypatch, api):
    asked = carriers_api(monkeypatch, 200)
    with pytest.raises(TransferFailed):
        await api.hand_over(Ticket("CA1"), "the counter", "")
    assert asked == []


def test_an_api_s_secrets_are_not_in_what_a_log_would_show():
    shown = json.dumps([repr(api) for api in APIS])
    assert "secret" not in shown
    assert "'key'" not in shown
