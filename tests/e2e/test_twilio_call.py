"""A call through Twilio's media stream to a real server, by a telephone exchange of a few lines."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from apps.core.resources import resource
from apps.store.call_tables import calls
from apps.voice.audiofile import read_audio
from apps.voice.resample import resample
from tests.e2e.phone import from_mulaw, mulaw
from tests.e2e.servers import Running, wait_until

pytestmark = pytest.mark.slow

SID = "MZ0123456789abcdef0123456789abcdef"
QUIET = b"\xff" * 160


class Exchange:
    """Twilio's end of one stream: it plays at the pace of a telephone and echoes marks."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.heard = bytearray()
        self.clears = self.marks = 0
        self.to_say = bytearray()
        self._changed = asyncio.Event()

    async def send(self, event: str, **fields: Any) -> None:
        await self.socket.send(json.dumps({"event": event, "streamSid": SID, **fields}))

    async def start(self, **parameters: str) -> None:
        await self.send("connected", protocol="Call", version="1.0.0")
        media_format = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
        body = {"streamSid": SID, "callSid": "CA1", "mediaFormat": media_format}
        await self.send("start", start={**body, "customParameters": parameters})

    async def talk(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            frame = bytes(self.to_say[:160]).ljust(160, b"\xff")
            del self.to_say[:160]
            payload = base64.b64encode(frame).decode()
            await self.send("media", media={"track": "inbound", "payload": payload})
            due += 0.02
            await asyncio.sleep(max(0.0, due - loop.time()))

    async def listen(self) -> None:
        async for raw in self.socket:
            message = json.loads(raw)
            assert message["streamSid"] == SID
            match message["event"]:
                case "media":
                    self.heard += base64.b64decode(message["media"]["payload"])
                case "clear":
                    self.clears += 1
                case "mark":
                    self.marks += 1
                    await self.send("mark", mark=message["mark"])
            self._changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def until_silence(self) -> None:
        """Wait until the assistant has begun to speak and then fallen silent."""
        await self.until(lambda: len(self.heard) > 0)
        before = -1
        while before != len(self.heard):
            before = len(self.heard)
            await asyncio.sleep(1.0)


async def hold(server: Running) -> Exchange:
    """Listen to the greeting, ask, break into the answer, press a key, hang up."""
    question = resample(read_audio(resource("demo", "slt", "question.flac")), 16_000, 8000)
    address = server.url.replace("http://", "ws://") + "/twilio"
    async with connect(address, compression=None) as socket:
        exchange = Exchange(socket)
        await exchange.start(language="en")
        tasks = [asyncio.create_task(exchange.talk()), asyncio.create_task(exchange.listen())]
        try:
            await exchange.until_silence()
            greeting = len(exchange.heard)
            exchange.to_say += mulaw(question)
            await exchange.until(lambda: len(exchange.heard) > greeting + 8000)
            exchange.to_say += mulaw(question)
            await exchange.until(lambda: exchange.clears > 0)
            await exchange.send("dtmf", dtmf={"track": "inbound_track", "digit": "0"})
            await exchange.send("stop", stop={"callSid": "CA1"})
            await asyncio.wait_for(tasks[1], 20)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    return exchange


def test_a_telephone_call_from_greeting_to_hanging_up(quick: Running) -> None:
    exchange = asyncio.run(hold(quick))
    samples = from_mulaw(bytes(exchange.heard)).astype(np.float64)
    assert np.sqrt(np.mean(samples**2)) > 200
    assert exchange.marks >= len(exchange.heard) // (160 * 25) - 1
    assert exchange.clears >= 1
    assert exchange.socket.close_code == 1000
    wait_until(lambda: quick.ready()["live_calls"] == 0)
    with quick.database().reading() as conn:
        rows = conn.execute(calls.select().where(calls.c.door == "twilio")).all()
    assert [(row.language, row.reason) for row in rows] == [("en", "caller_hung_up")]


def test_a_browser_s_page_cannot_use_the_telephone_s_way_in(quick: Running) -> None:
    async def scenario() -> int:
        address = quick.url.replace("http://", "ws://") + "/twilio"
        with pytest.raises(InvalidStatus) as refused:
            async with connect(address, origin="https://elsewhere.example"):  # type: ignore[arg-type]
                pass
        return refused.value.response.status_code

    assert asyncio.run(scenario()) == 403
