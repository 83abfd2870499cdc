"""The same call through every carrier's door: the same path, the same answers, the same end."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote
from uuid import UUID, uuid4
from xml.etree import ElementTree

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from apps.core.resources import resource
from apps.voice.audiofile import read_audio
from apps.voice.resample import resample
from benchmarks.ports import free_port
from tests.e2e.carriers import (
    PUBLIC_URL,
    AudioSocketPeer,
    Peer,
    Secrets,
    TelnyxPeer,
    TwilioPeer,
    call_asterisk,
    call_audiosocket,
    call_natively,
    call_telnyx,
    call_twilio,
    call_vonage,
    handed_over,
    ring_twilio,
)
from tests.e2e.desk import PERSON, Left, all_written, lay_out, left_by
from tests.e2e.servers import Running, running, wait_until

pytestmark = pytest.mark.slow

DOORS = ("twilio", "telnyx", "vonage", "asterisk", "audiosocket")


def _unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Api(ThreadingHTTPServer):
    """The carriers' REST APIs: accepts everything, and keeps what came."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        super().__init__(("127.0.0.1", 0), _ApiHandler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _ApiHandler(BaseHTTPRequestHandler):
    def _take(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        assert isinstance(self.server, Api)
        self.server.requests.append((self.command, self.path, headers, body))
        self.send_response(200)
        self.end_headers()

    do_POST = do_PUT = _take  # noqa: N815 - http.server's names

    def log_message(self, *_: Any) -> None:
        pass


@dataclass
class Exchange:
    """A server with every carrier's door, its secrets, and the carriers' APIs."""

    server: Running
    secrets: Secrets
    api: Api
    audiosocket_port: int
    vonage_key: rsa.RSAPublicKey


@dataclass
class Held:
    """What a call left behind, with whom it was, and what the exchange was told afterwards."""

    left: Left
    peer: Peer
    word: str = ""


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory, model_cache: Path) -> Iterator[Exchange]:
    folder = tmp_path_factory.mktemp("carriers")
    own = lay_out(folder / "own")
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    (own / "vonage.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    api, secrets, port = Api(), Secrets(), free_port()
    threading.Thread(target=api.serve_forever, daemon=True).start()
    settings = {
        "TOM_STT_ENGINE": "fake",
        "TOM_TTS_ENGINE": "fake",
        "RL_ENABLED": "false",
        "TOM_NO_INPUT_S": "60",
        "TOM_PROFILE_DIR": str(own),
        "TOM_PROFILE": "desk",
        "TOM_PUBLIC_URL": PUBLIC_URL,
        "TOM_TWILIO_AUTH_TOKEN": secrets.twilio,
        "TOM_TWILIO_ACCOUNT_SID": "AC1",
        "TOM_TWILIO_API_URL": api.url,
        "TOM_TELNYX_PUBLIC_KEY": secrets.telnyx_public,
        "TOM_TELNYX_API_KEY": "telnyx-key",
        "TOM_TELNYX_API_URL": api.url,
        "TOM_VONAGE_SIGNATURE_SECRET": secrets.vonage,
        "TOM_VONAGE_APPLICATION_ID": "app-1",
        "TOM_VONAGE_PRIVATE_KEY": str(own / "vonage.pem"),
        "TOM_VONAGE_API_URL": api.url,
        "TOM_ASTERISK_PASSWORD": secrets.asterisk,
        "TOM_AUDIOSOCKET_PORT": str(port),
    }
    with running(folder, model_cache, **settings) as server:
        yield Exchange(server, secrets, api, port, key.public_key())
        wait_until(lambda: server.ready()["live_calls"] == 0)
        assert server.complaints() == []
    api.shutdown()
    api.server_close()


def _dialled(exchange: Exchange, door: str, call: UUID) -> AbstractAsyncContextManager[Peer]:
    server, secrets = exchange.server.url, exchange.secrets
    match door:
        case "twilio":
            return call_twilio(server, secrets)
        case "telnyx":
            return call_telnyx(server, secrets)
        case "vonage":
            return call_vonage(server, secrets)
        case "asterisk":
            return call_asterisk(server, secrets, call)
        case "audiosocket":
            return call_audiosocket(server, secrets, call, exchange.audiosocket_port)
        case _:
            return call_natively(server)


async def _hold(exchange: Exchange, door: str, call: UUID) -> Peer:
    """Hear the greeting, ask aloud, break into two answers by keys, and ask for a person."""
    spoken = read_audio(resource("demo", "slt", "question.flac"))
    question = resample(spoken[: 2 * 16_000], 16_000, 8000)
    async with _dialled(exchange, door, call) as peer:
        await peer.until_heard()
        peer.say(question)
        for key in "110":
            await peer.until_hearing()
            await peer.press(key)
        await peer.until_over()
    return peer


@pytest.fixture(scope="module")
def held(exchange: Exchange) -> dict[str, Held]:
    """The same call by every door, all at once, and what each left behind."""

    async def scenario() -> tuple[list[Peer], dict[str, str]]:
        names = {door: uuid4() for door in (*DOORS, "websocket")}
        peers = await asyncio.gather(*(_hold(exchange, d, c) for d, c in names.items()))
        server, secrets = exchange.server.url, exchange.secrets
        asked = ("asterisk", "audiosocket")
        words = {d: await handed_over(server, secrets, names[d]) for d in asked}
        again = await handed_over(server, secrets, names["asterisk"])
        assert again == "", "a hand-over is told once"
        return peers, words

    peers, words = asyncio.run(scenario())
    wait_until(lambda: exchange.server.ready()["live_calls"] == 0)
    wait_until(lambda: all_written(exchange.server, len(DOORS) + 1))
    by_door = dict(zip((*DOORS, "websocket"), peers, strict=True))
    left = {door: left_by(exchange.server, door)[0] for door in by_door}
    return {d: Held(left[d], peer, words.get(d, "")) for d, peer in by_door.items()}


@pytest.mark.parametrize("door", DOORS)
def test_the_same_call_goes_the_same_way_through_every_door(held, door) -> None:
    mine, native = held[door].left, held["websocket"].left
    assert mine.path == native.path
    assert mine.said == native.said
    assert mine.sources == native.sources
    assert any("#hours" in source for sources in mine.sources for source in sources)
    assert mine.reason == native.reason == "handover"
    # A browser can still rate after a hand-over; on a telephone nobody asks any more.
    assert (mine.feedback["offered"], native.feedback["offered"]) == (False, True)
    assert mine.feedback | {"offered": True} == native.feedback
    # Whether the mouth is held for a moment hangs on a few milliseconds of the caller's voice.
    passing = {"mouth.resume", "mouth.hold", "speculation.wasted", "dropped.late"}
    assert mine.kinds ^ native.kinds <= passing
    assert mine.subject == native.subject is not None, "the caller's number went with the call"


@pytest.mark.parametrize("door", DOORS)
def test_a_key_pressed_into_an_answer_makes_the_carrier_drop_the_rest(held, door) -> None:
    peer = held[door].peer
    assert peer.loud > 1000
    if isinstance(peer, AudioSocketPeer):  # what has not left yet is dropped on TOM's side
        return
    assert peer.clears >= 1
    assert peer.marks >= 1


def _requests(exchange: Exchange, part: str) -> list[tuple[str, str, dict[str, str], bytes]]:
    return [request for request in exchange.api.requests if part in request[1]]


def test_twilio_is_told_to_connect_the_caller_to_the_person(exchange: Exchange, held) -> None:
    ((method, path, headers, body),) = _requests(exchange, "2010-04-01")
    assert (method, path) == ("POST", f"/2010-04-01/Accounts/AC1/Calls/{TwilioPeer.call}.json")
    login = base64.b64encode(f"AC1:{exchange.secrets.twilio}".encode()).decode()
    assert headers["authorization"] == f"Basic {login}"
    (twiml,) = parse_qs(body.decode())["Twiml"]
    assert ElementTree.fromstring(twiml).findtext("Dial/Number") == PERSON


def test_telnyx_is_told_to_connect_the_caller_to_the_person(exchange: Exchange, held) -> None:
    ((method, path, headers, body),) = _requests(exchange, "/v2/texml/")
    assert method == "POST"
    assert unquote(path) == f"/v2/texml/Accounts/acc-1/Calls/{TelnyxPeer.call}"
    assert headers["authorization"] == "Bearer telnyx-key"
    (texml,) = parse_qs(body.decode())["Texml"]
    assert ElementTree.fromstring(texml).findtext("Dial/Number") == PERSON


def test_vonage_is_told_to_connect_the_caller_to_the_person(exchange: Exchange, held) -> None:
    ((method, path, headers, body),) = _requests(exchange, "/v1/calls/")
    assert (method, path) == ("PUT", "/v1/calls/aaaa-bbbb")
    head, claims, seal = headers["authorization"].removeprefix("Bearer ").split(".")
    exchange.vonage_key.verify(_unb64(seal), f"{head}.{claims}".encode(), PKCS1v15(), SHA256())
    told = json.loads(_unb64(claims))
    assert told["application_id"] == "app-1"
    assert told["exp"] > told["iat"]
    assert json.loads(body) == {
        "action": "transfer",
        "destination": {
            "type": "ncco",
            "ncco": [
                {
                    "action": "connect",
                    "from": "4930",
                    "endpoint": [{"type": "phone", "number": PERSON[1:]}],
                }
            ],
        },
    }


@pytest.mark.parametrize("door", ["asterisk", "audiosocket"])
def test_an_asterisk_s_dialplan_is_told_whom_to_dial(held, door) -> None:
    assert held[door].word == PERSON


# --- who is not let in


@pytest.mark.parametrize(
    ("path", "fields"),
    [("/twilio/voice", {"From": "+1"}), ("/telnyx/voice", {"From": "+1"}), ("/vonage/answer", {})],
)
def test_a_webhook_that_is_not_signed_is_refused(exchange: Exchange, path, fields) -> None:
    headers = {
        "x-twilio-signature": "AAAA",
        "telnyx-signature-ed25519": "AAAA",
        "telnyx-timestamp": "1",
        "authorization": "Bearer a.b.c",
    }
    for given in ({}, headers):
        answer = httpx.post(exchange.server.url + path, data=fields, headers=given)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")


@pytest.mark.parametrize("parameters", [{}, {"token": "a.b"}, {"caller": "+1", "token": ""}])
async def test_a_stream_without_its_call_s_ticket_is_refused(exchange, parameters) -> None:
    url = exchange.server.url.replace("http", "ws") + "/twilio"
    async with connect(url, compression=None) as socket:
        peer = TwilioPeer(socket)
        await peer.start(parameters)
        assert json.loads(await socket.recv())["code"] == "forbidden"
        await socket.wait_closed()
    assert socket.close_code == 4403


async def test_a_ticket_serves_its_own_call_once(exchange: Exchange) -> None:
    url = exchange.server.url.replace("http", "ws") + "/twilio"

    async def attempt(token: str, call: str) -> str:
        async with connect(url, compression=None) as socket:
            peer = TwilioPeer(socket)
            peer.call = call
            await peer.start({"token": token})
            first = json.loads(await socket.recv())
            return str(first.get("code", first.get("event", "")))

    tokens = []
    for _ in range(2):
        twiml = await ring_twilio(exchange.server.url, exchange.secrets)
        (parameter,) = twiml.iter("Parameter")
        tokens.append(parameter.attrib["value"])
    assert await attempt(tokens[0], "CA-another") == "forbidden"
    assert await attempt(tokens[0], TwilioPeer.call) == "forbidden", "it has been tried"
    assert await attempt(tokens[1], TwilioPeer.call) == "media"
    assert await attempt(tokens[1], TwilioPeer.call) == "forbidden"


async def test_an_asterisk_without_the_password_is_not_let_in(exchange: Exchange) -> None:
    url = exchange.server.url.replace("http", "ws") + "/asterisk"
    with pytest.raises(InvalidStatus) as refused:
        async with connect(url):
            pass
    assert refused.value.response.status_code == 403
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{exchange.server.url}/asterisk/calls/{uuid4()}/handover")
    assert answer.status_code == 403


async def test_an_audiosocket_call_that_nobody_announced_is_hung_up(exchange: Exchange) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", exchange.audiosocket_port)
    writer.write(b"\x01\x00\x10" + uuid4().bytes)
    assert await reader.read() == b"\xff\x00\x00\x00\x00\x00"
    writer.close()
