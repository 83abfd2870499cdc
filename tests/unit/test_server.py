"""The web server: health, readiness, metrics, the page, and one WebSocket that cannot harm it."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import ClassVar

import httpx
import pytest
import structlog
from fastapi import WebSocket
from starlette.requests import HTTPConnection
from starlette.websockets import WebSocketDisconnect, WebSocketState

from apps.core.addresses import is_loopback
from apps.core.errors import AtCapacity, ProtocolError
from apps.dispatcher.routes import calls, tokens
from apps.dispatcher.routes.reception import Reception, is_local
from apps.dispatcher.routes.socket import SEND_TIMEOUT_S, StarletteSocket
from apps.dispatcher.server import MAX_BODY_BYTES, EngineStatus, create_app
from apps.dispatcher.trust import AddressLimits, Grant, TokenSigner
from apps.monitor.metrics import Metrics
from tests.virtual_time import run_virtual

TOKEN = "t" * 32
NOW_S = 1_800_000_000


@dataclass
class Board:
    """A switchboard that does what it is told with a call."""

    ready: bool = True
    live_calls: int = 3
    max_calls: int = 8
    error: Exception | None = None
    draining: bool = False
    no_room: AtCapacity | None = None
    taken: list = field(default_factory=list)
    refusals: list = field(default_factory=list)
    calls_by_door: ClassVar = {"websocket": 3}

    def admit(self, door):
        if self.no_room is not None:
            raise self.no_room

    def refused(self, door, error):
        self.refusals.append((door, error.code))

    def check(self, profile, language):
        if profile not in ("", "kfz") or language not in ("", "de", "en"):
            raise ProtocolError("There is no such profile.", code="unknown_profile")

    async def take(self, door):
        self.taken.append(door)
        if self.error is not None:
            raise self.error
        await door.close("completed")


UP = EngineStatus("espeak", "Embedded.", required=True, up=True)
DOWN = EngineStatus("pocketsphinx", "Embedded.", required=True, up=False)
NONE = EngineStatus(None, "tom models pull small", required=False, up=False)


def web(board=None, engines=None, *, metrics_enabled=True, **trust):
    reception = Reception(board or Board(), TOKEN, now_s=lambda: NOW_S, **trust)
    return create_app(
        reception,
        routers=[calls.router(reception), tokens.router(reception)],
        metrics=Metrics(),
        metrics_enabled=metrics_enabled,
        engines=lambda: engines or {"tts.en": UP, "stt.de": NONE},
    )


def ask(app, method, path, *, at="127.0.0.1", host="localhost:8080", **request):
    """Ask the server from an address, by a name of the server."""

    async def scenario():
        transport = httpx.ASGITransport(app, client=(at, 1234))
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as client:
            return await client.request(method, path, **request)

    return asyncio.run(scenario())


def get(app, path, **request):
    return ask(app, "GET", path, **request)


BEARER = {"Authorization": f"Bearer {TOKEN}"}


def test_it_is_alive():
    assert get(web(), "/healthz").json() == {"status": "alive"}


def test_it_is_ready_and_says_which_engine_serves_each_role_and_why():
    answer = get(web(), "/readyz")
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ready",
        "live_calls": 3,
        "max_calls": 8,
        "doors": {"websocket": 3},
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


def test_a_server_that_is_going_away_says_so():
    answer = get(web(Board(ready=False, draining=True)), "/readyz")
    assert (answer.status_code, answer.json()["status"]) == (503, "draining")


ELSEWHERE = [
    {"at": "10.0.0.7"},
    {"at": "10.0.0.7", "headers": {"Authorization": "Bearer wrong"}},
    {"at": "10.0.0.7", "headers": {"Authorization": b"Bearer \xfc"}},
    {"at": "10.0.0.7", "headers": {"Authorization": f"Basic {TOKEN}"}},
    {"host": "rebound.example:8080"},
    {"headers": {"Origin": "https://elsewhere.example"}},
    {"headers": {"X-Forwarded-For": "127.0.0.1"}},
    {"headers": {"Forwarded": "for=127.0.0.1"}},
]


@pytest.mark.parametrize("where", ELSEWHERE)
def test_from_elsewhere_operators_things_take_the_token(where):
    app = web()
    assert get(app, "/healthz", **where).status_code == 200
    assert get(app, "/readyz", **where).json() == {"status": "ready"}
    refused = get(app, "/metrics", **where)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "forbidden")
    assert ask(app, "POST", "/v1/token", **where).status_code == 403
    with_token = {**where, "headers": {**where.get("headers", {}), **BEARER}}
    assert "tom_live_calls" in get(app, "/metrics", **with_token).text
    assert "engines" in get(app, "/readyz", **with_token).json()
    assert ask(app, "POST", "/v1/token", **with_token).status_code == 201


def test_behind_a_proxy_that_hides_itself_nobody_is_taken_for_this_machine():
    board = Board()
    app = web(board, trust_loopback=False, require_token=True)
    assert get(app, "/metrics").status_code == 403
    assert get(app, "/metrics", headers=BEARER).status_code == 200
    call(board, START, app=app)
    assert not board.taken


@pytest.mark.parametrize("header", ["X-Forwarded-Proto", "X-Forwarded-Host", "Via", "Forwarded"])
def test_what_a_proxy_on_this_machine_brings_is_not_this_machine_s(header):
    assert get(web(), "/metrics").status_code == 200
    assert get(web(), "/metrics", headers={header: "https"}).status_code == 403


def test_what_a_proxy_brings_that_says_nothing_is_known_by_its_old_http():
    def peer(version):
        scope = {"type": "http", "client": ("127.0.0.1", 1), "headers": [(b"host", b"127.0.0.1")]}
        return HTTPConnection(scope | {"http_version": version})

    assert is_local(peer("1.1"))
    assert is_local(peer("2"))
    assert not is_local(peer("1.0"))


def test_a_proxy_that_is_not_known_is_told_of():
    board = Board()
    with structlog.testing.capture_logs() as logs:
        call(board, START, headers=[("x-forwarded-for", "192.0.2.1")])
    assert [line["event"] for line in logs] == ["proxy_not_trusted"]


def test_a_body_that_is_too_long_is_refused_before_it_is_read():
    async def endless():
        while True:
            yield bytes(MAX_BODY_BYTES // 4)

    for content in (bytes(MAX_BODY_BYTES + 1), endless()):
        answer = ask(web(), "POST", "/v1/token", content=content)
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_long")
    assert ask(web(), "POST", "/v1/token", content=b"").status_code == 201


def test_pages_of_allowed_sites_alone_may_read_what_is_answered():
    app = web(allowed_origins=frozenset({"https://ours.example"}))
    for origin, allowed in (("https://ours.example", True), ("https://theirs.example", False)):
        answer = get(app, "/healthz", headers={"Origin": origin})
        assert (answer.headers.get("Access-Control-Allow-Origin") == origin) is allowed


def test_a_browser_is_told_what_pages_of_allowed_sites_may_ask():
    app = web(allowed_origins=frozenset({"https://ours.example"}))
    for origin, status in (("https://ours.example", 200), ("https://theirs.example", 400)):
        asking = {"Origin": origin, "Access-Control-Request-Method": "PATCH"}
        answer = ask(app, "OPTIONS", "/whip/a-call", headers=asking)
        assert answer.status_code == status
        assert {"POST", "PATCH", "DELETE"} <= set(
            answer.headers["access-control-allow-methods"].split(", ")
        )


def test_metrics_are_served_unless_switched_off():
    assert "tom_live_calls" in get(web(), "/metrics").text
    off = get(web(metrics_enabled=False), "/metrics")
    assert (off.status_code, "PROMETHEUS_ENABLED" in off.text) == (404, True)


def test_the_page_may_load_nothing_from_elsewhere():
    answer = get(web(), "/")
    assert "<html" in answer.text
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    assert "connect-src 'self'" in answer.headers["Content-Security-Policy"]
    assert "microphone=(self)" in answer.headers["Permissions-Policy"]
    assert get(web(), "/page/call.js").status_code == 200
    assert get(web(), "/page/../server.py").status_code == 404


@pytest.mark.parametrize(
    ("host", "own"),
    [("127.0.0.1", True), ("::1", True), ("10.0.0.1", False), ("testclient", False), (None, False)],
)
def test_only_this_machine_s_own_addresses_are_loopback(host, own):
    assert is_loopback(host) is own


# --- the WebSocket


def call(board, *messages, host="127.0.0.1", gone=False, headers=(), app=None):
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
    asyncio.run((app or web(board))(scope, receive, send))
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


def test_a_page_of_an_allowed_origin_can_call():
    board = Board()
    app = web(board, allowed_origins=frozenset({"https://ours.example"}))
    call(board, START, headers=page_at("https://ours.example", "tom.example"), app=app)
    assert len(board.taken) == 1


# --- tokens, and how often one address may call


def start(**fields):
    return json.dumps({"type": "start", **fields})


def token_of(seconds=60, **granted):
    return TokenSigner(TOKEN).sign(Grant(NOW_S + seconds, **granted))


@pytest.mark.parametrize(
    ("host", "message", "taken"),
    [
        ("127.0.0.1", start(), True),
        ("10.0.0.1", start(), False),
        ("10.0.0.1", start(token=TOKEN), True),
        ("10.0.0.1", start(token=token_of()), True),
        ("10.0.0.1", start(token=token_of(seconds=0)), False),
        ("10.0.0.1", start(token=token_of()[:-1] + "!"), False),
        ("10.0.0.1", start(token=token_of(profile="kfz"), profile="kfz"), True),
        ("10.0.0.1", start(token=token_of(profile="kfz"), profile="other"), False),
        ("10.0.0.1", start(token=token_of(language="de"), language="en"), False),
    ],
)
def test_where_tokens_are_required_other_machines_need_one(host, message, taken):
    board = Board()
    sent = call(board, message, host=host, app=web(board, require_token=True))
    assert bool(board.taken) is taken
    if not taken:
        assert sent[-1]["code"] == 4403


def test_a_token_fixes_the_profile_and_the_language_of_its_call():
    board = Board()
    call(board, start(token=token_of(profile="kfz", language="de")), host="10.0.0.1")
    request = board.taken[0].request
    assert (request.profile, request.language) == ("kfz", "de")


@pytest.mark.parametrize("observe", [True, False])
def test_a_signed_link_shows_the_variant_only_where_it_was_signed_for_that(observe):
    board = Board()
    call(board, start(observe=True, token=token_of(observe=observe)), host="10.0.0.1")
    assert bool(board.taken) is observe


def test_a_call_token_opens_no_operator_s_door():
    bearer = {"Authorization": f"Bearer {token_of(observe=True)}"}
    assert get(web(), "/metrics", at="10.0.0.1", headers=bearer).status_code == 403
    assert ask(web(), "POST", "/v1/token", at="10.0.0.1", headers=bearer).status_code == 403


def test_an_operator_makes_tokens_that_callers_use():
    wanted = {"profile": "kfz", "language": "de", "seconds": 120}
    made = ask(web(), "POST", "/v1/token", at="10.0.0.1", headers=BEARER, json=wanted)
    assert made.status_code == 201
    assert made.headers["Cache-Control"] == "no-store"
    assert made.json()["expires_s"] == NOW_S + 120
    grant = TokenSigner(TOKEN).read(made.json()["token"], NOW_S)
    assert grant == Grant(NOW_S + 120, "kfz", "de")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"profile": "nobody"}, 404),
        ({"language": "fr"}, 404),
        ({"seconds": 1}, 400),
        ({"seconds": "60"}, 400),
        ({"operator": True}, 400),
        ([], 400),
    ],
)
def test_a_token_that_makes_no_sense_is_not_made(body, status):
    answer = ask(web(), "POST", "/v1/token", json=body)
    assert answer.status_code == status
    assert answer.json()["error"]["code"] in ("unknown_profile", "bad_message")


def test_one_address_may_not_call_too_often_and_others_do_not_suffer():
    board = Board()
    app = web(board, limits=AddressLimits(calls_per_minute=2))
    codes = [call(board, START, host="10.0.0.1", app=app)[-1]["code"] for _ in range(3)]
    assert codes == [1000, 1000, 1013]
    assert board.refusals == [("websocket", "too_many_calls")]
    assert call(board, START, host="10.0.0.2", app=app)[-1]["code"] == 1000
    assert call(board, START, app=app)[-1]["code"] == 1000  # this machine is not limited


async def test_a_door_asks_for_room_before_it_answers_and_keeps_the_address_s_place():
    reception = Reception(Board(), TOKEN, limits=AddressLimits(calls_at_once=1))
    peer = HTTPConnection({"type": "http", "headers": [], "client": ("10.0.0.1", 1)})
    with reception.line("webrtc", peer), pytest.raises(AtCapacity) as caught:
        reception.admit("webrtc", peer)
    assert caught.value.code == "too_many_calls"
    reception.admit("webrtc", peer)
    full = Reception(Board(no_room=AtCapacity("All lines are busy.")), TOKEN)
    with pytest.raises(AtCapacity):
        full.line("webrtc", peer)


@pytest.mark.parametrize(
    ("error", "status", "again"),
    [
        (AtCapacity("Busy.", retry_after_s=7), 503, "7"),
        (AtCapacity("Too often.", code="too_many_calls", retry_after_s=9), 429, "9"),
        (ProtocolError("No.", code="forbidden"), 403, None),
        (ProtocolError("No."), 400, None),
    ],
)
def test_a_door_of_http_says_no_with_a_status_and_when_to_try_again(error, status, again):
    answer = Reception(Board(), TOKEN).refusal(error)
    assert (answer.status_code, answer.headers.get("Retry-After")) == (status, again)
    assert json.loads(answer.body)["error"]["code"] == error.code


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
