"""A caller who hangs up without rating does so later, when the server has been restarted."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from apps.core.ids import keyed_hash
from apps.store.decisions import load_decision
from apps.store.feedback import FeedbackKind, FeedbackRow, feedback_of_call
from tests.e2e.phone import dial
from tests.e2e.servers import Running, start
from tests.e2e.test_typed_calls import REGISTER, TYPED

ENGINES = {"TOM_STT_ENGINE": "fake", "TOM_TTS_ENGINE": "fake", "RL_SEED": "7"}


def rate(server: Running, token: str, stars: int) -> tuple[int, dict[str, object]]:
    """Send a rating; returns the status and the answer."""
    body = json.dumps({"token": token, "rating": stars}).encode()
    request = Request(f"{server.url}/v1/calls/rating", body, {"Content-Type": "application/json"})
    try:
        with urlopen(request) as answer:
            return answer.status, json.load(answer)
    except HTTPError as refused:
        return refused.code, json.load(refused)["error"]


def stored(server: Running, call_id: str) -> list[FeedbackRow]:
    key = json.loads((server.folder / "secrets.json").read_text())["hash_key"].encode()
    with server.database().reading() as conn:
        decision = load_decision(conn, keyed_hash(call_id, key))
        events = feedback_of_call(conn, keyed_hash(call_id, key))
    assert decision is not None
    assert decision.engines == {"llm": "embedded", "stt": "fake", "tts": "fake"}
    assert decision.context["door"] == "websocket"
    return events


def status_of(server: Running) -> str:
    command = [sys.executable, "-m", "apps.cli", "rl", "status"]
    done = subprocess.run(
        command,
        env={**server.environment, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout


async def test_a_call_is_rated_after_its_end_and_a_restart_and_counts_once(
    tmp_path: Path, model_cache: Path
) -> None:
    first = start(tmp_path, model_cache, **ENGINES)
    async with dial(first.calls, **TYPED, observe=True) as phone:
        await phone.ask(REGISTER)
        early = await asyncio.to_thread(rate, first, "e30.forged", 5)
        await phone.send(type="hangup")
        await phone.ends()
    assert (early[0], early[1]["code"]) == (403, "forbidden")
    token = phone.of("call.ended")[0]["rating_token"]
    call_id, before = phone.of("call.started")[0]["call_id"], phone.of("reward")[0]["value"]
    (end,) = stored(first, call_id)
    assert (end.reward, end.rating, end.rating_offered) == (before, None, True)
    assert end.flags == ()
    unrated = status_of(first)
    first.kill()

    second = start(tmp_path, model_cache, **ENGINES)
    try:
        assert rate(second, token, 1) == (200, {"rating": 1, "stored": True})
        assert rate(second, token, 1) == (200, {"rating": 1, "stored": False})
        status, error = rate(second, token, 5)
        assert (status, error["code"]) == (409, "already_rated")
        _, late = stored(second, call_id)
        assert (late.kind, late.rating, late.revises) == (FeedbackKind.REVISION, 1, before)
        assert late.reward == pytest.approx(before - 0.2)
        assert late.answered_after_s is not None
        assert 0.0 <= late.answered_after_s < 300.0
        variant = end.variant
        assert second.metric("tom_ratings_late_total", policy_variant=variant) == 1
        rated = status_of(second)
        assert f"{before:+.2f}" in unrated
        assert f"{before - 0.2:+.2f}" in rated
        second.terminate()
        assert second.exit_code() == 0
        assert second.complaints() == []
    finally:
        if second.process.poll() is None:
            second.kill()


async def test_who_has_rated_in_the_call_is_given_no_token_to_do_so_again(quick: Running) -> None:
    async with dial(quick.calls, **TYPED) as phone:
        await phone.ask(REGISTER)
        await phone.ask("goodbye")
        await phone.until(lambda p: p.state == "awaiting_rating")
        token = phone.of("rating.asked")[0]["rating_token"]
        assert rate(quick, token, 4)[1]["code"] == "call_goes_on"
        await phone.send(type="rating", stars=4)
        await phone.ends()
    assert "rating_token" not in phone.of("call.ended")[0]
    assert rate(quick, token, 4) == (200, {"rating": 4, "stored": False})
    assert rate(quick, token, 2)[1]["code"] == "already_rated"
