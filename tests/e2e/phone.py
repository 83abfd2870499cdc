"""A phone written from docs/protocol.md alone: nothing of TOM's own client is used."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

PATIENCE_S = 45.0

Pcm = NDArray[np.int16]


class Phone:
    """One call."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.messages: list[dict[str, Any]] = []
        self.audio = bytearray()
        self.to_say = bytearray()
        self.frame_bytes = 640
        self.quiet = b"\0"
        self._changed, self._said = asyncio.Event(), asyncio.Event()
        self.over = False

    # --- what it does

    async def send(self, **message: Any) -> None:
        await self.socket.send(json.dumps(message))

    async def say(self, encoded: bytes) -> None:
        """Say something, and wait until the last of it has been sent."""
        self.to_say += encoded
        while self.to_say:
            self._said.clear()
            await self._said.wait()

    async def talk(self) -> None:
        """Send 20 ms every 20 ms, silence included."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        try:
            while True:
                frame = bytes(self.to_say[: self.frame_bytes])
                del self.to_say[: self.frame_bytes]
                missing = self.frame_bytes - len(frame)
                await self.socket.send(frame + self.quiet * missing)
                self._said.set()
                due += 0.02
                await asyncio.sleep(max(0.0, due - loop.time()))
        except ConnectionClosed:
            return

    async def listen(self) -> None:
        try:
            async for message in self.socket:
                if isinstance(message, bytes):
                    self.audio += message
                else:
                    self.messages.append(json.loads(message))
                self._changed.set()
        except ConnectionClosed:
            pass
        self.over = True
        self._changed.set()

    # --- what it knows

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [m for m in self.messages if m["type"] == kind]

    @property
    def state(self) -> str:
        states = self.of("state")
        return str(states[-1]["state"]) if states else ""

    def said(self, role: str) -> list[str]:
        return [m["text"] for m in self.of("transcript.final") if m["role"] == role]

    @property
    def sources(self) -> list[str]:
        return [s for m in self.of("transcript.final") for s in m.get("sources", [])]

    @property
    def reason(self) -> str | None:
        ended = self.of("call.ended")
        return str(ended[-1]["reason"]) if ended else None

    @property
    def close_code(self) -> int | None:
        return self.socket.close_code

    async def until(
        self, condition: Callable[[Phone], object], seconds: float = PATIENCE_S
    ) -> None:
        async with asyncio.timeout(seconds):
            while not condition(self):
                assert not self.over, f"the call is over: {self.messages[-3:]} {self.close_code}"
                self._changed.clear()
                await self._changed.wait()

    async def ends(self, seconds: float = PATIENCE_S) -> None:
        async with asyncio.timeout(seconds):
            while not self.over:
                self._changed.clear()
                await self._changed.wait()

    # --- a typed conversation

    async def ask(self, text: str) -> list[str]:
        """Type something once it is one's turn; returns the assistant's sentences."""
        await self.until(lambda p: p.state in ("listening", "awaiting_rating"))
        before, states = len(self.said("assistant")), len(self.of("state"))
        await self.send(type="text", text=text)
        await self.until(
            lambda p: (
                p.reason is not None
                or (
                    len(p.of("state")) > states
                    and p.state in ("listening", "awaiting_rating")
                    and len(p.said("assistant")) > before
                )
            )
        )
        return self.said("assistant")[before:]


@asynccontextmanager
async def dial(calls: str, **start: Any) -> AsyncIterator[Phone]:
    """Call; the given fields are those of the start message."""
    async with connect(calls, compression=None, max_size=2**20) as socket:
        phone = Phone(socket)
        tasks = [asyncio.create_task(phone.listen())]
        try:
            await phone.send(type="start", **start)
            if start.get("mode", "audio") == "audio":
                audio = start.get("audio", {})
                mulaw = audio.get("encoding") == "mulaw"
                phone.frame_bytes = audio.get("rate", 16000) // 50 * (1 if mulaw else 2)
                phone.quiet = b"\xff" if mulaw else b"\0"
                tasks.append(asyncio.create_task(phone.talk()))
            yield phone
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def mulaw(samples: Pcm) -> bytes:
    """G.711 µ-law, by the formula of ITU-T G.711's segments."""
    value = np.clip(np.abs(samples.astype(np.int32)) >> 2, 0, 8158) + 33
    segment = np.floor(np.log2(value)).astype(np.int32) - 5
    mantissa = (value >> (segment + 1)) & 0xF
    sign = np.where(samples < 0, 0x80, 0)
    return bytes((~(sign | (segment << 4) | mantissa) & 0xFF).astype(np.uint8))


def from_mulaw(encoded: bytes) -> Pcm:
    """The inverse."""
    byte = ~np.frombuffer(encoded, np.uint8).astype(np.int32) & 0xFF
    segment, mantissa = (byte >> 4) & 7, byte & 0xF
    size = ((((mantissa << 1) + 33) << segment) - 33) << 2
    return np.where(byte & 0x80, -size, size).astype(np.int16)
