"""The callers' ends of the doors over WebSockets, and what the ends of all doors have in common."""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from websockets.asyncio.client import ClientConnection, connect

from apps.core.audio import Samples
from apps.core.clock import loop_ms
from apps.voice.g711 import ulaw_decode, ulaw_encode
from benchmarks.pipecat.measure import Playout

FRAME_MS = 20.0


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the server is, on 127.0.0.1."""

    http: int
    sip: int


class Listener(Protocol):
    """The caller's ear."""

    def heard(self, at_ms: float, samples: Samples) -> None:
        """Take what has just come, at the wire's rate."""
        ...

    def cleared(self, at_ms: float) -> None:
        """Drop what was not played yet."""
        ...


class Wire(Protocol):
    """One caller's connection to one door.

    Attributes:
        rate_hz: Of the audio.
        streams: The server sends silence too, and nothing ahead of its time.
    """

    rate_hz: int
    streams: bool

    def encode(self, samples: Samples) -> list[bytes]:
        """Return samples at the wire's rate as payloads of 20 ms."""
        ...

    async def open(self, ports: Ports, listener: Listener) -> None:
        """Call, and return once audio can be sent."""
        ...

    async def send(self, payload: bytes) -> None:
        """Send 20 ms."""
        ...

    async def close(self) -> None:
        """Hang up."""
        ...


def frames(samples: Samples, rate_hz: int) -> list[Samples]:
    """Return samples in pieces of 20 ms, the last one filled up with silence."""
    length = rate_hz // 50
    whole = np.pad(samples, (0, -len(samples) % length))
    return list(whole.reshape(-1, length))


class _SocketWire:
    """A call over one WebSocket."""

    streams = False
    path = ""

    def __init__(self) -> None:
        self._socket: ClientConnection
        self._listening: asyncio.Task[None]

    async def open(self, ports: Ports, listener: Listener) -> None:
        """Connect, say what is wanted, and listen."""
        address = f"ws://127.0.0.1:{ports.http}{self.path}"
        self._socket = await connect(address, compression=None, ping_interval=None)
        await self._begin()
        self._listening = asyncio.create_task(self._listen(listener))

    async def close(self) -> None:
        """Hang up."""
        await self._socket.send(self._goodbye())
        self._listening.cancel()
        await asyncio.gather(self._listening, return_exceptions=True)
        await self._socket.close()

    async def _listen(self, listener: Listener) -> None:
        async for raw in self._socket:
            self._take(loop_ms(), raw, listener)

    async def _begin(self) -> None:
        raise NotImplementedError

    def _goodbye(self) -> str:
        raise NotImplementedError

    def _take(self, now: float, raw: str | bytes, listener: Listener) -> None:
        raise NotImplementedError


class WebSocketWire(_SocketWire):
    """A caller of the native door: 16 kHz PCM in binary messages."""

    rate_hz = 16_000
    path = "/v1/call"

    def encode(self, samples: Samples) -> list[bytes]:
        """Return PCM."""
        return [frame.astype("<i2").tobytes() for frame in frames(samples, self.rate_hz)]

    async def send(self, payload: bytes) -> None:
        """Send 20 ms."""
        await self._socket.send(payload)

    async def _begin(self) -> None:
        await self._socket.send(json.dumps({"type": "start", "language": "en"}))

    def _goodbye(self) -> str:
        return json.dumps({"type": "hangup"})

    def _take(self, now: float, raw: str | bytes, listener: Listener) -> None:
        if isinstance(raw, bytes):
            listener.heard(now, np.frombuffer(raw, "<i2"))
        elif raw.startswith('{"type": "audio.clear"'):
            listener.cleared(now)


class TwilioWire(_SocketWire):
    """A caller by Twilio: µ-law as base64 in JSON; marks come back once they were played.

    Args:
        sid: The stream's name.
    """

    rate_hz = 8000
    path = "/twilio"

    def __init__(self, sid: str) -> None:
        super().__init__()
        self._sid = sid
        self._head = (
            f'{{"event":"media","streamSid":"{sid}","media":{{"track":"inbound","payload":"'
        )
        self._playout = Playout()
        self._marks: list[tuple[float, str]] = []

    def encode(self, samples: Samples) -> list[bytes]:
        """Return µ-law in base64."""
        return [base64.b64encode(ulaw_encode(f)) for f in frames(samples, self.rate_hz)]

    async def send(self, payload: bytes) -> None:
        """Send 20 ms, and the marks whose audio has been played."""
        await self._socket.send(f'{self._head}{payload.decode("ascii")}"}}}}')
        now = loop_ms()
        while self._marks and self._marks[0][0] <= now:
            name = self._marks.pop(0)[1]
            mark = {"event": "mark", "streamSid": self._sid, "mark": {"name": name}}
            await self._socket.send(json.dumps(mark))

    async def _begin(self) -> None:
        connected = {"event": "connected", "protocol": "Call", "version": "1.0.0"}
        await self._socket.send(json.dumps(connected))
        body = {
            "streamSid": self._sid,
            "callSid": f"CA{self._sid}",
            "accountSid": "AC0",
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": {"language": "en"},
        }
        start = {"event": "start", "sequenceNumber": "1", "start": body, "streamSid": self._sid}
        await self._socket.send(json.dumps(start))

    def _goodbye(self) -> str:
        return json.dumps({"event": "stop", "streamSid": self._sid})

    def _take(self, now: float, raw: str | bytes, listener: Listener) -> None:
        message: dict[str, Any] = json.loads(raw)
        match message.get("event"):
            case "media":
                audio = base64.b64decode(message["media"]["payload"])
                self._playout.push(now, len(audio) / 8, True, 0)
                listener.heard(now, ulaw_decode(audio))
            case "mark":
                self._marks.append((self._playout.free_ms, message["mark"]["name"]))
            case "clear":
                self._playout.clear(now)
                self._marks = [(now, name) for _, name in self._marks]
                listener.cleared(now)
