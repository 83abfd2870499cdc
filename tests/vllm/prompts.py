"""How the tests ask vLLM: by TOM's own gateway, and what came of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace

from apps.llm.answer import GroundedAnswerer
from apps.llm.gateway.gateway import Gateway
from apps.llm.gateway.provider import EMBEDDED_PROVIDER, Kind, Provider
from apps.llm.openai import OpenAiGenerator
from apps.llm.prompt import Prompt
from apps.llm.usage import Account, Usage
from tests.vllm.serving import MODEL, Vllm


@asynccontextmanager
async def gateway_to(
    vllm: Vllm, *, first_token_s: float = 20.0, patience_s: float = 60.0
) -> AsyncIterator[Gateway]:
    """TOM's gateway with vLLM first and the embedded answerer behind it.

    The deadlines are long, so that a busy machine fails no test that is not about them.
    """
    provider = Provider("vllm", Kind.VLLM, vllm.url, MODEL, first_token_s=first_token_s)
    client = OpenAiGenerator(
        vllm.url, model=MODEL, first_token_s=first_token_s, running_usage=True
    )  # fmt: skip
    gateway = Gateway(
        (provider, EMBEDDED_PROVIDER),
        GroundedAnswerer(),
        {"vllm": client},
        patience_s=patience_s,
    )
    try:
        yield gateway
    finally:
        await gateway.close()


@dataclass
class Answer:
    """An answer as it came.

    Attributes:
        text: All of it.
        pieces: How many pieces it came in.
        used: What each provider that was asked counted.
        first_s: Until the first piece.
        whole_s: Until the last.
    """

    text: str = ""
    pieces: int = 0
    used: list[Usage] = field(default_factory=list)
    first_s: float = 0.0
    whole_s: float = 0.0


async def answer(
    gateway: Gateway,
    prompt: Prompt,
    *,
    adapter: str = "",
    on_piece: Callable[[Answer], Awaitable[None]] | None = None,
) -> Answer:
    """Have a prompt answered to the end."""
    found = Answer()
    account = Account(lambda usage, _: found.used.append(usage))
    account.settle(1)
    began = time.monotonic()
    asked = replace(prompt, adapter=adapter, account=account)
    async with aclosing(gateway.stream(asked)) as pieces:
        async for piece in pieces:
            found.whole_s = time.monotonic() - began
            found.first_s = found.first_s or found.whole_s
            found.text += piece
            found.pieces += 1
            if on_piece is not None:
                await on_piece(found)
    return found


async def becomes(condition: Callable[[], bool], seconds: float = 5.0) -> float:
    """Wait until something is so; returns how long it took, in seconds."""
    began = time.monotonic()
    while not await asyncio.to_thread(condition):
        assert time.monotonic() - began < seconds, "it did not come"
        await asyncio.sleep(0.02)
    return time.monotonic() - began
