"""How a server is used up, stopped, killed, and started again."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from apps.core.ids import keyed_hash
from apps.core.secrets import load_or_create
from apps.store.calls import list_calls, load_call
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
        assert stored_reason(second, cut) == "server_died"
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
