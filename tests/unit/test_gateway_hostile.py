"""Servers that mean harm or are no language servers: nothing grows, hangs, or is repeated."""

import asyncio
import gzip
import json
import tracemalloc

import pytest
from structlog.testing import capture_logs

from apps.core.errors import EngineError
from apps.llm.answer import GroundedAnswerer
from apps.llm.chat_stream import MAX_LINE_CHARS, MAX_STREAM_BYTES, EventReader, read_chunk
from apps.llm.gateway.gateway import Gateway
from apps.llm.gateway.provider import EMBEDDED_PROVIDER, Kind, Provider
from apps.llm.openai import MAX_ANSWER_CHARS, OpenAiGenerator
from tests.language_server import (
    DONE,
    EMBEDDED_ANSWER,
    Server,
    event,
    forever,
    head,
    says,
    sends,
    serving,
    text_of,
)

KEY = "s3cret-key"


def client(url, *, first_token_s=5.0, total_s=10.0):
    return OpenAiGenerator(
        url, model="m", api_key=KEY, first_token_s=first_token_s, total_s=total_s
    )


async def trouble_of(server, **deadlines):
    """Ask the server; return the error's code, once it is sure that the connection is closed."""
    async with serving(server):
        generator = client(server.url, **deadlines)
        with pytest.raises(EngineError) as caught:
            await text_of(generator)
        await generator.close()
    return caught.value


A_KB = b"x" * 1024
HUGE = b"data: " + b"x" * (MAX_LINE_CHARS + 10)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (forever(lambda: A_KB * 64), "llm_protocol"),
        (forever(lambda: b": comment\n" * 4096), "llm_protocol"),
        (forever(lambda: b"data: x\n" * 4096), "llm_protocol"),
        (sends(head() + HUGE), "llm_protocol"),
        (forever(lambda: event("word " * 100)), "llm_protocol"),
        (forever(lambda: event(""), every_s=0.01), "llm_first_token_late"),
        (forever(lambda: b":\n", every_s=0.01), "llm_first_token_late"),
        (sends(b"HTTP/1.1 200 OK\r\n", hangs=True), "llm_first_token_late"),
        (forever(lambda: b"a", start=b"HTTP/1.1 200 ", every_s=0.01), "llm_first_token_late"),
        (forever(lambda: b"X-A: b\r\n" * 512, start=b"HTTP/1.1 200 OK\r\n"), "llm_unreachable"),
        (sends(head(200, "text/html") + b"<html>"), "llm_protocol"),
        (sends(head(200, "application/json") + b"{}"), "llm_protocol"),
        (sends(head(200, "") + event("Hello. ") + DONE), "llm_protocol"),
        (sends(head() + b"data: \xff\xfe\n\n"), "llm_protocol"),
        (sends(head() + 'data: {"ä'.encode()[:-1] + b"\n\n"), "llm_protocol"),
        (sends(head() + b"data: " + b"[" * 200_000 + b"\n\n"), "llm_protocol"),
        (sends(head() + b'data: {"choices": {"0": 5}}\n\n'), "llm_protocol"),
        (
            sends(head() + b'data: {"choices": [{"delta": {"content": {"a": 1}}}]}\n\n'),
            "llm_protocol",
        ),
        (sends(head() + b'data: {"choices": [{"delta": "x"}], "usage": 7}\n\n'), "llm_protocol"),
        (sends(b"220 ESMTP ready\r\n"), "llm_unreachable"),
        (sends(b"\x16\x03\x01\x02\x00" * 100), "llm_unreachable"),
    ],
    ids=[
        "no line end",
        "endless comments",
        "an event without end",
        "one huge line",
        "endless words",
        "endless empty events",
        "a drip of comments",
        "a head that does not come",
        "a drip within the head",
        "a head without end",
        "a page",
        "one JSON",
        "no content type",
        "no UTF-8",
        "a cut character",
        "deep JSON",
        "choices that are none",
        "content that is no text",
        "a delta that is none",
        "a mail server",
        "TLS",
    ],
)
async def test_a_server_that_speaks_something_else_ends_in_a_clear_error(answer, code):
    first_token_s = 0.3 if code == "llm_first_token_late" else 10.0
    error = await trouble_of(Server([answer]), first_token_s=first_token_s, total_s=20.0)
    assert error.code == code


async def test_an_endless_stream_is_hung_up_on():
    server = Server([forever(lambda: A_KB * 64)])
    async with serving(server):
        generator = client(server.url)
        with pytest.raises(EngineError):
            await text_of(generator)
        await asyncio.wait_for(server.hung_up.wait(), 2)
        await generator.close()


async def test_what_is_compressed_is_not_opened():
    """A gzip bomb: 1 KB on the wire for each MB of memory, were it opened."""
    bomb = gzip.compress(event("a") + b"\n" * 200_000_000, 1)
    server = Server([sends(head(Content_Encoding="gzip") + bomb)])
    tracemalloc.start()
    try:
        error = await trouble_of(server)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert error.code == "llm_protocol"
    assert peak < 20_000_000


@pytest.mark.parametrize(
    "path", ["/elsewhere", "http://127.0.0.1:9/v1/chat/completions", "//e.org/x"]
)
@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(code, path):
    server = Server([sends(head(code, "text/plain", Location=path))])
    error = await trouble_of(server)
    assert error.code == "llm_refused"
    assert len(server.requests) == 1


async def test_the_list_of_models_is_bounded_too():
    lists = forever(lambda: A_KB * 64, start=head(200, "application/json"))
    server = Server([], lists=lists)
    async with serving(server):
        generator = client(server.url)
        with pytest.raises(EngineError, match="list of models cannot be read"):
            await generator.models()
        assert await generator.probe() == ""  # that it answers is all that a probe asks
        for bad in (b"[" * 100_000, b"\xff", b"{}", b'{"data": 5}', b'{"data": [{}]}', b"[]"):
            server.lists = sends(head(200, "application/json") + bad)
            with pytest.raises(EngineError, match="list of models cannot be read"):
                await generator.models()
        server.lists = sends(head(200, "application/json", Content_Encoding="gzip") + b"x")
        with pytest.raises(EngineError, match="list of models cannot be read"):
            await generator.models()
        await generator.close()


# --- what is kept secret


async def test_neither_key_nor_prompt_nor_the_servers_words_are_repeated():
    told = json.dumps({"error": {"message": "you said: what do i need"}})
    answers = [
        sends(head() + f"data: {told}\n\n".encode()),
        sends(head(500, "application/json") + told.encode()),
        sends(head(400, "application/json") + told.encode()),
        sends(b"garbage what do i need"),
        sends(head() + b"data: what do i need\n\n"),
    ]
    for answer in answers:
        server = Server([answer])
        async with serving(server):
            url = server.url.replace("http://", f"http://user:{KEY}@")
            provider = Provider("a", Kind.VLLM, url, "m", api_key=KEY)
            made = Gateway([provider, EMBEDDED_PROVIDER], GroundedAnswerer(), {"a": client(url)})
            with capture_logs() as logs:
                assert await text_of(made) == EMBEDDED_ANSWER
            await made.close()
        assert logs
        for text in (str(logs), repr(provider), repr(made), repr(made.seat("a"))):
            assert KEY not in text
            assert "what do i need" not in text


async def test_a_defect_of_the_client_does_not_end_the_call_and_tells_nothing():
    class Broken(OpenAiGenerator):
        async def stream(self, prompt, tally=None):
            raise RuntimeError("what do i need")
            yield ""

    generator = Broken("http://127.0.0.1:9", model="m")
    provider = Provider("a", Kind.VLLM, "http://127.0.0.1:9", "m")
    made = Gateway([provider, EMBEDDED_PROVIDER], GroundedAnswerer(), {"a": generator})
    with capture_logs() as logs:
        assert await text_of(made) == EMBEDDED_ANSWER
    await made.close()
    assert "RuntimeError" in str(logs)
    assert "what do i need" not in str(logs)


# --- the bounds themselves


def test_the_bounds_leave_room_for_any_real_answer():
    text = "word " * (MAX_ANSWER_CHARS // 5)
    reader, found = EventReader(), []
    for start in range(0, len(text), 5):
        found += reader.push(event(text[start : start + 5], usage={"prompt_tokens": 1}))
    assert "".join(read_chunk(data).text for data in found) == text
    assert len(text) * 100 <= MAX_STREAM_BYTES


async def test_an_answer_of_the_longest_length_comes_through():
    words = ["word. "] * (MAX_ANSWER_CHARS // 6)
    server = Server([says(*words)])
    async with serving(server):
        generator = client(server.url, first_token_s=5.0, total_s=20.0)
        assert await text_of(generator) == "".join(words)
        await generator.close()
