"""Calls that a real server makes: through an exchange that speaks as Twilio does, and by SIP."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs
from xml.etree import ElementTree

import httpx
import numpy as np
import pytest
from websockets.asyncio.client import connect

from apps.core import secrets
from apps.core.audio import FRAME_BYTES, Framer, level_dbfs, samples_to_pcm
from apps.core.ids import keyed_hash
from apps.core.resources import resource
from apps.store.call_tables import outgoing_attempts
from apps.store.calls import list_calls
from apps.store.consents import ConsentAction, ConsentRow, record
from apps.voice.audiofile import read_audio
from apps.voice.doors.base import CallerAudio, CallerHungUp, Door
from apps.voice.doors.sip.listen import sip_listener
from apps.voice.doors.sip.options import SipOptions
from apps.voice.resample import resample
from apps.voice.rtp.options import RtpOptions
from benchmarks.ports import free_port
from tests.e2e.phone import from_mulaw, mulaw
from tests.e2e.servers import Running, running, wait_until

pytestmark = pytest.mark.slow

SID, STREAM = "CA0123456789abcdef0123456789abcdef", "MZ0123456789abcdef0123456789abcdef"
NUMBER, OWN = "+4989123456", "+4930999999"
RATE = 8000
QUIET = np.zeros(RATE, np.int16)
Sound = np.ndarray[Any, Any]


def hello() -> Sound:
    spoken = resample(read_audio(resource("demo", "slt", "question.flac")), 16_000, RATE)
    return np.concatenate([QUIET[: RATE // 4], spoken[: RATE * 8 // 10], QUIET])


def machine() -> Sound:
    spoken = resample(read_audio(resource("demo", "slt", "question.flac")), 16_000, RATE)
    tone = 6000 * np.sin(2 * np.pi * 1000 / RATE * np.arange(RATE // 2))
    talk = np.concatenate([spoken, QUIET[: RATE // 5]] * 2)
    return np.concatenate([QUIET[: RATE // 4], talk, tone.astype(np.int16), QUIET])


class Exchange:
    """Twilio's API, and the callee behind it: busy, ringing, or picking up and saying something."""

    def __init__(self, says: Sound | None = None, status: str = "ringing") -> None:
        self.server_url = ""
        self.expect(says, status)
        exchange = self

        class Api(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                form = {name: values[0] for name, values in parse_qs(body).items()}
                self.answer(exchange.create(form) if "Twiml" in form else exchange.end(form))

            def do_GET(self) -> None:
                self.answer({"sid": SID, "status": exchange.status})

            def answer(self, told: dict[str, str]) -> None:
                assert self.path.startswith("/2010-04-01/Accounts/AC1/Calls")
                assert self.headers["Authorization"].startswith("Basic ")
                encoded = json.dumps(told).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(encoded)))
                self.end_headers()
                self.wfile.write(encoded)

            def log_message(self, *_: Any) -> None:
                pass

        self.api = ThreadingHTTPServer(("127.0.0.1", 0), Api)

    def expect(self, says: Sound | None, status: str = "ringing", hang_up_after: int = 0) -> None:
        """Say what happens at the next call."""
        self.says, self.status, self.hang_up_after = says, status, hang_up_after
        self.form: dict[str, str] = {}
        self.ended: list[str] = []
        self.heard = bytearray()
        self.closed = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.api.server_address[1]}"

    def create(self, form: dict[str, str]) -> dict[str, str]:
        self.form = form
        if self.says is not None:
            threading.Thread(target=lambda: asyncio.run(self.pick_up()), daemon=True).start()
        return {"sid": SID, "status": "queued"}

    def end(self, form: dict[str, str]) -> dict[str, str]:
        self.ended.append(form["Status"])
        return {"sid": SID, "status": "completed"}

    async def pick_up(self) -> None:
        stream = ElementTree.fromstring(self.form["Twiml"]).find(".//Stream")
        assert stream is not None
        path = re.sub(r"^ws://[^/]+", "", stream.attrib["url"])
        given = {p.attrib["name"]: p.attrib["value"] for p in stream.iter("Parameter")}
        address = self.server_url.replace("http://", "ws://") + path
        async with connect(address, compression=None) as line:
            await line.send(json.dumps({"event": "connected"}))
            media = {"encoding": "audio/x-mulaw", "sampleRate": RATE, "channels": 1}
            start = {"streamSid": STREAM, "callSid": SID, "mediaFormat": media}
            start["customParameters"] = given
            await line.send(json.dumps({"event": "start", "start": start}))
            talking = asyncio.create_task(self.talk(line))
            async for raw in line:
                message = json.loads(raw)
                if message["event"] == "media":
                    self.heard += base64.b64decode(message["media"]["payload"])
                if self.hang_up_after and len(self.heard) > self.hang_up_after:
                    await line.send(json.dumps({"event": "stop", "stop": {"callSid": SID}}))
                    self.hang_up_after = 0
            talking.cancel()
            await asyncio.gather(talking, return_exceptions=True)
        self.closed.set()

    async def talk(self, line: Any) -> None:
        assert self.says is not None
        to_say, loop = mulaw(self.says), asyncio.get_running_loop()
        due = loop.time()
        while True:
            frame, to_say = to_say[:160].ljust(160, b"\xff"), to_say[160:]
            payload = base64.b64encode(frame).decode()
            media = {"track": "inbound", "payload": payload}
            await line.send(json.dumps({"event": "media", "media": media}))
            due += 0.02
            await asyncio.sleep(max(0.0, due - loop.time()))


@contextmanager
def office(folder: Path, exchange: Exchange) -> Iterator[Running]:
    """A server that calls through the exchange, at any hour."""
    profiles = folder / "own" / "profiles"
    profiles.mkdir(parents=True)
    (folder / "own" / "knowledge").symlink_to(resource("knowledge"))
    always = "".join(f'\n  {day}: ["00:00-23:59"]' for day in _DAYS)
    sample = resource("profiles", "kfz.yaml").read_text(encoding="utf-8")
    own = re.sub(r"calling_hours:(\n  .*)+", f"calling_hours:{always}", sample)
    (profiles / "kfz.yaml").write_text(own, encoding="utf-8")
    threading.Thread(target=exchange.api.serve_forever, daemon=True).start()
    settings = {
        "TOM_PROFILE_DIR": str(folder / "own"),
        "TOM_STT_ENGINE": "fake",
        "TOM_TTS_ENGINE": "fake",
        "TOM_TWILIO_ACCOUNT_SID": "AC1",
        "TOM_TWILIO_AUTH_TOKEN": "the account's own token",
        "TOM_TWILIO_API_URL": exchange.url,
        "TOM_PUBLIC_URL": "http://tom.example.org",
        "TOM_OUTGOING_CALLER_ID": OWN,
        "TOM_OUTGOING_RETRIES": "0",
        "TOM_OUTGOING_MAX_PER_DAY": "9",
        "TOM_ANSWERING_MACHINE": "message",
        "TOM_SIP": "true",
        "TOM_SIP_HOST": "127.0.0.1",
        "TOM_SIP_PORT": "0",
        "TOM_SIP_RTP_PORTS": "30200-30299",
    }
    try:
        with running(folder, None, **settings) as server:
            exchange.server_url = server.url
            yield server
            assert server.complaints() == []
    finally:
        exchange.api.shutdown()
        exchange.api.server_close()


_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Exchange]]:
    """A server whose first callee has agreed, and the exchange between them."""
    exchange = Exchange()
    with office(tmp_path_factory.mktemp("office"), exchange) as server:
        yield server, exchange


def tom(server: Running, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "apps.cli", *words],
        env=server.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def agree(server: Running, number: str = NUMBER, *, block: bool = False) -> None:
    """Record that somebody agreed, as `tom consents` does; and that they are not to be called."""
    key = secrets.load_or_create(server.folder).hash_key
    subject = keyed_hash(number, key, purpose="caller")
    actions = [ConsentAction.GIVEN] + [ConsentAction.BLOCKED] * block
    with server.database().transaction() as conn:
        for action in actions:
            record(conn, ConsentRow(subject, action, "pickup", "web form"))


def order(server: Running, **changes: str) -> httpx.Response:
    body = {"to": NUMBER, "language": "de", "purpose": "pickup", "via": "twilio", **changes}
    return httpx.post(server.url + "/v1/calls", json=body, timeout=20)


def ended(server: Running, call: str) -> dict[str, Any]:
    def status() -> dict[str, Any]:
        return dict(httpx.get(f"{server.url}/v1/calls/{call}", timeout=10).json())

    wait_until(lambda: status()["state"] == "ended")
    return status()


def test_nobody_is_called_without_consent(line: tuple[Running, Exchange]) -> None:
    server, exchange = line
    exchange.expect(hello())
    refused = order(server, to="+4989777777")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "no_consent")
    assert order(server, to="112").status_code == 422
    assert exchange.form == {}


def test_the_server_calls_somebody_who_agreed_and_talks_to_them(
    line: tuple[Running, Exchange],
) -> None:
    server, exchange = line
    agree(server)
    exchange.expect(hello(), hang_up_after=RATE)
    words = ("dial", NUMBER, "--url", server.url, "--language", "de", "--purpose", "pickup")
    done = tom(server, *words, "--via", "twilio")
    assert done.returncode == 0, done.stderr
    assert "They were talked to." in done.stdout
    assert (exchange.form["To"], exchange.form["From"]) == (NUMBER, OWN)
    assert exchange.closed.wait(10)
    assert np.abs(from_mulaw(bytes(exchange.heard))).max() > 1000
    assert exchange.ended == []
    assert server.metric("tom_outgoing_attempts_total", outcome="answered") == 1.0
    with server.database().reading() as conn:
        (kept,) = list_calls(conn)
        attempts = conn.execute(outgoing_attempts.select()).all()
    assert (kept.direction, kept.door, kept.reason) == ("outgoing", "twilio", "caller_hung_up")
    assert attempts[-1].call_ref == kept.call_ref
    assert {a.decision for a in attempts[:-1]} == {"no_consent", "bad_number"}
    log = (server.folder / "server.log").read_text(encoding="utf-8")
    assert NUMBER[1:] not in log


def test_a_machine_is_left_a_message_when_the_operator_wants_that(
    line: tuple[Running, Exchange],
) -> None:
    server, exchange = line
    agree(server)
    exchange.expect(machine())
    placed = order(server)
    assert placed.status_code == 202, placed.text
    assert ended(server, placed.json()["call"])["result"] == "message_left"
    assert len(exchange.heard) > RATE * 3
    assert exchange.closed.wait(10)


def test_a_telephone_is_called_by_sip(line: tuple[Running, Exchange]) -> None:
    server, _ = line
    heard: list[bytes] = []
    over = asyncio.Event()

    async def pick_up(door: Door) -> None:
        """Say hello, and hang up once the assistant has talked for a second."""
        say = Framer().push(samples_to_pcm(resample(hello(), RATE, 16_000)))
        await door.tell("call.started", {})
        async with aclosing(door.events()) as events:
            async for event in events:
                match event:
                    case CallerHungUp():
                        break
                    case CallerAudio(pcm=pcm):
                        await door.play(say.pop(0) if say else bytes(FRAME_BYTES))
                        heard.extend([pcm] if level_dbfs(pcm) > -40 else [])
                if sum(map(len, heard)) > 32_000:
                    break
        await door.close("over")
        over.set()

    async def scenario() -> str:
        port = free_port(socket.SOCK_DGRAM)
        options = SipOptions(
            host="127.0.0.1", port=port, transports=("udp",), rtp=RtpOptions("127.0.0.1")
        )
        address = f"sip:callee@127.0.0.1:{port}"
        agree(server, address)
        async with sip_listener(options, pick_up, lambda _: None):
            answer = await asyncio.to_thread(order, server, to=address, via="sip")
            assert answer.status_code == 202, answer.text
            await asyncio.wait_for(over.wait(), 30)
        return str(answer.json()["call"])

    assert ended(server, asyncio.run(scenario()))["result"] == "answered"
    with server.database().reading() as conn:
        kept = list_calls(conn)[0]
    assert (kept.door, kept.direction) == ("sip", "outgoing")


def test_a_busy_line_is_told_and_one_key_makes_one_call(line: tuple[Running, Exchange]) -> None:
    server, exchange = line
    agree(server)
    exchange.expect(None, "busy")
    key = {"Idempotency-Key": "order 7"}
    body = {"to": NUMBER, "purpose": "pickup", "via": "twilio"}
    calls = server.url + "/v1/calls"
    call = httpx.post(calls, json=body, headers=key, timeout=20).json()["call"]
    assert ended(server, call)["result"] == "busy"
    exchange.expect(None, "busy")
    assert httpx.post(calls, json=body, headers=key, timeout=20).json()["call"] == call
    assert exchange.form == {}


def test_another_site_s_page_cannot_make_calls(line: tuple[Running, Exchange]) -> None:
    server, _ = line
    foreign = {"Origin": "https://elsewhere.example"}
    body = {"to": NUMBER, "purpose": "pickup"}
    calls = server.url + "/v1/calls"
    assert httpx.post(calls, json=body, headers=foreign, timeout=10).status_code == 403
    assert httpx.get(f"{calls}/out_1", headers=foreign, timeout=10).status_code == 403
    assert httpx.get(f"{calls}/out_1", timeout=10).status_code == 404


def test_a_stream_that_answers_a_call_that_nobody_made_is_refused(
    line: tuple[Running, Exchange],
) -> None:
    server, _ = line

    async def scenario() -> int | None:
        async with connect(server.url.replace("http://", "ws://") + "/twilio") as stream:
            media = {"encoding": "audio/x-mulaw", "sampleRate": RATE, "channels": 1}
            start: dict[str, Any] = {"streamSid": STREAM, "callSid": SID, "mediaFormat": media}
            start["customParameters"] = {"answers": "guessed"}
            await stream.send(json.dumps({"event": "start", "start": start}))
            await asyncio.wait_for(stream.wait_closed(), 20)
            return stream.close_code

    assert asyncio.run(scenario()) not in (None, 1000)
    assert server.ready()["live_calls"] == 0


def test_who_is_on_the_do_not_call_list_is_not_called(line: tuple[Running, Exchange]) -> None:
    server, exchange = line
    blocked = "+4989888888"
    agree(server, blocked, block=True)
    exchange.expect(None, "busy")
    assert order(server, to=blocked).json()["error"]["code"] == "do_not_call"
    assert exchange.form == {}


def test_a_server_that_is_stopped_stops_ringing(tmp_path: Path) -> None:
    exchange = Exchange()
    with office(tmp_path, exchange) as server:
        agree(server)
        assert order(server).status_code == 202
        wait_until(lambda: exchange.form != {})
        server.terminate()
        assert server.exit_code() == 0
        assert exchange.ended == ["completed"]
        with server.database().reading() as conn:
            (attempt,) = conn.execute(outgoing_attempts.select()).all()
        assert attempt.result == "cancelled"
