"""A call of an RTVI client to a real server; tests/doors/rtvi has Pipecat's own in a browser."""

from __future__ import annotations

import asyncio
from typing import Any

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

VIDEO = [
    "m=video 9 UDP/TLS/RTP/SAVPF 96",
    "c=IN IP4 0.0.0.0",
    "a=rtpmap:96 VP8/90000",
    "a=sendrecv",
    "a=mid:camera",
]


def with_video(offer: str) -> str:
    """Return an offer with a video section between audio and the data channel."""
    head, data = offer.split("m=application")
    bundled = head.replace("BUNDLE 0", "BUNDLE 0 camera")
    return bundled + "\r\n".join(VIDEO) + "\r\nm=application" + data


def without_declined(answer: str) -> str:
    """Return an answer without the video section, which must be declined."""
    head, declined, rest = answer.partition("m=video 0 ")
    assert declined
    return head + "m=application" + rest.partition("m=application")[2]


def send(caller: Caller, kind: str, data: Any = None, id: str = "m1") -> None:
    caller.send(label="rtvi-ai", type=kind, id=id, data=data)


def told(caller: Caller, kind: str) -> list[dict[str, Any]]:
    """Return the live events of one kind that reached the application."""
    return [m["data"] for m in caller.of("server-message") if m["data"]["type"] == kind]


async def hold(server: Running) -> Caller:
    """Listen to the greeting, ask, go on over another connection, type a goodbye, rate."""
    question = resample(read_audio(resource("demo", "slt", "question.flac")), 16_000, 48_000)
    caller = Caller("chat")
    async with httpx.AsyncClient(base_url=server.url) as client:
        offer = {"sdp": with_video(await caller.offer()), "type": "offer", "pc_id": None}
        wanted = {"requestData": {"language": "en"}, "restart_pc": False}
        answer = await client.post("/api/offer", json=offer | wanted)
        assert answer.status_code == 200, answer.text
        await caller.accept(without_declined(answer.json()["sdp"]))
        candidate = "candidate:1 1 udp 1 127.0.0.1 9 typ host"
        more = {"candidates": [{"candidate": candidate, "sdp_mid": "0", "sdp_mline_index": 0}]}
        trickled = await client.patch("/api/offer", json=more | {"pc_id": answer.json()["pc_id"]})
        assert trickled.status_code == 200
        await caller.until(lambda c: c.channel.readyState == "open")
        send(caller, "client-ready", {"version": "2.1.0", "about": {"library": "test"}}, "r1")
        caller.channel.send("ping: 1700000000000")
        await caller.until(lambda c: c.of("bot-stopped-speaking"))
        caller.microphone.to_say = question
        await caller.until(lambda c: len(c.of("bot-started-speaking")) == 2)
        old, caller = caller, Caller("chat")
        offer |= {"sdp": await caller.offer(), "pc_id": answer.json()["pc_id"], "restart_pc": True}
        again = await client.post("/api/offer", json=offer)
        assert again.json()["pc_id"] == answer.json()["pc_id"]
        await caller.accept(again.json()["sdp"])
        await caller.until(lambda c: c.channel.readyState == "open")
        await old.ends()
        await old.close()
        caller.messages = old.messages + caller.messages
        await caller.until(lambda c: len(c.of("bot-stopped-speaking")) == 2)
        send(caller, "send-text", {"content": "thank you, goodbye", "options": {}})
        await caller.until(lambda c: told(c, "rating.asked"))
        send(caller, "client-message", {"t": "rating", "d": {"stars": 5}}, "rate")
        await caller.until(lambda c: told(c, "call.ended"))
        await caller.ends()
    await caller.close()
    return caller


def test_an_rtvi_client_s_call_from_greeting_to_rating(quick: Running) -> None:
    caller = asyncio.run(hold(quick))
    assert {m["label"] for m in caller.messages if m["type"] != "signalling"} == {"rtvi-ai"}
    assert [m["id"] for m in caller.of("bot-ready")] == ["r1"]
    assert [m["data"]["final"] for m in caller.of("user-transcription")][-1] is True
    kinds = [m["type"] for m in caller.messages]
    assert kinds.index("user-started-speaking") < kinds.index("user-stopped-speaking")
    assert caller.of("metrics")[0]["data"]["ttfb"][0]["value"] > 0
    assert [m["id"] for m in caller.of("server-response")] == ["rate"]
    assert told(caller, "rating")[0]["stars"] == 5
    assert not caller.of("error")
    assert np.abs(np.concatenate(caller.heard)).max() > 2000
    assert caller.messages[-1]["message"] == {"type": "peerLeft"}
    wait_until(lambda: quick.ready()["live_calls"] == 0)
    with quick.database().reading() as conn:
        rows = conn.execute(calls.select().where(calls.c.door == "rtvi")).all()
    assert [(row.language, row.reason) for row in rows] == [("en", "completed")]


@pytest.mark.parametrize(
    ("method", "body", "status", "code"),
    [
        ("POST", {"sdp": "v=0", "type": "offer"}, 400, "bad_sdp"),
        ("POST", {"sdp": "v=0"}, 400, "bad_message"),
        ("POST", {"sdp": "v=0", "type": "offer", "pc_id": "x"}, 400, "unsupported"),
        (
            "POST",
            {"sdp": "v=0", "type": "offer", "requestData": {"profile": "nobody"}},
            400,
            "bad_sdp",
        ),
        ("POST", {"sdp": "v=0", "type": "offer", "requestData": {"language": "fr"}}, 400, None),
        ("PATCH", {"pc_id": "x", "candidates": []}, 404, "unknown_call"),
        ("PATCH", {"pc_id": "x"}, 400, "bad_message"),
        ("PATCH", ["x"], 400, "bad_message"),
    ],
)
def test_what_cannot_be_is_refused(
    quick: Running, method: str, body: Any, status: int, code: str | None
) -> None:
    answer = httpx.request(method, quick.url + "/api/offer", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code or "bad_message")


def test_a_page_of_another_site_cannot_call(quick: Running) -> None:
    headers = {"Origin": "https://elsewhere.example"}
    answer = httpx.post(quick.url + "/api/offer", json={}, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")
