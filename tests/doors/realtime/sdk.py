"""Calls by the official OpenAI SDK, spoken and typed: `python -m tests.doors.realtime.sdk`.

The server listens and speaks with its own engines; the SDK's types are what it is held to.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection

from apps.core.resources import resource
from apps.voice.audiofile import read_audio
from apps.voice.resample import resample
from tests.doors.parts import Part, check, run_parts, tell
from tests.e2e.servers import Running

RATE_HZ = 24_000
FRAME = RATE_HZ // 50 * 2
COST = "how much does it cost to register a car"


def recording(name: str) -> bytes:
    """Return one of the demonstration's recordings as the API's 24 kHz PCM."""
    spoken = read_audio(resource("demo", "slt", f"{name}.flac"))
    return bytes(resample(spoken, 16_000, RATE_HZ).tobytes())


class Session:
    """A session by the SDK: it speaks when told to, and keeps every event."""

    def __init__(self, connection: AsyncRealtimeConnection) -> None:
        self.connection = connection
        self.events: list[Any] = []
        self.to_say = bytearray()
        self.over = False
        self.silent = asyncio.Event()
        self._changed = asyncio.Event()

    async def listen(self) -> None:
        """Take events to the session's end."""
        async for event in self.connection:
            self.events.append(event)
            self._changed.set()
        self.over = True
        self._changed.set()

    async def talk(self) -> None:
        """Send 20 ms every 20 ms."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while not self.over:
            frame = bytes(self.to_say[:FRAME]).ljust(FRAME, b"\0")
            del self.to_say[:FRAME]
            if not self.to_say:
                self.silent.set()
            await self.connection.input_audio_buffer.append(audio=base64.b64encode(frame).decode())
            due += 0.02
            await asyncio.sleep(max(0.0, due - loop.time()))

    async def type(self, text: str) -> None:
        """Type something, and have it answered."""
        await self.connection.conversation.item.create(
            item={
                "type": "message",
                "role": "user",
                "content": [{"type": "input_text", "text": text}],
            }
        )
        await self.connection.response.create()

    def of(self, kind: str) -> list[Any]:
        """Return the events of one type."""
        return [event for event in self.events if event.type == kind]

    def said(self) -> list[str]:
        """Return what the assistant said, response by response."""
        return [
            part.transcript or part.text or ""
            for event in self.of("response.done")
            for item in event.response.output
            if item.type == "message"
            for part in item.content
        ]

    def functions(self) -> list[tuple[str, dict[str, Any]]]:
        """Return the functions that were called."""
        items = [item for e in self.of("response.done") for item in e.response.output]
        calls = [item for item in items if item.type == "function_call"]
        return [(call.name, json.loads(call.arguments)) for call in calls]

    def loudness(self) -> float:
        """Return the RMS of all audio that came."""
        deltas = [base64.b64decode(e.delta) for e in self.of("response.output_audio.delta")]
        heard = np.frombuffer(b"".join(deltas), "<i2").astype(float)
        return float(np.sqrt(np.mean(heard**2))) if len(heard) else 0.0

    async def until_done(self, count: int, status: str = "completed") -> None:
        """Wait until so many responses have ended with a status."""
        while sum(e.response.status == status for e in self.of("response.done")) < count:
            check(not self.over, "the session ended")
            self._changed.clear()
            await self._changed.wait()

    async def until(self, kind: str, count: int = 1) -> None:
        """Wait until so many events of one type have come."""
        while len(self.of(kind)) < count:
            check(not self.over, f"the session ended before {count} of {kind}")
            self._changed.clear()
            await self._changed.wait()

    async def until_over(self) -> None:
        """Wait until the server has ended the session."""
        while not self.over:
            self._changed.clear()
            await self._changed.wait()


@asynccontextmanager
async def session(server: Running, **wanted: Any) -> AsyncIterator[Session]:
    """Open a session; it must end by itself or with the block."""
    url = server.url + "/v1"
    async with (
        AsyncOpenAI(api_key="any", base_url=url, websocket_base_url=url) as client,
        client.realtime.connect(model="kfz") as connection,
    ):
        mine = Session(connection)
        await connection.session.update(session={"type": "realtime", **wanted})  # type: ignore[misc]
        tasks = [asyncio.create_task(mine.listen())]
        if "output_modalities" not in wanted:
            tasks.append(asyncio.create_task(mine.talk()))
        try:
            async with asyncio.timeout(90):
                yield mine
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    errors = [event.error.message for event in mine.of("error")]
    check(not errors, f"refused: {errors}")


async def spoken(server: Running, folder: Path) -> None:
    """Ask aloud, break in, ask again, say goodbye, and rate."""
    english = {"input": {"transcription": {"language": "en"}}}
    async with session(server, audio=english) as call:
        await call.until_done(1)
        call.to_say += recording("question")
        await call.until("response.created", 2)
        greeting = len(call.of("response.output_audio.delta"))
        await call.until("response.output_audio.delta", greeting + 50)
        call.to_say += recording("barge-in")
        await call.until_done(1, "cancelled")
        await call.until("response.created", 3)
        await call.until_done(2)
        await call.type("goodbye")
        await call.until_done(3)
        call.to_say += recording("rating")
        await call.until_over()
    kind = "conversation.item.input_audio_transcription.completed"
    heard = [event.transcript for event in call.of(kind)]
    tell(f"    understood {heard}; called {call.functions()}")
    check("register" in heard[0], f"the question was not understood: {heard}")
    check(call.loudness() > 500, f"the answers are hardly heard: {call.loudness():.0f}")
    check(call.functions()[-1] == ("end_call", {"reason": "completed"}), "no end_call")


async def typed(server: Running, folder: Path) -> None:
    """Ask, get text alone, say goodbye, rate; the API's function call ends it."""
    async with session(server, output_modalities=["text"]) as call:
        await call.until_done(1)
        await call.type(COST)
        await call.until_done(2)
        await call.type("goodbye")
        await call.until_done(3)
        await call.type("five")
        await call.until_over()
    check(any("euros" in text for text in call.said()), f"no answer: {call.said()}")
    check(call.loudness() == 0.0, "audio came in a session of text")
    check(call.functions()[-1] == ("end_call", {"reason": "completed"}), "no end_call")


async def by_hand(server: Running, folder: Path) -> None:
    """Say when a turn ends, cancel its answer, and cut its item to what was heard."""
    by_hand = {"input": {"turn_detection": None, "transcription": {"language": "en"}}}
    async with session(server, audio=by_hand) as call:
        await call.until_done(1)
        call.to_say += recording("question")
        call.silent.clear()
        await call.silent.wait()
        await call.connection.input_audio_buffer.commit()
        greeting = len(call.of("response.output_audio.delta"))
        await call.until("response.output_audio.delta", greeting + 40)
        await call.connection.response.cancel()
        await call.until_done(1, "cancelled")
        item = call.of("response.output_item.added")[-1].item.id
        await call.connection.conversation.item.truncate(
            item_id=item, content_index=0, audio_end_ms=300
        )
        await call.until("conversation.item.truncated")
    check(not call.of("input_audio_buffer.speech_started"), "turns were found all the same")


PARTS: dict[str, Part] = {
    "OpenAI SDK, spoken": spoken,
    "OpenAI SDK, typed": typed,
    "OpenAI SDK, turns by hand": by_hand,
}

if __name__ == "__main__":
    sys.exit(run_parts(PARTS))
