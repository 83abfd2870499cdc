"""/v1/calls: for operators alone, each refusal with its status, its code and when to ask again."""

import json
from contextlib import suppress
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from apps.core.errors import ProtocolError, StoreError, TomError, UnknownCall
from apps.dispatcher.outgoing.decide import REFUSALS, OutgoingRequest, Refuse
from apps.dispatcher.outgoing.status import CallStatus, Refused
from apps.dispatcher.routes.bodies import read_as
from apps.dispatcher.routes.outgoing import CallOrder, router
from apps.dispatcher.routes.reception import Reception

TOKEN = "the operator's own token"
ORDER = {"to": "+4989123456", "profile": "kfz", "language": "de", "purpose": "pickup"}
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
_PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
LATER = datetime(2026, 3, 11, 8, 0, tzinfo=UTC)


class Calls:
    """Stands for the outgoing calls."""

    def __init__(self, error=None):
        self.error, self.placed = error, []

    async def place(self, request, key=""):
        self.placed.append((request, key))
        return self._answer()

    async def status(self, call_id):
        return self._answer()

    async def cancel(self, call_id):
        return self._answer()

    def _answer(self):
        if self.error is not None:
            raise self.error
        return CallStatus("out_1", attempt=1)


def client(calls, **given):
    reception = Reception(SimpleNamespace(), TOKEN)
    app = FastAPI()
    app.include_router(router(reception, calls))
    return TestClient(app, client=("203.0.113.7", 4000), **given)


def test_an_operator_s_order_is_a_call():
    calls = Calls()
    headers = HEADERS | {"Idempotency-Key": "order 7"}
    answer = client(calls).post("/v1/calls", json=ORDER, headers=headers)
    assert answer.status_code == 202
    assert answer.headers["location"] == "/v1/calls/out_1"
    assert answer.json()["state"] == "dialling"
    wanted = OutgoingRequest("+4989123456", "kfz", "de", "pickup")
    assert calls.placed == [(wanted, "order 7")]


@pytest.mark.parametrize("method", ["post", "get", "delete"])
def test_nobody_else_makes_sees_or_ends_calls(method):
    calls = Calls()
    path = "/v1/calls" if method == "post" else "/v1/calls/out_1"
    for headers in ({}, {"Authorization": "Bearer guessed"}):
        answer = client(calls).request(method, path, headers=headers)
        assert answer.status_code == 403
        assert answer.json()["error"]["code"] == "forbidden"
    assert calls.placed == []


@pytest.mark.parametrize(
    "body",
    ["", "null", "[]", "{", '{"to": 7}', '{"profile": "kfz"}', '{"to": "+49", "evil": 1}'],
)
def test_an_order_that_is_none_is_refused(body):
    calls = Calls()
    answer = client(calls).post("/v1/calls", content=body, headers=HEADERS)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "bad_message"
    assert calls.placed == []


@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_nothing_but_a_clear_error_comes_of_bytes(body):
    with suppress(ProtocolError):
        assert isinstance(read_as(CallOrder, body), CallOrder)


@given(st.recursive(_PLAIN, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_nothing_but_a_clear_error_comes_of_json(value):
    with suppress(ProtocolError):
        assert isinstance(read_as(CallOrder, json.dumps(value).encode()), CallOrder)


def test_a_key_that_is_too_long_is_refused():
    headers = HEADERS | {"Idempotency-Key": "k" * 201}
    assert client(Calls()).post("/v1/calls", json=ORDER, headers=headers).status_code == 400


@pytest.mark.parametrize("code", REFUSALS)
def test_every_refusal_has_a_status_of_its_kind(code):
    calls = Calls(Refused(Refuse(code, "It may not be.")))
    answer = client(calls).post("/v1/calls", json=ORDER, headers=HEADERS)
    assert 403 <= answer.status_code <= 503
    assert answer.json()["error"]["code"] == code


def test_a_refusal_for_the_hour_says_when_to_ask_again():
    calls = Calls(Refused(Refuse("outside_hours", "Not now.", LATER)))
    answer = client(calls).post("/v1/calls", json=ORDER, headers=HEADERS)
    assert answer.status_code == 409
    assert answer.headers["retry-after"] == "Wed, 11 Mar 2026 08:00:00 GMT"


def test_a_server_without_room_says_so():
    answer = client(Calls(Refused(Refuse("busy", "Full.")))).post(
        "/v1/calls", json=ORDER, headers=HEADERS
    )
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UnknownCall("There is none."), 404),
        (StoreError("The disk is gone."), 503),
        (TomError("Another call's.", code="key_reused"), 409),
    ],
)
def test_other_errors_have_theirs(error, status):
    answer = client(Calls(error)).get("/v1/calls/out_1", headers=HEADERS)
    assert answer.status_code == status


def test_a_call_is_shown_and_ended():
    calls = client(Calls())
    assert calls.get("/v1/calls/out_1", headers=HEADERS).json()["call"] == "out_1"
    assert calls.delete("/v1/calls/out_1", headers=HEADERS).status_code == 202
