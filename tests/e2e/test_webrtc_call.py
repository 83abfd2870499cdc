"""A call over WebRTC to a real server: WHIP, speech both ways, events on the data channel."""

from __future__ import annotations

import asyncio

import httpx
import numpy as np
import pytest

from apps.core.resources import resource
from apps.store.call_tables import calls
from apps.voice.audiofile import read_audio
from apps.voice.resample import resample
from tests.e2e.servers import Running, wait_until
from tests.webrtc_caller import Caller

pytestmark = pytest.mark.slow

SDP = {"Content-Type": "application/sdp"}


async def hold(server: Running) -> Caller:
    """Listen to the greeting, ask, break into the answer, hang up."""
    question = resample(read_audio(resource("demo", "slt", "question.flac")), 16_000, 48_000)
    caller = Caller()
    async with httpx.AsyncClient(base_url=server.url) as client:
        answer = await client.post(
            "/whip?language=en&observe=1", content=await caller.offer(), headers=SDP
        )
        assert answer.status_code == 201, answer.text
        await caller.accept(answer.text)
        await caller.until(lambda c: c.state == "listening")
        caller.microphone.to_say = question
        await caller.until(lambda c: c.state == "speaking")
        caller.microphone.to_say = question
        await caller.until(lambda c: c.of("heard"))
        caller.send(type="ping")
        caller.send(type="hangup")
        await caller.until(lambda c: c.of("call.ended"))
        await caller.ends()
        gone = await client.delete(answer.headers["location"])
        assert gone.status_code == 404
    await caller.close()
    return caller


def test_a_call_by_webrtc_from_greeting_to_hanging_up(quick: Running) -> None:
    caller = asyncio.run(hold(quick))
    assert caller.of("call.ended")[0]["reason"] == "caller_hung_up"
    assert caller.of("call.started")[0]["policy_variant"]
    assert caller.of("pong")
    assert not caller.of("error")
    assert [m["role"] for m in caller.of("transcript.final")].count("caller") >= 1
    assert np.abs(np.concatenate(caller.heard)).max() > 2000
    wait_until(lambda: quick.ready()["live_calls"] == 0)
    with quick.database().reading() as conn:
        rows = conn.execute(calls.select().where(calls.c.door == "webrtc")).all()
    assert [(row.language, row.reason) for row in rows] == [("en", "caller_hung_up")]


def test_a_page_of_another_site_cannot_call(quick: Running) -> None:
    headers = SDP | {"Origin": "https://elsewhere.example"}
    answer = httpx.post(quick.url + "/whip", content="v=0", headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")
