"""TOM's own client of language servers, against vLLM itself: pieces, deadlines, cancellation."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import pytest

from apps.core.errors import EngineError, EngineUnavailable
from apps.knowledge.retriever import Retriever
from apps.llm.openai import OpenAiGenerator
from apps.llm.prompt import Prompt
from tests.vllm.prompts import becomes
from tests.vllm.serving import MODEL, Vllm
from tests.vllm.turns import LONG, ask

QUESTION = "what do i need to register a new car"


@pytest.fixture
async def prompt(retriever: Retriever) -> Prompt:
    return await ask(retriever, QUESTION, LONG)


@asynccontextmanager
async def client(
    vllm: Vllm, *, model: str = MODEL, first_token_s: float = 10.0
) -> AsyncIterator[OpenAiGenerator]:
    generator = OpenAiGenerator(vllm.url, model=model, first_token_s=first_token_s)
    try:
        yield generator
    finally:
        await generator.close()


async def test_an_answer_arrives_in_pieces_while_it_is_made(
    vllm: Vllm, prompt: Prompt, figures: dict[str, str]
) -> None:
    async with client(vllm) as generator:
        assert MODEL in await generator.models()
        for name in ("first request", "same prompt again"):
            began, moments, text = time.monotonic(), list[float](), ""
            async with aclosing(generator.stream(prompt)) as pieces:
                async for piece in pieces:
                    moments.append(time.monotonic() - began)
                    text += piece
            rate = (len(moments) - 1) / (moments[-1] - moments[0])
            figures[f"{name}, first token"] = f"{moments[0] * 1000:.0f} ms, then {rate:.0f}/s"
            assert len(moments) > 10
            assert text.strip()
            # The first piece does not wait for the last one.
            assert moments[0] < 0.8 * moments[-1]


async def test_a_first_token_that_is_late_is_an_error_and_frees_the_slot(
    vllm: Vllm, prompt: Prompt
) -> None:
    async with client(vllm, first_token_s=0.5) as generator:
        vllm.pause()
        try:
            began = time.monotonic()
            with pytest.raises(EngineError) as caught:
                async for _ in generator.stream(prompt):
                    pass
            waited_s = time.monotonic() - began
        finally:
            vllm.go_on()
        assert caught.value.code == "llm_first_token_late"
        assert 0.4 < waited_s < 1.5
        assert await becomes(lambda: vllm.busy == 0) < 2.0


async def test_closing_the_stream_frees_the_slot_long_before_the_answer_would_have_ended(
    vllm: Vllm, prompt: Prompt, figures: dict[str, str]
) -> None:
    """All eight of the server's slots are taken, left, and there for the next one."""
    async with client(vllm) as generator:
        before = vllm.metric("vllm:generation_tokens_total")

        async def hang_up_early() -> None:
            async with aclosing(generator.stream(prompt)) as pieces:
                await anext(pieces)
                await becomes(lambda: vllm.metric("vllm:num_requests_running") > 0)

        await asyncio.gather(*(hang_up_early() for _ in range(8)))
        freed_s = await becomes(lambda: vllm.busy == 0, 1.0)
        made = vllm.metric("vllm:generation_tokens_total") - before
        figures["slot freed after the caller hung up"] = f"{freed_s * 1000:.0f} ms"
        assert made < 8 * 350 / 2
        async with aclosing(generator.stream(prompt)) as pieces:
            assert await anext(pieces)


async def test_a_model_that_is_not_there_is_refused_at_once(vllm: Vllm, prompt: Prompt) -> None:
    async with client(vllm, model="kfz-lora-r8-v9-000000000000") as generator:
        with pytest.raises(EngineUnavailable) as caught:
            async for _ in generator.stream(prompt):
                pass
    assert caught.value.code
    assert vllm.busy == 0
