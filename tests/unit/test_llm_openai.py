"""The client of OpenAI-compatible servers, against a real server on this machine."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field

import pytest
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from hypothesis import given
from hypothesis import strategies as st

from apps.core.errors import EngineError, EngineUnavailable
from apps.llm.chat_stream import Chunk, SseParser, read_chunk
from apps.llm.openai import OpenAiGenerator
from tests.language_server import a_prompt, text_of
from tests.waiting import until


def chunk(text: str) -> str:
    return "data: " + json.dumps({"choices": [{"delta": {"content": text}}]}) + "\n\n"


@dataclass
class Server:
    """What the server does, and what it saw."""

    pieces: list[str] = field(
        default_factory=lambda: [chunk("Bring "), chunk("it."), "data: [DONE]\n\n"]
    )
    wait_first_s: float = 0.0
    wait_between_s: float = 0.0
    status: int = 200
    url: str = ""
    asked: dict[str, object] = field(default_factory=dict)
    authorization: str = ""
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)

    def app(self) -> FastAPI:
        app = FastAPI()

        @app.post("/v1/chat/completions")
        async def chat(request: Request) -> Response:
            self.asked = await request.json()
            self.arrived.set()
            self.authorization = request.headers.get("authorization", "")
            if self.status != 200:
                return JSONResponse({"error": "no"}, status_code=self.status)
            return StreamingResponse(self.answer(), media_type="text/event-stream")

        @app.get("/v1/models")
        async def models() -> dict[str, object]:
            return {"data": [{"id": "base"}, {"id": "adapter"}]}

        return app

    async def answer(self) -> AsyncIterator[str]:
        try:
            await asyncio.sleep(self.wait_first_s)
            for piece in self.pieces:
                yield piece
                await asyncio.sleep(self.wait_between_s)
        except asyncio.CancelledError:
            self.hung_up.set()
            raise


@asynccontextmanager
async def serving(server: Server) -> AsyncGenerator[Server, None]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        config = uvicorn.Config(server.app(), log_level="warning", lifespan="off", ws="none")
        running = uvicorn.Server(config)
        task = asyncio.create_task(running.serve(sockets=[listener]))
        try:
            await until(lambda: running.started)
            yield server
        finally:
            running.should_exit = True
            running.force_exit = True
            await task


@asynccontextmanager
async def client(
    server: Server, *, first_token_s: float = 2.0, total_s: float = 10.0
) -> AsyncGenerator[OpenAiGenerator, None]:
    async with serving(server):
        generator = OpenAiGenerator(
            server.url, model="adapter", api_key="key",
            first_token_s=first_token_s, total_s=total_s,
        )  # fmt: skip
        try:
            yield generator
        finally:
            await generator.close()


async def test_an_answer_is_streamed_for_the_assembled_prompt() -> None:
    async with client(Server()) as generator:
        assert await text_of(generator) == "Bring it."
        assert await generator.models() == ("base", "adapter")


async def test_the_server_is_asked_by_model_and_key_with_the_prompts_messages() -> None:
    server = Server()
    async with client(server) as generator:
        await text_of(generator)
    assert server.asked["model"] == "adapter"
    assert server.asked["stream"] is True
    assert server.asked["messages"] == a_prompt().messages()
    assert server.authorization == "Bearer key"


async def test_closing_the_stream_hangs_up_on_the_server() -> None:
    server = Server(pieces=[chunk("word ")] * 500, wait_between_s=0.02)
    async with client(server) as generator:
        async with aclosing(generator.stream(a_prompt())) as pieces:
            assert await anext(pieces) == "word "
        await asyncio.wait_for(server.hung_up.wait(), 3)


async def test_cancelling_the_turn_hangs_up_on_the_server() -> None:
    server = Server(wait_first_s=30.0)
    async with client(server, first_token_s=20.0) as generator:
        task = asyncio.create_task(text_of(generator))
        await asyncio.wait_for(server.arrived.wait(), 3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(server.hung_up.wait(), 3)


@pytest.mark.parametrize(
    ("server", "code"),
    [
        (Server(wait_first_s=5.0), "llm_first_token_late"),
        (Server(pieces=[chunk("a ")] * 50, wait_between_s=0.1), "llm_late"),
        (Server(status=401), "llm_refused"),
        (Server(status=500), "llm_refused"),
        (Server(pieces=[chunk("half an ")]), "llm_broke_off"),
        (Server(pieces=["data: [DONE]\n\n"]), "llm_empty"),
        (Server(pieces=["data: {\"error\": {\"message\": \"secret\"}}\n\n"]), "llm_error"),
        (Server(pieces=["data: nonsense\n\n"]), "llm_protocol"),
        (Server(pieces=["data: {\"choices\": [5]}\n\n"]), "llm_protocol"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
async def test_every_failure_has_its_code(server: Server, code: str) -> None:
    async with client(server, first_token_s=0.3, total_s=1.0) as generator:
        with pytest.raises(EngineError) as caught:
            await text_of(generator)
        assert caught.value.code == code
        assert "secret" not in caught.value.message


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    generator = OpenAiGenerator("http://127.0.0.1:1", model="m", first_token_s=1.0)
    with pytest.raises(EngineUnavailable) as caught:
        await text_of(generator)
    assert caught.value.code == "llm_unreachable"
    with pytest.raises(EngineUnavailable):
        await generator.models()
    await generator.close()


# --- the parser


def test_events_are_cut_out_of_the_stream() -> None:
    parser = SseParser()
    assert parser.push(": comment\nevent: x\ndata: a\n") == []
    assert parser.push("data:b\r\n\r\ndata: c\r\rdata") == ["a\nb", "c"]
    assert parser.push(": d\n\n") == ["d"]


@given(st.lists(st.text(alphabet='abc {}"ä', min_size=1, max_size=8), max_size=6), st.data())
def test_events_do_not_depend_on_how_the_stream_arrives(
    events: list[str], data: st.DataObject
) -> None:
    end = data.draw(st.sampled_from(["\n", "\r\n", "\r"]))
    text = "".join(f"data: {event}{end}{end}" for event in events) + f": end{end}"
    parser, found, rest = SseParser(), [], text
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        found += parser.push(rest[:size])
        rest = rest[size:]
    assert found == events


def test_a_line_without_end_is_refused() -> None:
    with pytest.raises(EngineError, match="no event stream"):
        SseParser().push("x" * 1_100_000)


def test_a_chunk_without_text_is_empty() -> None:
    assert read_chunk('{"choices": [{"delta": {"role": "assistant"}}]}') == Chunk()
    assert read_chunk('{"choices": []}') == Chunk()
    assert read_chunk("[DONE]") is None
