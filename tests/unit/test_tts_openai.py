"""The speech server's client, against a server on a real socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from apps.core.audio import duration_ms, pcm_to_samples, samples_to_pcm
from apps.core.errors import EngineDied, EngineError, EngineUnavailable
from apps.voice.tts.base import SpeechStyle, pcm_of
from apps.voice.tts.openai import OpenAiTts

VOICES = {"en": "alloy", "de": "nova"}
Answer = Callable[["SpeechServer", asyncio.StreamWriter], Awaitable[None]]


@dataclass
class SpeechServer:
    """One answer for all requests; keeps what it was asked."""

    answer: Answer
    url: str = ""
    heads: list[str] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            self.heads.append(head)
            length = head.partition("content-length: ")[2].partition("\r\n")[0]
            if length:
                self.bodies.append(json.loads(await reader.readexactly(int(length))))
            await self.answer(self, writer)
            if await reader.read(1) == b"":
                self.hung_up.set()
        except ConnectionError:
            self.hung_up.set()
        finally:
            writer.close()


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[SpeechServer]:
    speech = SpeechServer(answer)
    server = await asyncio.start_server(speech.serve, "127.0.0.1", 0)
    speech.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield speech


@asynccontextmanager
async def client(url: str, **options: Any) -> AsyncIterator[OpenAiTts]:
    engine = OpenAiTts(url, model="tts-1", voices=VOICES, **options)
    try:
        yield engine
    finally:
        await engine.close()


def tone(seconds: float) -> bytes:
    moments = np.arange(round(seconds * 24_000)) / 24_000
    return samples_to_pcm((8000 * np.sin(2 * np.pi * 500 * moments)).astype(np.int16))


def head(status: str = "200 OK", kind: str = "audio/pcm") -> bytes:
    return (
        f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n".encode()
    )


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


async def a_second_of_tone(server: SpeechServer, writer: asyncio.StreamWriter) -> None:
    pcm = tone(1.0)
    writer.write(head())
    for start in range(0, len(pcm), 4801):  # odd: samples are cut in two
        writer.write(chunk(pcm[start : start + 4801]))
        await writer.drain()
    writer.write(chunk(b""))


async def endless_tone(server: SpeechServer, writer: asyncio.StreamWriter) -> None:
    writer.write(head())
    while True:
        writer.write(chunk(tone(0.1)))
        await writer.drain()
        await asyncio.sleep(0.01)


async def said(engine: OpenAiTts, text: str, style: SpeechStyle) -> bytes:
    return await pcm_of(engine.synthesise(text, style))


async def test_a_sentence_is_asked_for_and_comes_back_at_16_khz() -> None:
    async with serving(a_second_of_tone) as server, client(server.url, api_key="k3y") as engine:
        pcm = await said(engine, "Good morning.", SpeechStyle("en", rate=1.2))
    assert server.bodies == [
        {
            "model": "tts-1",
            "voice": "alloy",
            "input": "Good morning.",
            "response_format": "pcm",
            "speed": 1.2,
        }
    ]
    assert server.heads[0].startswith("post /v1/audio/speech ")
    assert "authorization: bearer k3y" in server.heads[0]
    assert abs(duration_ms(pcm) - 1000) < 1
    spectrum = np.abs(np.fft.rfft(pcm_to_samples(pcm).astype(float)))
    assert abs(int(np.argmax(spectrum)) - 500) < 3


async def test_a_base_url_may_name_the_version_and_a_style_its_voice() -> None:
    async with serving(a_second_of_tone) as server, client(server.url + "/v1/") as engine:
        await said(engine, "Guten Morgen.", SpeechStyle("de", voice="echo"))
    assert server.heads[0].startswith("post /v1/audio/speech ")
    assert server.bodies[0]["voice"] == "echo"
    assert "authorization" not in server.heads[0]


async def test_audio_is_passed_on_as_it_comes_and_giving_up_closes_the_request() -> None:
    async with serving(endless_tone) as server, client(server.url) as engine:
        async with aclosing(engine.synthesise("Hello.", SpeechStyle("en"))) as chunks:
            assert duration_ms(await anext(chunks)) > 50
        async with asyncio.timeout(5):
            await server.hung_up.wait()


async def test_a_server_that_falls_silent_misses_its_deadline() -> None:
    async def silent(server: SpeechServer, writer: asyncio.StreamWriter) -> None:
        writer.write(head() + chunk(tone(0.1)))
        await writer.drain()

    async with serving(silent) as server, client(server.url, chunk_deadline_s=0.1) as engine:
        with pytest.raises(EngineError) as caught:
            await said(engine, "Hello.", SpeechStyle("en"))
    assert caught.value.code == "engine_timeout"


async def test_a_connection_that_breaks_in_the_middle_is_told() -> None:
    async def breaks(server: SpeechServer, writer: asyncio.StreamWriter) -> None:
        writer.write(head() + chunk(tone(0.1)))
        await writer.drain()
        writer.close()

    async with serving(breaks) as server, client(server.url) as engine:
        with pytest.raises(EngineDied):
            await said(engine, "Hello.", SpeechStyle("en"))


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        ("500 Oops", "audio/pcm", "status 500"),
        ("200 OK", "application/json", "application/json"),
        ("200 OK", "text/html; charset=utf-8", "text/html"),
    ],
)
async def test_an_answer_that_is_no_audio_is_never_spoken(
    status: str, kind: str, words: str
) -> None:
    async def refuses(server: SpeechServer, writer: asyncio.StreamWriter) -> None:
        writer.write(head(status, kind) + chunk(b"{}") + chunk(b""))

    async with serving(refuses) as server, client(server.url) as engine:
        with pytest.raises(EngineError, match=words):
            await said(engine, "Hello.", SpeechStyle("en"))


async def test_a_language_without_a_voice_is_refused() -> None:
    async with client("http://127.0.0.1:9") as engine:
        with pytest.raises(EngineUnavailable, match="'fr'"):
            await said(engine, "Bonjour.", SpeechStyle("fr"))


@pytest.mark.parametrize(
    ("status", "fine"), [("200 OK", True), ("404 No", True), ("401 No", False), ("403 No", False)]
)
async def test_the_start_needs_a_server_that_takes_the_key(status: str, fine: bool) -> None:
    async def answers(server: SpeechServer, writer: asyncio.StreamWriter) -> None:
        writer.write(head(status, "application/json") + chunk(b"{}") + chunk(b""))

    async with serving(answers) as server, client(server.url) as engine:
        if fine:
            await engine.start()
        else:
            with pytest.raises(EngineUnavailable, match="key"):
                await engine.start()


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "nonsense", "http://[broken"])
async def test_a_server_that_is_not_there_is_unavailable(url: str) -> None:
    with pytest.raises(EngineUnavailable):
        async with client(url) as engine:
            await engine.start()
