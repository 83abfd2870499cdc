"""Callers by the doors that are no carrier's, behind the same few words as those of carriers.py."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, ClassVar
from uuid import uuid4

import httpx
import numpy as np
from websockets.asyncio.client import ClientConnection, connect

from apps.voice.resample import resample
from tests.e2e.carriers import NUMBER, Peer, TwilioPeer, mulaw, on_the_line
from tests.e2e.phone import Pcm, from_mulaw
from tests.e2e.servers import Running
from tests.e2e.telephone import Telephone, telephone
from tests.webrtc_caller import RATE_HZ, Caller

SOUND = 300
"""A sample above this is sound; lines that are never silent send less than it between answers."""


class SipPeer(Peer):
    """A telephone: PCMU, keys as telephone events."""

    def __init__(self, phone: Telephone) -> None:
        super().__init__()
        self.phone = phone

    async def send_audio(self, samples: Pcm) -> None:
        self.phone.send_frame(mulaw(samples))

    async def press(self, digit: str) -> None:
        self.phone.press(int(digit))

    async def listen(self) -> None:
        hearing = asyncio.create_task(self._hear())
        try:
            await self.phone.until_hung_up()
        finally:
            hearing.cancel()
            with suppress(asyncio.CancelledError):
                await hearing

    async def _hear(self) -> None:
        while True:
            samples = from_mulaw(await self.phone.receive())
            if np.abs(samples.astype(np.int32)).max() > SOUND:
                self.hears(samples)


@asynccontextmanager
async def call_by_sip(server: Running) -> AsyncIterator[Peer]:
    async with telephone(server, uuid4().hex) as phone:
        answer = await phone.invite()
        assert answer.status == 200, answer
        peer = SipPeer(phone)
        async with on_the_line(peer):
            yield peer


class WebRtcPeer(Peer):
    """aiortc's client; it keeps the pace of its microphone itself."""

    def __init__(self, caller: Caller) -> None:
        super().__init__()
        self.caller = caller
        caller.on_heard = self._hear

    def _hear(self, samples: Pcm) -> None:
        if np.abs(samples.astype(np.int32)).max() > SOUND:
            self.hears(samples, RATE_HZ)

    def say(self, samples: Pcm) -> None:
        more = resample(samples, 8000, RATE_HZ)
        self.caller.microphone.to_say = np.concatenate((self.caller.microphone.to_say, more))

    async def talk(self) -> None:
        pass

    async def press(self, digit: str) -> None:
        self.caller.send(type="dtmf", digit=digit)

    async def listen(self) -> None:
        while not self.caller.over:
            self.caller._changed.clear()
            await self.caller._changed.wait()


class RtviPeer(WebRtcPeer):
    """The same with RTVI's messages."""

    async def press(self, digit: str) -> None:
        self.caller.send(label="rtvi-ai", type="dtmf", id=digit, data={"buttons": [digit]})


@asynccontextmanager
async def call_by_webrtc(server: Running) -> AsyncIterator[Peer]:
    caller = Caller()
    headers = {"Content-Type": "application/sdp"}
    async with httpx.AsyncClient(base_url=server.url) as client:
        offer = await caller.offer()
        answer = await client.post("/whip?language=en", content=offer, headers=headers)
    assert answer.status_code == 201, answer.text
    async with _connected(caller, answer.text, WebRtcPeer(caller)) as peer:
        yield peer


@asynccontextmanager
async def call_by_rtvi(server: Running) -> AsyncIterator[Peer]:
    caller = Caller("chat")
    body = {"sdp": await caller.offer(), "type": "offer", "requestData": {"language": "en"}}
    async with httpx.AsyncClient(base_url=server.url) as client:
        answer = await client.post("/api/offer", json=body)
    assert answer.status_code == 200, answer.text
    async with _connected(caller, answer.json()["sdp"], RtviPeer(caller)) as peer:
        caller.send(label="rtvi-ai", type="client-ready", id="r1", data={"version": "2.1.0"})
        yield peer


@asynccontextmanager
async def _connected(caller: Caller, answer: str, peer: Peer) -> AsyncIterator[Peer]:
    try:
        await caller.accept(answer)
        await caller.until(lambda c: c.channel.readyState == "open")
        async with on_the_line(peer):
            yield peer
    finally:
        await caller.close()


class RealtimePeer(Peer):
    """A client of the Realtime protocol. It has no keys: it types what they stand for."""

    MEANT: ClassVar = {"1": "opening hours", "5": "five", "9": "goodbye"}

    def __init__(self, socket: ClientConnection) -> None:
        super().__init__()
        self.socket = socket

    async def send(self, kind: str, **fields: Any) -> None:
        await self.socket.send(json.dumps({"type": kind, **fields}))

    async def send_audio(self, samples: Pcm) -> None:
        audio = base64.b64encode(mulaw(samples)).decode()
        await self.send("input_audio_buffer.append", audio=audio)

    async def press(self, digit: str) -> None:
        await self.type(self.MEANT[digit])

    async def type(self, text: str) -> None:
        part = {"type": "input_text", "text": text}
        item = {"type": "message", "role": "user", "content": [part]}
        await self.send("conversation.item.create", item=item)
        await self.send("response.create")

    async def listen(self) -> None:
        async for raw in self.socket:
            event = json.loads(raw)
            match event["type"]:
                case "response.output_audio.delta":
                    self.hears(from_mulaw(base64.b64decode(event["delta"])))
                case "output_audio_buffer.cleared":
                    self.clears += 1
                case "error":
                    raise AssertionError(event)


@asynccontextmanager
async def call_by_realtime(server: Running) -> AsyncIterator[Peer]:
    form = {"format": {"type": "audio/pcmu"}}
    url = f"{server.url.replace('http', 'ws')}/v1/realtime?language=en"
    async with connect(url, compression=None) as socket:
        peer = RealtimePeer(socket)
        session = {"type": "realtime", "audio": {"input": form, "output": form}}
        await peer.send("session.update", session=session)
        async with on_the_line(peer):
            yield peer


@asynccontextmanager
async def call_bare_twilio(server: Running) -> AsyncIterator[Peer]:
    """Call as Twilio does at a server that has no secret of Twilio's."""
    async with connect(f"{server.url.replace('http', 'ws')}/twilio", compression=None) as socket:
        peer = TwilioPeer(socket)
        await peer.start({"language": "en", "caller": NUMBER})
        async with on_the_line(peer):
            yield peer
