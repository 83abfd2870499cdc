"""Asks providers one question each, by the same client that serves the calls."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from apps.core.errors import EngineError
from apps.core.passages import Passage
from apps.core.policy import PolicySlots
from apps.language_servers import client_of
from apps.llm.chat_stream import Tally
from apps.llm.gateway.bill import bill
from apps.llm.gateway.provider import Provider
from apps.llm.prompt import Prompt, assemble
from apps.llm.usage import Outcome

_FACTS = {
    "en": ("What are the opening hours?", "The office is open from 8 a.m. to noon."),
    "de": ("Wann ist geöffnet?", "Das Amt ist von 8 bis 12 Uhr geöffnet."),
}


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of one question.

    Attributes:
        provider: Who was asked.
        ok: Whether it answered.
        model: The model that did.
        answer: Its words.
        first_token_ms: Until the first text.
        total_ms: Until the end.
        prompt_tokens: Tokens read.
        completion_tokens: Tokens written.
        estimated: Whether these are an estimate.
        cost_micros: In millionths of the currency's unit.
        message: What went wrong.
        hint: What to do about it.
    """

    provider: str
    ok: bool
    model: str
    answer: str = ""
    first_token_ms: float = 0.0
    total_ms: float = 0.0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    estimated: bool = False
    cost_micros: int = 0
    message: str = ""
    hint: str = ""


def try_providers(providers: Sequence[Provider], language: str) -> Iterator[Trial]:
    """Ask one provider after the other, and yield what came of each."""
    prompt = trial_prompt(language)
    for provider in providers:
        yield asyncio.run(_try(provider, prompt))


def trial_prompt(language: str) -> Prompt:
    """Return a small prompt such as calls have."""
    question, answer = _FACTS["de" if language == "de" else "en"]
    facts = Passage("trial", question, answer, 1.0, language, "trial")
    return assemble(PolicySlots(), [facts], (), question, language=language, office="TOM")


async def _try(provider: Provider, prompt: Prompt) -> Trial:
    client, tally, answer = client_of(provider), Tally(), ""
    began_s = asyncio.get_running_loop().time()
    try:
        async with aclosing(client.stream(prompt, tally)) as pieces:
            async for piece in pieces:
                answer += piece
    except EngineError as error:
        return Trial(provider.name, False, provider.model, message=error.message, hint=error.hint)
    finally:
        await client.close()
    total_ms = (asyncio.get_running_loop().time() - began_s) * 1000
    cost = bill(provider, tally, Outcome.ANSWERED)
    return Trial(
        provider.name,
        True,
        cost.model,
        answer.strip(),
        cost.first_token_ms or 0.0,
        round(total_ms, 1),
        cost.prompt_tokens,
        cost.completion_tokens,
        cost.estimated,
        cost.cost_micros,
    )
