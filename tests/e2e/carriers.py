"""Carriers and exchanges of a few lines each, written from their documented messages alone."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import struct
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4
from xml.etree import ElementTree

import httpx
import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.e2e.phone import Pcm, from_mulaw
from tests.e2e.phone import mulaw as encode

PUBLIC_URL = "https://tom.example"
FRAME_S = 0.02
QUIET_S = 1.0
"""Nothing for so long, on however busy a machine, is the end of what was said."""
NUMBER = "+4915112345"


@cache
def _mulaw(pcm: bytes) -> bytes:
    return encode(np.frombuffer(pcm, np.int16))


def mulaw(samples: Pcm) -> bytes:
    """G.711 of a frame; most are silence, which is encoded once."""
    return _mulaw(samples.tobytes())


@dataclass
class Secrets:
    """What the carriers sign with, and what the server is told of it."""

    twilio: str = "0123456789abcdef0123456789abcdef"
    vonage: str = "a signature secret of thirty-two bytes!"
    asterisk: str = "asterisk & co"
    telnyx: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    @property
    def telnyx_public(self) -> str:
        return base64.b64encode(self.telnyx.public_key().public_bytes_raw()).decode()


class Peer:
    """The far end of one call: sends 20 ms of 8 kHz audio every 20 ms, counts what it hears."""

    def __init__(self) -> None:
        self.to_say: list[Pcm] = []
        self.heard_ms = 0.0
        self.loud = 0.0
        self.clears = self.marks = 0
        self.over = False
        self._changed = asyncio.Event()

    # --- what a carrier adds

    async def send_audio(self, samples: Pcm) -> None:
        raise NotImplementedError

    async def press(self, digit: str) -> None:
        raise NotImplementedError

    async def listen(self) -> None:
        raise NotImplementedError

    # --- what all do alike

    def hears(self, samples: Pcm, rate_hz: int = 8000) -> None:
        self.heard_ms += len(samples) / rate_hz * 1000
        self.loud = max(self.loud, float(np.abs(samples.astype(np.int32)).max(initial=0)))
        self._changed.set()

    async def talk(self) -> None:
        due = time.monotonic()
        try:
            while True:
                silence = np.zeros(160, np.int16)
                await self.send_audio(self.to_say.pop(0) if self.to_say else silence)
                due += FRAME_S
                await asyncio.sleep(max(0.0, due - time.monotonic()))
        except (ConnectionClosed, OSError):
            return

    async def receive(self) -> None:
        with suppress(ConnectionClosed, OSError, asyncio.IncompleteReadError):
            await self.listen()
        self.over = True
        self._changed.set()

    def say(self, samples: Pcm) -> None:
        """Say 8 kHz audio."""
        whole = np.concatenate((samples, np.zeros(-len(samples) % 160, np.int16)))
        self.to_say += list(whole.reshape(-1, 160))

    async def until(self, condition: Callable[[], bool], seconds: float = 20.0) -> None:
        async with asyncio.timeout(seconds):
            while not condition():
                assert not self.over, "the call is over"
                self._changed.clear()
                await self._changed.wait()

    async def until_hearing(self) -> None:
        """Wait until the assistant is well into speaking: more than what was on its way before."""
        before = self.heard_ms
        await self.until(lambda: self.heard_ms > before + 400)

    async def until_heard(self) -> None:
        """Wait until the assistant has begun to speak and fallen silent."""
        before = self.heard_ms
        await self.until(lambda: self.heard_ms > before)
        last = -1.0
        while last != self.heard_ms:
            last = self.heard_ms
            await asyncio.sleep(QUIET_S)

    async def until_over(self, seconds: float = 20.0) -> None:
        async with asyncio.timeout(seconds):
            while not self.over:
                self._changed.clear()
                await self._changed.wait()


@asynccontextmanager
async def on_the_line(peer: Peer) -> AsyncIterator[None]:
    """Let a peer talk and listen within the block."""
    tasks = [asyncio.create_task(peer.talk()), asyncio.create_task(peer.receive())]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def local(url: str, server: str) -> str:
    """Where a public address of the server's really is."""
    parts = urlsplit(url)
    assert url.startswith(PUBLIC_URL.replace("http", "ws")), url
    query = f"?{parts.query}" if parts.query else ""
    return server.replace("http", "ws") + parts.path + query


# --- Twilio


def twilio_signature(token: str, url: str, fields: dict[str, str]) -> str:
    text = url + "".join(key + fields[key] for key in sorted(fields))
    digest = hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()


class TwilioPeer(Peer):
    call = "CA0123456789abcdef0123456789abcdef"
    stream = "MZ0123456789abcdef0123456789abcdef"

    def __init__(self, socket: ClientConnection) -> None:
        super().__init__()
        self.socket, self._chunk = socket, 0

    async def send(self, event: str, **fields: Any) -> None:
        await self.socket.send(json.dumps({"event": event, "streamSid": self.stream, **fields}))

    async def start(self, parameters: dict[str, str]) -> None:
        await self.socket.send('{"event":"connected","protocol":"Call","version":"1.0.0"}')
        media_format = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
        start = {
            "accountSid": "AC1",
            "streamSid": self.stream,
            "callSid": self.call,
            "tracks": ["inbound"],
            "mediaFormat": media_format,
            "customParameters": parameters,
        }
        await self.send("start", sequenceNumber="1", start=start)

    async def send_audio(self, samples: Pcm) -> None:
        self._chunk += 1
        payload = base64.b64encode(mulaw(samples)).decode()
        media = {"track": "inbound", "chunk": str(self._chunk), "timestamp": "5"}
        await self.send("media", sequenceNumber="9", media={**media, "payload": payload})

    async def press(self, digit: str) -> None:
        await self.send("dtmf", dtmf={"track": "inbound_track", "digit": digit})

    async def listen(self) -> None:
        async for raw in self.socket:
            message = json.loads(raw)
            assert message["streamSid"] == self.stream
            match message["event"]:
                case "media":
                    self.hears(from_mulaw(base64.b64decode(message["media"]["payload"])))
                case "clear":
                    self.clears += 1
                case "mark":
                    self.marks += 1
                    await self.send("mark", mark=message["mark"])


async def ring_twilio(server: str, secrets: Secrets, *, query: str = "") -> ElementTree.Element:
    """Call the voice webhook; returns the TwiML."""
    fields = {"CallSid": TwilioPeer.call, "AccountSid": "AC1", "From": NUMBER, "To": "+4930"}
    path = f"/twilio/voice{query}"
    signature = twilio_signature(secrets.twilio, PUBLIC_URL + path, fields)
    async with httpx.AsyncClient() as client:
        headers = {"X-Twilio-Signature": signature}
        answer = await client.post(server + path, data=fields, headers=headers)
    assert answer.status_code == 200, answer.text
    return ElementTree.fromstring(answer.text)


@asynccontextmanager
async def call_twilio(server: str, secrets: Secrets) -> AsyncIterator[Peer]:
    twiml = await ring_twilio(server, secrets, query="?language=en")
    stream = twiml.find("Connect/Stream")
    assert stream is not None
    given = {p.attrib["name"]: p.attrib["value"] for p in stream.findall("Parameter")}
    async with connect(local(stream.attrib["url"], server), compression=None) as socket:
        peer = TwilioPeer(socket)
        await peer.start(given)
        async with on_the_line(peer):
            yield peer


# --- Telnyx


class TelnyxPeer(Peer):
    call = "v3:9X2vxPDFY2RHSJ1EdMS0RHRksMTg7ldNxdjWbVr9zBjbGjGsSe-aiQ"
    stream = "32DE0DEA-53CB-4B21-89A4-9E1819C043BC"

    def __init__(self, socket: ClientConnection) -> None:
        super().__init__()
        self.socket, self._chunk = socket, 0
        self._kept: list[str] = []

    async def start(self) -> None:
        await self.socket.send('{"event":"connected","version":"1.0.0"}')
        start = {
            "user_id": "u",
            "call_control_id": self.call,
            "client_state": None,
            "from": NUMBER,
            "to": "+4930",
            "media_format": {"encoding": "PCMU", "sample_rate": 8000, "channels": 1},
        }
        message = {"event": "start", "sequence_number": "1", "start": start}
        await self.socket.send(json.dumps({**message, "stream_id": self.stream}))

    async def send_audio(self, samples: Pcm) -> None:
        """Send it, every other pair of messages in the wrong order."""
        self._chunk += 1
        payload = base64.b64encode(mulaw(samples)).decode()
        media = {"track": "inbound", "chunk": str(self._chunk), "timestamp": "5"}
        message = {
            "event": "media",
            "sequence_number": "4",
            "media": {**media, "payload": payload},
            "stream_id": self.stream,
        }
        self._kept.insert(0, json.dumps(message))
        if self._chunk % 4 != 2:
            for text in self._kept:
                await self.socket.send(text)
            self._kept.clear()

    async def press(self, digit: str) -> None:
        message = {"event": "dtmf", "stream_id": self.stream, "dtmf": {"digit": digit}}
        await self.socket.send(json.dumps(message))

    async def listen(self) -> None:
        async for raw in self.socket:
            message = json.loads(raw)
            match message["event"]:
                case "media":
                    self.hears(from_mulaw(base64.b64decode(message["media"]["payload"])))
                case "clear":
                    self.clears += 1
                case "mark":
                    self.marks += 1
                    answer = {"event": "mark", "stream_id": self.stream, "mark": message["mark"]}
                    await self.socket.send(json.dumps(answer))


@asynccontextmanager
async def call_telnyx(server: str, secrets: Secrets) -> AsyncIterator[Peer]:
    fields = {"CallSid": TelnyxPeer.call, "AccountSid": "acc-1", "From": NUMBER, "To": "+4930"}
    body = str(httpx.QueryParams(fields)).encode()
    stamp = str(int(time.time()))
    signature = secrets.telnyx.sign(stamp.encode() + b"|" + body)
    headers = {
        "content-type": "application/x-www-form-urlencoded",
        "telnyx-timestamp": stamp,
        "telnyx-signature-ed25519": base64.b64encode(signature).decode(),
    }
    async with httpx.AsyncClient() as client:
        url = f"{server}/telnyx/voice?language=en"
        answer = await client.post(url, content=body, headers=headers)
    assert answer.status_code == 200, answer.text
    stream = ElementTree.fromstring(answer.text).find("Connect/Stream")
    assert stream is not None
    assert stream.attrib["bidirectionalMode"] == "rtp"
    async with connect(local(stream.attrib["url"], server), compression=None) as socket:
        peer = TelnyxPeer(socket)
        await peer.start()
        async with on_the_line(peer):
            yield peer


# --- Vonage


def vonage_jwt(secret: str, body: bytes, **claims: Any) -> str:
    """A signed webhook's token, made by hand."""
    told = {
        "iat": int(time.time()),
        "jti": str(uuid4()),
        "iss": "Vonage",
        "payload_hash": hashlib.sha256(body).hexdigest(),
        **claims,
    }
    parts = [{"alg": "HS256", "typ": "JWT"}, told]
    text = b".".join(base64.urlsafe_b64encode(json.dumps(x).encode()).rstrip(b"=") for x in parts)
    seal = hmac.new(secret.encode(), text, hashlib.sha256).digest()
    return (text + b"." + base64.urlsafe_b64encode(seal).rstrip(b"=")).decode()


class VonagePeer(Peer):
    def __init__(self, socket: ClientConnection) -> None:
        super().__init__()
        self.socket = socket

    async def start(self, content_type: str, headers: dict[str, str]) -> None:
        first = {"event": "websocket:connected", "content-type": content_type, **headers}
        await self.socket.send(json.dumps(first))

    async def send_audio(self, samples: Pcm) -> None:
        await self.socket.send(np.repeat(samples, 2).tobytes())

    async def press(self, digit: str) -> None:
        message = {"event": "websocket:dtmf", "digit": digit, "duration": 260}
        await self.socket.send(json.dumps(message))

    async def listen(self) -> None:
        async for raw in self.socket:
            if isinstance(raw, bytes):
                assert len(raw) == 640
                self.hears(np.frombuffer(raw, np.int16), 16_000)
                continue
            message = json.loads(raw)
            match message["action"]:
                case "clear":
                    self.clears += 1
                    await self.socket.send('{"event":"websocket:cleared"}')
                case "notify":
                    self.marks += 1
                    answer = {"event": "websocket:notify", "payload": message["payload"]}
                    await self.socket.send(json.dumps(answer))


@asynccontextmanager
async def call_vonage(server: str, secrets: Secrets) -> AsyncIterator[Peer]:
    told = {"from": NUMBER[1:], "to": "4930", "uuid": "aaaa-bbbb", "conversation_uuid": "CON-1"}
    body = json.dumps(told).encode()
    headers = {"authorization": f"Bearer {vonage_jwt(secrets.vonage, body)}"}
    async with httpx.AsyncClient() as client:
        url = f"{server}/vonage/answer?language=en"
        answer = await client.post(url, content=body, headers=headers)
    assert answer.status_code == 200, answer.text
    (action,) = answer.json()
    (endpoint,) = action["endpoint"]
    assert (action["action"], endpoint["type"]) == ("connect", "websocket")
    assert len(json.dumps(endpoint["headers"])) <= 512
    async with connect(local(endpoint["uri"], server), compression=None) as socket:
        peer = VonagePeer(socket)
        await peer.start(endpoint["content-type"], endpoint["headers"])
        async with on_the_line(peer):
            yield peer


# --- Asterisk


class ChannelPeer(Peer):
    """chan_websocket with control messages as JSON."""

    def __init__(self, socket: ClientConnection) -> None:
        super().__init__()
        self.socket = socket
        self.commands: list[str] = []

    async def event(self, event: str, **fields: Any) -> None:
        await self.socket.send(json.dumps({"event": event, "channel_id": "1761.1", **fields}))

    async def send_audio(self, samples: Pcm) -> None:
        await self.socket.send(mulaw(samples))

    async def press(self, digit: str) -> None:
        await self.event("DTMF_END", digit=digit, duration_ms=100)

    async def listen(self) -> None:
        async for raw in self.socket:
            if isinstance(raw, bytes):
                assert len(raw) == 160
                self.hears(from_mulaw(raw))
                continue
            message = json.loads(raw)
            self.commands.append(message["command"])
            match message["command"]:
                case "FLUSH_MEDIA":
                    self.clears += 1
                case "MARK_MEDIA":
                    self.marks += 1
                    mark = message["correlation_id"]
                    await self.event("MEDIA_MARK_PROCESSED", correlation_id=mark)
                case "HANGUP":
                    return


async def announce(server: str, secrets: Secrets, call: UUID) -> str:
    """What the dialplan's CURL does before the call."""
    async with httpx.AsyncClient(auth=("tom", secrets.asterisk)) as client:
        fields = {"language": "en", "caller": NUMBER}
        answer = await client.post(f"{server}/asterisk/calls/{call}", data=fields)
    assert answer.status_code == 200, answer.text
    return answer.text


async def handed_over(server: str, secrets: Secrets, call: UUID) -> str:
    """What the dialplan's CURL does after the call."""
    async with httpx.AsyncClient(auth=("tom", secrets.asterisk)) as client:
        answer = await client.get(f"{server}/asterisk/calls/{call}/handover")
    assert answer.status_code == 200, answer.text
    return answer.text


@asynccontextmanager
async def call_asterisk(server: str, secrets: Secrets, call: UUID) -> AsyncIterator[Peer]:
    assert await announce(server, secrets, call) == "ok"
    url = f"{server.replace('http', 'ws')}/asterisk?call={call}"
    login = base64.b64encode(f"tom:{secrets.asterisk}".encode()).decode()
    async with connect(
        url,
        compression=None,
        subprotocols=["media"],  # type: ignore[list-item]
        additional_headers={"Authorization": f"Basic {login}"},
    ) as socket:
        assert socket.subprotocol == "media"
        peer = ChannelPeer(socket)
        await peer.event(
            "MEDIA_START",
            connection_id="tom",
            channel="WebSocket/tom/0x5140001a0040",
            format="ulaw",
            optimal_frame_size=160,
            ptime=20,
            channel_variables={"MEDIA_WEBSOCKET_OPTIMAL_FRAME_SIZE": "160"},
        )
        async with on_the_line(peer):
            yield peer
        assert peer.commands[0] == "ANSWER"


class AudioSocketPeer(Peer):
    """AudioSocket's packets; it plays at once what it is sent."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__()
        self.reader, self.writer = reader, writer

    async def packet(self, kind: int, payload: bytes = b"") -> None:
        self.writer.write(struct.pack(">BH", kind, len(payload)) + payload)
        await self.writer.drain()

    async def send_audio(self, samples: Pcm) -> None:
        await self.packet(0x10, samples.astype("<i2").tobytes())

    async def press(self, digit: str) -> None:
        await self.packet(0x03, digit.encode())

    async def listen(self) -> None:
        while True:
            kind, length = struct.unpack(">BH", await self.reader.readexactly(3))
            payload = await self.reader.readexactly(length)
            if kind == 0x00:
                return
            assert (kind, length) == (0x10, 320)
            self.hears(np.frombuffer(payload, "<i2"))


@asynccontextmanager
async def call_audiosocket(
    server: str, secrets: Secrets, call: UUID, port: int
) -> AsyncIterator[Peer]:
    assert await announce(server, secrets, call) == "ok"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    peer = AudioSocketPeer(reader, writer)
    await peer.packet(0x01, call.bytes)
    try:
        async with on_the_line(peer):
            yield peer
    finally:
        writer.close()


# --- the native door, which the others are held against


class NativePeer(Peer):
    def __init__(self, socket: ClientConnection) -> None:
        super().__init__()
        self.socket = socket

    async def send_audio(self, samples: Pcm) -> None:
        await self.socket.send(mulaw(samples))

    async def press(self, digit: str) -> None:
        await self.socket.send(json.dumps({"type": "dtmf", "digit": digit}))

    async def listen(self) -> None:
        async for raw in self.socket:
            if isinstance(raw, bytes):
                self.hears(from_mulaw(raw))
            elif json.loads(raw)["type"] == "audio.clear":
                self.clears += 1


@asynccontextmanager
async def call_natively(server: str) -> AsyncIterator[Peer]:
    async with connect(f"{server.replace('http', 'ws')}/v1/call", compression=None) as socket:
        audio = {"encoding": "mulaw", "rate": 8000, "channels": 1}
        start = {"type": "start", "language": "en", "caller": NUMBER, "audio": audio}
        await socket.send(json.dumps(start))
        peer = NativePeer(socket)
        async with on_the_line(peer):
            yield peer
