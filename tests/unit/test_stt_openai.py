"""The transcription server's client, against a server on a real socket."""

from __future__ import annotations

import asyncio
import io
import json
import wave
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.parser import BytesParser
from typing import Any

import pytest

from apps.core.errors import EngineDied, EngineError, EngineOverloaded, EngineUnavailable
from apps.voice.stt.base import ListenOptions, Transcript
from apps.voice.stt.openai import OpenAiStt

SPEECH = bytes(range(256)) * 100
GERMAN = ListenOptions("de", "kfz", bias_words=("Kennzeichen", "Zulassung"))
Answer = Callable[["Server", asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Server:
    """Gives one answer to all requests, and keeps what it was asked."""

    answer: Answer
    url: str = ""
    heads: list[str] = field(default_factory=list)
    forms: list[dict[str, bytes]] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            self.heads.append(head)
            length = int(head.partition("content-length: ")[2].partition("\r\n")[0] or 0)
            if length:
                self.forms.append(form(head, await reader.readexactly(length)))
            self.asked.set()
            await self.answer(self, writer)
            if await reader.read(1) == b"":
                self.hung_up.set()
        except ConnectionError:
            self.hung_up.set()
        finally:
            writer.close()


def form(head: str, body: bytes) -> dict[str, bytes]:
    """Return a multipart form's fields."""
    kind = head.partition("content-type: ")[2].partition("\r\n")[0]
    message = BytesParser().parsebytes(f"Content-Type: {kind}\r\n\r\n".encode() + body)
    fields = {}
    for part in message.get_payload():
        name = part.get_param("name", header="content-disposition")
        fields[name] = part.get_payload(decode=True)
    return fields


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[Server]:
    fake = Server(answer)
    server = await asyncio.start_server(fake.serve, "127.0.0.1", 0)
    fake.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield fake


@asynccontextmanager
async def client(url: str, **options: Any) -> AsyncIterator[OpenAiStt]:
    engine = OpenAiStt(url, model="whisper-1", **options)
    try:
        yield engine
    finally:
        await engine.close()


def answering(body: object, status: str = "200 OK") -> Answer:
    async def answer(server: Server, writer: asyncio.StreamWriter) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        writer.write(
            f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(data)}\r\n\r\n".encode()
            + data
        )
        await writer.drain()

    return answer


async def silence(server: Server, writer: asyncio.StreamWriter) -> None:
    """Answer nothing."""


async def hang_up(server: Server, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def test_an_utterance_is_sent_as_wav_and_its_words_come_back() -> None:
    answer = answering({"text": " Ich möchte ummelden. "})
    async with serving(answer) as server, client(server.url, api_key="secret") as engine:
        utterance = engine.listen(GERMAN)
        utterance.feed(SPEECH[:1000])
        utterance.feed(SPEECH[1000:])
        transcript = await utterance.finish()

    assert transcript == Transcript("Ich möchte ummelden.", None, is_final=True, model="whisper-1")
    assert server.heads[0].startswith("post /v1/audio/transcriptions ")
    assert "authorization: bearer secret" in server.heads[0]
    sent = server.forms[0]
    assert sent["language"] == b"de"
    assert sent["model"] == b"whisper-1"
    assert sent["prompt"] == b"Zulassung, Kennzeichen"
    with wave.open(io.BytesIO(sent["file"])) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
        assert file.readframes(file.getnframes()) == SPEECH


async def test_more_bias_words_than_fit_leave_the_most_important_ones() -> None:
    words = tuple(f"word{number}" for number in range(1000))
    async with serving(answering({"text": "x"})) as server, client(server.url) as engine:
        utterance = engine.listen(ListenOptions("en", "kfz", bias_words=words))
        utterance.feed(SPEECH)
        await utterance.finish()

    prompt = server.forms[0]["prompt"].decode()
    assert len(prompt) <= 600
    assert prompt.endswith("word1, word0")


async def test_an_utterance_without_audio_asks_nobody() -> None:
    async with client("http://127.0.0.1:9") as engine:
        assert await engine.listen(GERMAN).finish() == Transcript("", 0.0, is_final=True)


@pytest.mark.parametrize(
    "answer",
    [
        answering({"error": "no such model"}, status="404 Not Found"),
        answering({}, status="500 Internal Server Error"),
        answering(b"<html>"),
        answering({"words": []}),
        answering({"text": None}),
        answering(["text"]),
    ],
)
async def test_an_answer_that_is_no_transcript_is_the_engines_error(answer: Answer) -> None:
    async with serving(answer) as server, client(server.url) as engine:
        utterance = engine.listen(GERMAN)
        utterance.feed(SPEECH)
        with pytest.raises(EngineError, match="transcription server answered with"):
            await utterance.finish()


async def test_a_connection_that_breaks_is_said() -> None:
    async with serving(hang_up) as server, client(server.url) as engine:
        utterance = engine.listen(GERMAN)
        utterance.feed(SPEECH)
        with pytest.raises(EngineDied):
            await utterance.finish()


async def test_a_server_that_does_not_answer_in_time_is_given_up_and_hung_up_on() -> None:
    async with serving(silence) as server, client(server.url, deadline_s=0.1) as engine:
        utterance = engine.listen(GERMAN)
        utterance.feed(SPEECH)
        with pytest.raises(EngineError) as caught:
            await utterance.finish()
        assert caught.value.code == "engine_timeout"
        await asyncio.wait_for(server.hung_up.wait(), 5)


async def test_an_utterance_that_is_cancelled_closes_its_request_and_says_nothing() -> None:
    async with serving(silence) as server, client(server.url) as engine:
        utterance = engine.listen(GERMAN)
        utterance.feed(SPEECH)
        waiting = asyncio.create_task(utterance.finish())
        await asyncio.wait_for(server.asked.wait(), 5)
        utterance.cancel()

        assert (await waiting).text == ""
        await asyncio.wait_for(server.hung_up.wait(), 5)
        utterance.feed(SPEECH)
        assert (await utterance.finish()).text == ""


async def test_a_caller_that_stops_waiting_closes_the_request() -> None:
    async with serving(silence) as server, client(server.url) as engine:
        utterance = engine.listen(GERMAN)
        utterance.feed(SPEECH)
        waiting = asyncio.create_task(utterance.finish())
        await asyncio.wait_for(server.asked.wait(), 5)
        waiting.cancel()

        with pytest.raises(asyncio.CancelledError):
            await waiting
        await asyncio.wait_for(server.hung_up.wait(), 5)


async def test_an_endless_utterance_is_refused() -> None:
    async with client("http://127.0.0.1:9") as engine:
        utterance = engine.listen(GERMAN)
        utterance.feed(bytes(120 * 32_000))
        with pytest.raises(EngineOverloaded):
            utterance.feed(bytes(2))
        utterance.cancel()


async def test_a_server_that_is_there_passes_the_start_and_one_that_is_not_does_not() -> None:
    async with serving(answering({"data": []})) as server, client(server.url + "/v1/") as engine:
        await engine.start()
        assert engine.ready
        assert server.heads[0].startswith("get /v1/models ")
    assert not engine.ready
    async with client(server.url) as engine:
        with pytest.raises(EngineUnavailable, match="cannot be reached"):
            await engine.start()


async def test_a_key_that_is_refused_is_said_at_the_start() -> None:
    refusal = answering({}, status="401 Unauthorized")
    async with serving(refusal) as server, client(server.url) as engine:
        with pytest.raises(EngineUnavailable, match="refuses the key"):
            await engine.start()


async def test_a_language_that_the_model_does_not_hear_is_refused() -> None:
    async with client("http://127.0.0.1:9", languages=frozenset({"en"})) as engine:
        with pytest.raises(EngineUnavailable, match="'de'"):
            engine.listen(GERMAN)
