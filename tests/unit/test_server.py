"""The web server: health, readiness, metrics, the page, and one WebSocket that cannot harm it."""

import asyncio
from dataclasses import dataclass, field

import httpx
import pytest
import structlog
from fastapi import WebSocket
from starlette.websockets import WebSocketDisconnect, WebSocketState

from apps.core.errors import AtCapacity
from apps.dispatcher.routes import calls
from apps.dispatcher.routes.reception import Reception, is_loopback
from apps.dispatcher.routes.socket import SEND_TIMEOUT_S, StarletteSocket
from apps.dispatcher.server import EngineStatus, create_app
from apps.monitor.metrics import Metrics
from tests.virtual_time import run_virtual

TOKEN = "t" * 32


@dataclass
class Board:
    """A switchboard that does what it is told with a call."""

    ready: bool = True
    live_calls: int = 3
    max_calls: int = 8
    error: Exception | None = None
    taken: list = field(default_factory=list)

    async def take(self, door):
        self.taken.append(door)
        if self.error is not None:
            raise self.error
        await door.close("completed")


UP = EngineStatus("espeak", "Embedded.", required=True, up=True)
DOWN = EngineStatus("pocketsphinx", "Embedded.", required=True, up=False)
NONE = EngineStatus(None, "tom models pull small", required=False, up=False)


def web(board=None, engines=None, *, metrics_enabled=True):
    reception = Reception(board or Board(), TOKEN)
    return create_app(
        reception,
        routers=[calls.router(reception)],
        metrics=Metrics(),
        metrics_enabled=metrics_enabled,
        engines=lambda: engines or {"tts.en": UP, "stt.de": NONE},
    )


def get(app, path):
    async def scenario():
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://tom") as client:
            return await client.get(path)

    return asyncio.run(scenario())


def test_it_is_alive():
    assert get(web(), "/healthz").json() == {"status": "alive"}


def test_it_is_ready_and_says_which_engine_serves_each_role_and_why():
    answer = get(web(), "/readyz")
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ready",
        "live_calls": 3,
        "max_calls": 8,
        "engines": {
            "tts.en": {"engine": "espeak", "up": True, "why": "Embedded."},
            "stt.de": {"engine": None, "up": False, "why": "tom models pull small"},
        },
    }


@pytest.mark.parametrize(
    "app", [web(engines={"tts.en": UP, "stt.en": DOWN}), web(Board(ready=False))]
)
def test_it_is_not_ready_while_an_engine_is_down_or_no_call_would_be_taken(app):
    answer = get(app, "/readyz")
    assert answer.status_code == 503
    assert answer.json()["status"] == "not ready"


def test_metrics_are_served_unless_switched_off():
    assert "tom_live_calls" in get(web(), "/metrics").text
    off = get(web(metrics_enabled=False), "/metrics")
    assert (off.status_code, "PROMETHEUS_ENABLED" in off.text) == (404, True)


def test_the_page_may_load_nothing_from_elsewhere():
    answer = get(web(), "/")
    assert "<html" in answer.text
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    assert get(web(), "/page/call.js").status_code == 200
    assert get(web(), "/page/../server.py").status_code == 404


@pytest.mark.parametrize(
    ("host", "own"),
    [("127.0.0.1", True), ("::1", True), ("10.0.0.1", False), ("testclient", False), (None, False)],
)
def test_only_this_machine_s_own_addresses_are_loopback(host, own):
    assert is_loopback(host) is own


# --- the WebSocket


def call(board, *messages, host="127.0.0.1", gone=False, headers=()):
    """Connect, send, and return what the server sent."""
    sent, waiting = [], [{"type": "websocket.connect"}]
    waiting += [{"type": "websocket.receive", "text": text} for text in messages]

    async def receive():
        if waiting:
            return waiting.pop(0)
        return {"type": "websocket.disconnect", "code": 1006}

    async def send(message):
        if gone and message["type"] != "websocket.accept":
            raise OSError("the peer has gone")
        sent.append(message)

    scope = {
        "type": "websocket",
        "path": "/v1/call",
        "raw_path": b"/v1/call",
        "root_path": "",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers],
        "client": (host, 1234),
        "subprotocols": [],
    }
    asyncio.run(web(board)(scope, receive, send))
    return sent[1:] if sent[0]["type"] == "websocket.accept" else sent


START = '{"type":"start"}'


def test_a_call_reaches_the_switchboard():
    board = Board()
    (closed,) = call(board, START)
    assert (closed["type"], closed["code"]) == ("websocket.close", 1000)
    assert board.taken[0].request.profile == ""


def test_what_is_refused_gets_a_code_and_a_close_code():
    error, closed = call(Board(error=AtCapacity("All lines are busy.")), START)
    assert '"busy"' in error["text"]
    assert closed["code"] == 1013


def test_a_defect_is_told_as_one_and_logged_without_words():
    with structlog.testing.capture_logs() as logs:
        error, closed = call(Board(error=ZeroDivisionError()), START)
    assert '"internal"' in error["text"]
    assert closed["code"] == 1011
    assert [line["event"] for line in logs] == ["call_crashed"]


@pytest.mark.parametrize(
    ("host", "token", "allowed"),
    [
        ("127.0.0.1", "", True),
        ("10.0.0.1", TOKEN, True),
        ("10.0.0.1", "wrong", False),
        ("10.0.0.1", "ü", False),
        ("10.0.0.1", "", False),
    ],
)
def test_observing_takes_the_own_machine_or_the_token(host, token, allowed):
    board = Board()
    sent = call(board, f'{{"type":"start","observe":true,"token":"{token}"}}', host=host)
    assert bool(board.taken) is allowed
    if allowed:
        assert board.taken[0].capabilities.observe
    else:
        assert sent[-1]["code"] == 4403


def page_at(origin, host):
    return [("origin", origin), ("host", host)]


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ((), True),
        (page_at("http://127.0.0.1:8080", "127.0.0.1:8080"), True),
        (page_at("http://localhost:8080", "localhost:8080"), True),
        (page_at("http://rebound.example:8080", "rebound.example:8080"), False),
    ],
)
def test_a_page_may_observe_only_under_this_machine_s_own_name(headers, allowed):
    board = Board()
    call(board, '{"type":"start","observe":true}', headers=headers)
    assert bool(board.taken) is allowed


@pytest.mark.parametrize("origin", ["https://elsewhere.example", "null", "http://127.0.0.1:9"])
def test_another_site_s_page_cannot_call(origin):
    board = Board()
    (refused,) = call(board, START, headers=page_at(origin, "127.0.0.1:8080"))
    assert refused["type"] == "websocket.close"
    assert board.taken == []


class DeafSocket:
    """A Starlette WebSocket whose peer never reads what it is sent."""

    application_state = client_state = WebSocketState.CONNECTED

    async def send_text(self, text):
        await asyncio.Event().wait()


def test_a_peer_that_never_reads_is_given_up():
    async def scenario():
        socket = StarletteSocket(DeafSocket())
        await socket.send_text("x")
        assert asyncio.get_running_loop().time() == SEND_TIMEOUT_S
        await socket.send_text("y")
        assert asyncio.get_running_loop().time() == SEND_TIMEOUT_S
        assert await socket.receive() is None

    with structlog.testing.capture_logs() as logs:
        run_virtual(scenario())
    assert [line["event"] for line in logs] == ["peer_does_not_read"]


def test_a_peer_that_has_gone_is_told_nothing_and_harms_nobody():
    assert call(Board(), gone=True) == []


class GoneSocket:
    """A Starlette WebSocket whose peer goes while something is sent to it."""

    application_state = client_state = WebSocketState.CONNECTED

    def __getattr__(self, name):
        async def fail(*_):
            raise WebSocketDisconnect(1006)

        return fail


def test_sending_to_a_peer_that_goes_meanwhile_does_nothing():
    async def scenario():
        socket = StarletteSocket(GoneSocket())
        await socket.send_text("x")
        await socket.send_bytes(b"x")
        await socket.close(1000, "done")

    asyncio.run(scenario())


def test_nothing_is_received_or_sent_once_the_connection_is_closed():
    async def scenario():
        async def never(*_):
            raise AssertionError

        websocket = WebSocket({"type": "websocket"}, never, never)
        socket = StarletteSocket(websocket)
        websocket.application_state = WebSocketState.DISCONNECTED
        assert await socket.receive() is None
        await socket.send_text("x")
        await socket.send_bytes(b"x")
        await socket.close(1000, "done")

    asyncio.run(scenario())
