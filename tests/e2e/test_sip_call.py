"""Calls by SIP to a real server: signalling and audio over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from apps.core.resources import resource
from apps.store.call_tables import call_events, calls
from apps.voice.audiofile import read_audio
from apps.voice.doors.sip.message import Request, read_message
from apps.voice.resample import resample
from apps.voice.rtp.sdp import read_sdp
from tests.e2e.phone import from_mulaw, mulaw
from tests.e2e.servers import Running, running, wait_until
from tests.e2e.telephone import telephone

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def sip(tmp_path_factory: pytest.TempPathFactory, model_cache: Path) -> Iterator[Running]:
    """A server with one line, whose engines need no process."""
    settings = {
        "TOM_STT_ENGINE": "fake",
        "TOM_TTS_ENGINE": "fake",
        "TOM_MAX_CALLS": "1",
        "TOM_SIP": "true",
        "TOM_SIP_HOST": "127.0.0.1",
        "TOM_SIP_PORT": "0",
        "TOM_SIP_RTP_PORTS": "30100-30199",
    }
    with running(tmp_path_factory.mktemp("sip"), model_cache, **settings) as server:
        yield server
        wait_until(lambda: server.ready()["live_calls"] == 0)
        assert server.complaints() == []


def level(audio: bytes) -> float:
    return float(np.sqrt(np.mean(from_mulaw(audio).astype(np.float64) ** 2))) if audio else 0.0


def test_a_call_with_audio_both_ways_a_key_a_hold_and_a_second_caller_who_finds_it_busy(
    sip: Running,
) -> None:
    question = resample(read_audio(resource("demo", "slt", "question.flac")), 16_000, 8000)

    async def scenario() -> None:
        async with telephone(sip, "alice") as phone, telephone(sip, "bob") as other:
            answer = await phone.invite()
            assert answer.status == 200
            talking = asyncio.create_task(phone.talk())
            try:
                assert level(await phone.hear(1.0)) > 200
                refused = await other.invite()
                assert (refused.status, refused.headers.get("retry-after")) == (503, "5")
                phone.to_say += mulaw(question)[:8000]
                await asyncio.sleep(1.0)
                phone.press(1)
                await asyncio.sleep(0.5)
                held = await phone.invite("sendonly")
                assert read_sdp(held.body).media[0].direction.value == "recvonly"
                await asyncio.sleep(0.2)
                phone.forget_audio()
                assert await phone.hear(0.5) == b""
                assert (await phone.invite()).status == 200
                assert level(await phone.hear(1.0)) > 200
                assert await phone.hang_up() == 200
            finally:
                talking.cancel()
                await asyncio.gather(talking, return_exceptions=True)

    asyncio.run(scenario())
    wait_until(lambda: sip.ready()["live_calls"] == 0)
    with sip.database().reading() as conn:
        (row,) = conn.execute(calls.select().where(calls.c.door == "sip")).all()
        log = conn.execute(call_events.select().where(call_events.c.call_ref == row.call_ref)).all()
    kinds = [event.kind for event in log]
    assert (row.language, row.reason) == ("en", "caller_hung_up")
    assert kinds.count("caller.hold") == 2
    asked = [str(event.data) for event in log if event.kind == "fsm.transcript"]
    assert any("open" in question for question in asked)  # what the key asks
    assert sip.metric("tom_calls_refused_total", door="sip", reason="busy") == 1


def test_a_caller_who_gives_up_while_the_call_is_set_up(sip: Running) -> None:
    async def scenario() -> tuple[int, int]:
        async with telephone(sip, "carol") as phone:
            phone.request("INVITE", phone.sdp())
            phone.request("CANCEL", seq=1)
            cancelled, invite = None, None
            async with asyncio.timeout(10):
                while cancelled is None or invite is None:
                    message = read_message(await phone._signals.received.get())
                    assert not isinstance(message, Request)
                    if message.seq_method == "CANCEL":
                        cancelled = message.status
                    elif message.is_final:
                        invite = message.status
                        phone.remote_tag = message.recipient.tag
            phone.request("ACK", seq=1)
            return cancelled, invite

    assert asyncio.run(scenario()) == (200, 487)
    wait_until(lambda: sip.ready()["live_calls"] == 0)
