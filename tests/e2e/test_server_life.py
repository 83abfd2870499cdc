"""How a server is used up, stopped, killed, and started again."""

from __future__ import annotations

import asyncio
import base64
import json
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from apps.core.ids import keyed_hash
from apps.core.secrets import load_or_create
from apps.store.calls import list_calls, load_call, load_events
from apps.store.decisions import load_decision
from apps.store.feedback import feedback_of_call
from tests.e2e.phone import Phone, dial
from tests.e2e.servers import Running, start, wait_until

TYPED = {"mode": "text", "language": "en"}
REGISTER = "what documents do i need to register a used car"
BARE = {"TOM_TTS_ENGINE": "fake", "TOM_STT_ENGINE": "fake"}


def reference(server: Running, phone: Phone) -> str:
    """The reference under which a call is stored."""
    key = load_or_create(server.folder).hash_key
    return keyed_hash(phone.of("call.started")[0]["call_id"], key)


async def test_one_line_without_learning_in_a_language_that_nobody_hears(
    tmp_path: Path, model_cache: Path
) -> None:
    """One server has all the limits; starting one for each would cost seconds."""
    server = start(
        tmp_path,
        model_cache,
        TOM_MAX_CALLS="1",
        RL_ENABLED="false",
        TOM_STT_ENGINE="faster-whisper",  # whose weights are missing
        TOM_TTS_ENGINE="espeak",
        TOM_DRAIN_S="23",
    )
    try:
        async with dial(server.calls, language="de", observe=True) as german:
            await check_busy(server)
            await check_german(german)
            await check_base_variant(server, german)
        async with dial(server.calls, **TYPED) as phone:
            await phone.ask(REGISTER)
            server.terminate()
            await check_refused_while_draining(server)
            await check_polite_end(server, phone)
        assert await asyncio.to_thread(server.exit_code) == 0
        assert stored_reason(server, phone) == "shutdown"
        assert server.complaints() == []
    finally:
        server.kill()


async def check_busy(server: Running) -> None:
    assert server.ready()["code"] == 503
    for _ in range(3):
        async with connect(server.calls) as socket:
            await socket.send(json.dumps({"type": "start", **TYPED}))
            assert json.loads(await socket.recv())["code"] == "busy"
            with pytest.raises(ConnectionClosed):
                await socket.recv()
        assert socket.close_code == 1013
    assert server.metric("tom_calls_refused_total", reason="busy") == 3


async def check_german(phone: Phone) -> None:
    """The caller is told, in German, read and spoken, and goes on by keys and typed words."""
    await phone.until(lambda p: p.state == "listening")
    assert phone.of("call.started")[0]["listening"] is False
    notice = phone.of("notice")[0]
    assert notice["code"] == "cannot_hear"
    assert "Gesprochenes Deutsch" in notice["text"]
    assert "Gesprochenes Deutsch" in " ".join(phone.said("assistant"))
    assert len(phone.audio) > 16000 * 2 * 5
    await phone.send(type="dtmf", digit="1")
    await phone.until(lambda p: p.sources and p.state == "speaking")
    assert phone.sources[0].startswith("kfz/de/")
    await phone.send(type="text", text="auf Wiederhören")
    await phone.until(lambda p: p.state in ("asking_rating", "awaiting_rating"))
    await phone.send(type="dtmf", digit="5")
    await phone.ends()
    assert phone.of("rating") == [{"type": "rating", "stars": 5}]
    assert phone.reason == "completed"


async def check_base_variant(server: Running, phone: Phone) -> None:
    started, reward = phone.of("call.started")[0], phone.of("reward")[0]
    assert (started["policy_variant"], started["propensity"]) == ("v1a", 1.0)
    assert reward["probabilities"] == started["probabilities"]
    with server.database().reading() as conn:
        decision = load_decision(conn, reference(server, phone))
        stored = feedback_of_call(conn, reference(server, phone))
    assert decision is not None
    assert decision.learns is False
    assert [event.learns for event in stored] in ([], [False])


async def check_refused_while_draining(server: Running) -> None:
    await asyncio.to_thread(wait_until, lambda: server.ready()["status"] == "draining", 10)
    assert server.ready()["code"] == 503
    async with connect(server.calls) as socket:
        await socket.send(json.dumps({"type": "start", **TYPED}))
        refused = json.loads(await socket.recv())
        assert (refused["code"], refused["message"]) == ("busy", "The server is going away.")


async def check_polite_end(server: Running, phone: Phone) -> None:
    await phone.until(lambda p: p.state == "awaiting_rating")
    await phone.send(type="rating", stars=3)
    await phone.ends()
    assert phone.reason == "shutdown"
    assert "about to restart" in " ".join(phone.said("assistant"))
    assert phone.of("rating") == [{"type": "rating", "stars": 3}]


def stored_reason(server: Running, phone: Phone) -> str | None:
    with server.database().reading() as conn:
        row = load_call(conn, reference(server, phone))
    assert row is not None
    return row.reason


async def test_a_killed_server_starts_again_and_knows_what_it_had_decided(
    tmp_path: Path, model_cache: Path
) -> None:
    first = start(tmp_path, model_cache, **BARE)
    async with dial(first.calls, **TYPED, observe=True) as whole:
        await whole.ask(REGISTER)
        await whole.ask("goodbye")
        await whole.send(type="rating", stars=2)
        await whole.ends()
    async with dial(first.calls, **TYPED, observe=True) as cut:
        await cut.ask(REGISTER)
        first.kill()
        await cut.ends()
    assert cut.reason is None

    second = start(tmp_path, model_cache, **BARE)
    try:
        with second.database().reading() as conn:
            kept = [feedback_of_call(conn, reference(second, phone)) for phone in (whole, cut)]
            decision = load_decision(conn, reference(second, cut))
        assert [len(events) for events in kept] == [1, 0]
        assert kept[0][0].reward == whole.of("reward")[0]["value"]
        started = cut.of("call.started")[0]
        assert decision is not None
        assert (decision.variant, decision.propensity) == (
            started["policy_variant"],
            started["propensity"],
        )
        assert stored_reason(second, cut) is None  # its end is not known
        snapshot = json.loads((tmp_path / "bandit_state.json").read_text())
        assert sum(arm["pulls"] for arm in snapshot["variants"].values()) == 1
        await check_forced_end(second)
    finally:
        second.kill()


async def check_forced_end(server: Running) -> None:
    """A second signal does not wait for the caller; what can be settled is."""
    async with dial(server.calls, **TYPED) as phone:
        await phone.ask(REGISTER)
        server.terminate()
        await asyncio.to_thread(wait_until, lambda: server.ready()["status"] == "draining", 10)
        assert phone.state == "listening"  # it goes on
        server.process.send_signal(signal.SIGINT)
        await phone.ends(15)
        await asyncio.to_thread(wait_until, lambda: server.process.poll() is not None, 15)
    assert server.process.returncode == 0
    with server.database().reading() as conn:
        rows = list_calls(conn)
    assert rows[0].reason in ("shutdown", "caller_hung_up")
    assert server.complaints() == []


DRAIN_S = 24.0
TYPING, SPEAKING, BY_PHONE = 5, 3, 2


@pytest.mark.slow
async def test_of_ten_live_calls_none_is_cut_before_the_deadline_and_each_is_asked_for_its_rating(
    tmp_path: Path, model_cache: Path
) -> None:
    server = start(
        tmp_path,
        model_cache,
        **BARE,
        TOM_MAX_CALLS="12",
        TOM_DRAIN_S=str(DRAIN_S),
        TOM_NO_INPUT_S="60",
    )
    try:
        async with AsyncExitStack() as stack:
            phones = [
                await stack.enter_async_context(dial(server.calls, mode=mode, language="en"))
                for mode in ("text",) * TYPING + ("audio",) * SPEAKING
            ]
            exchanges = [await stack.enter_async_context(exchange(server)) for _ in range(BY_PHONE)]
            await asyncio.gather(
                *(is_being_answered(phone) for phone in phones),
                *(line.question() for line in exchanges),
            )
            for phone in phones[:TYPING]:  # they have been silent for long
                await phone.send(type="ping")
            assert server.ready()["doors"] == {"websocket": TYPING + SPEAKING, "twilio": BY_PHONE}
            told_s = asyncio.get_running_loop().time()
            server.terminate()
            await check_calls_go_on(server, phones)
            await asyncio.gather(
                *(rate(phone, stars) for stars, phone in enumerate(phones[1:5], 1)),
                *(phone.ends() for phone in phones[5:]),
                *(line.ends() for line in exchanges),
            )
            lasted_s = asyncio.get_running_loop().time() - told_s
        assert await asyncio.to_thread(server.exit_code) == 0
        assert lasted_s < DRAIN_S
        assert [phone.reason for phone in phones] == ["completed"] + ["shutdown"] * 7
        assert all(len(phone.of("rating.asked")) == 1 for phone in phones)
        with server.database().reading() as conn:
            rows = list_calls(conn)
            kept = [feedback_of_call(conn, row.call_ref) for row in rows]
            logs = [load_events(conn, row.call_ref) for row in rows]
        assert len(rows) == TYPING + SPEAKING + BY_PHONE
        assert all(len(events) == 1 and events[0].reward is not None for events in kept)
        asked = [
            any(e.data.get("state") == "asking_rating" for e in log)
            or any("from one" in str(e.data.get("text", "")) for e in log)
            for log in logs
        ]
        assert all(asked)
        assert server.complaints() == []
    finally:
        server.kill()


async def is_being_answered(phone: Phone) -> None:
    """Ask something, and hear the answer's beginning; a typed one is there as a whole."""
    await phone.until(lambda p: p.state == "listening")
    await phone.send(type="text", text=REGISTER)
    await phone.until(lambda p: p.sources)


async def check_calls_go_on(server: Running, phones: list[Phone]) -> None:
    """Told to stop, the server lets those who are on the line ask on, and say goodbye."""
    await asyncio.to_thread(wait_until, lambda: server.ready()["status"] == "draining", 10)
    assert await phones[1].ask("and what does it cost")
    await phones[0].ask("goodbye")
    assert not phones[2].of("rating.asked")


async def rate(phone: Phone, stars: int) -> None:
    await phone.until(lambda p: p.state == "awaiting_rating")
    await phone.send(type="rating", stars=stars)
    await phone.ends()
    assert phone.of("rating") == [{"type": "rating", "stars": stars}]


class Exchange:
    """Twilio's end of one call, who asks by keypad."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._over = asyncio.Event()
        self._heard_s = 0.0

    async def send(self, event: str, **fields: object) -> None:
        await self._socket.send(json.dumps({"event": event, "streamSid": "MZ1", **fields}))

    async def begin(self) -> None:
        await self.send("connected", protocol="Call", version="1.0.0")
        form = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
        body = {"streamSid": "MZ1", "callSid": "CA1", "accountSid": "AC1", "mediaFormat": form}
        await self.send("start", start={**body, "customParameters": {"language": "en"}})

    async def talk(self) -> None:
        quiet = base64.b64encode(b"\xff" * 160).decode()
        with suppress(ConnectionClosed):
            while True:
                await self.send("media", media={"track": "inbound", "payload": quiet})
                await asyncio.sleep(0.02)

    async def listen(self) -> None:
        with suppress(ConnectionClosed):
            async for raw in self._socket:
                message = json.loads(raw)
                if message["event"] == "mark":
                    await self.send("mark", mark=message["mark"])
                elif message["event"] == "media":
                    self._heard_s = asyncio.get_running_loop().time()
        self._over.set()

    async def question(self) -> None:
        """Hear the greeting, press a key of the menu, and hear the answer's beginning."""
        await self._until(lambda quiet_s: quiet_s > 0.5)
        await self.send("dtmf", dtmf={"track": "inbound_track", "digit": "1"})
        await self._until(lambda quiet_s: quiet_s < 0.1)

    async def _until(self, condition: Callable[[float], bool]) -> None:
        """Wait until the assistant has been quiet for as long as wanted."""
        now_s = asyncio.get_running_loop().time
        async with asyncio.timeout(45):
            while not (self._heard_s and condition(now_s() - self._heard_s)):  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    async def ends(self) -> None:
        async with asyncio.timeout(45):
            await self._over.wait()


@asynccontextmanager
async def exchange(server: Running) -> AsyncIterator[Exchange]:
    """Bring a call as Twilio does."""
    url = server.url.replace("http://", "ws://") + "/twilio"
    async with connect(url, compression=None) as socket:
        line = Exchange(socket)
        await line.begin()
        tasks = [asyncio.create_task(line.listen()), asyncio.create_task(line.talk())]
        try:
            yield line
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
