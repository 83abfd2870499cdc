"""Asks an adapter the golden prompts, by the language server, and judges what it answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

from apps.core.clock import loop_ms
from apps.core.errors import ConfigError, EngineError
from apps.core.policy import PolicySlots
from apps.core.resources import resource
from apps.core.sentences import split_sentences
from apps.dispatcher.profile import Profile, load_profiles
from apps.knowledge.retriever import Retriever
from apps.llm.base import Generator
from apps.llm.lora import LoraClient
from apps.llm.openai import OpenAiGenerator
from apps.llm.prompt import Prompt, assemble
from apps.llm.scoring import score_answer
from apps.rl.adapters.golden import GoldenQuestion, GoldenResult, Language, chosen, read_golden
from apps.rl.adapters.record import ANY_DOMAIN, AdapterRecord
from apps.rl.adapters.registry import AdapterRegistry
from apps.settings import Settings

Asked = tuple[GoldenQuestion, Prompt]
AT_ONCE = 4
"""Questions that the server answers at the same time."""


async def golden_prompts(
    settings: Settings, record: AdapterRecord, file: Path | None, most: int
) -> list[Asked]:
    """Return the golden questions of an adapter's domain, each with its prompt.

    A question whose own entry retrieval does not find first says nothing about an adapter, and is
    left out.

    Args:
        settings: Where profiles and knowledge lie.
        record: The adapter.
        file: Another file than docs/policies/golden_prompts.yaml.
        most: Of the knowledge base's own questions, so many.

    Raises:
        ConfigError: A file cannot be used, or there is no profile of the adapter's domain.
    """
    profiles = load_profiles(settings.profiles_folder)
    domain = settings.profile if ANY_DOMAIN in record.domain else record.domain[0]
    if domain not in profiles:
        raise ConfigError(
            f"There is no profile {domain!r}, which {record.id} is for.",
            hint=f"Profiles are {', '.join(profiles)}.",
        )
    retriever = Retriever.from_folder(settings.entries_folder, settings.cache_folder / "knowledge")
    try:
        questions: dict[tuple[Language, str], str] = {
            (language, entry.id): entry.question
            for language in profiles[domain].languages
            for entry in retriever.entries(profiles[domain].space, language)
        }
        golden = chosen(questions, most)
        golden += read_golden(file or resource("policies", "golden_prompts.yaml"))
        return [
            asked async for asked in _prompts(retriever, profiles[domain], golden, record.served)
        ]
    finally:
        retriever.close()


async def _prompts(
    retriever: Retriever, profile: Profile, golden: Iterable[GoldenQuestion], adapter: str
) -> AsyncIterator[Asked]:
    for asked in golden:
        if asked.language not in profile.languages:
            continue
        passages = await retriever.search(
            asked.question, language=asked.language, profile=profile.space
        )
        prompt = assemble(
            PolicySlots(),
            passages,
            (),
            asked.question,
            language=asked.language,
            office=profile.office[asked.language],
            adapter=adapter,
        )
        found = prompt.grounding.entry_id if prompt.grounding else ""
        if found == asked.entry:
            yield asked, prompt


async def ask(
    generator: Generator, asked: Iterable[Asked], told: Callable[[GoldenResult], None]
) -> list[GoldenResult]:
    """Ask all questions, some at the same time, and judge the answers.

    Args:
        generator: Answers, with the adapter as its model.
        asked: The questions.
        told: Told of each result.

    Raises:
        EngineError: The server fails.
    """
    limit = asyncio.Semaphore(AT_ONCE)

    async def one(question: GoldenQuestion, prompt: Prompt) -> GoldenResult:
        async with limit:
            began_ms = loop_ms()
            try:
                async with aclosing(generator.stream(prompt)) as pieces:
                    answer = "".join([piece async for piece in pieces])
            except EngineError as error:
                if error.code != "llm_empty":
                    raise
                answer = ""
        score = score_answer(prompt, split_sentences(answer), loop_ms() - began_ms)
        failed = tuple(name for name, found in score.checks.items() if found is False)
        result = GoldenResult(question, score.passed, failed)
        told(result)
        return result

    return list(await asyncio.gather(*(one(*pair) for pair in asked)))


def require_server(settings: Settings) -> None:
    """Refuse where no server could answer.

    Raises:
        ConfigError: None is set.
    """
    if not settings.adapter_url:
        raise ConfigError(
            "No server is set that could answer the golden prompts.",
            hint="Set TOM_ADAPTER_URL and TOM_ADAPTER_BASE; or leave them out: --no-golden.",
        )


@asynccontextmanager
async def serving(
    settings: Settings, registry: AdapterRegistry, record: AdapterRecord
) -> AsyncIterator[Generator]:
    """Have the server load an adapter for as long as it is asked, if it has not got it.

    Raises:
        AdapterError: The hash gate refuses the adapter.
        EngineError: The server cannot be reached, or refuses it.
    """
    folder = await asyncio.to_thread(registry.admit, record)
    root = settings.adapter_served_dir
    server = LoraClient(settings.adapter_url, api_key=settings.adapter_api_key)
    generator = OpenAiGenerator(
        settings.adapter_url,
        model=record.served,
        api_key=settings.adapter_api_key,
        first_token_s=30.0,
        total_s=120.0,
    )
    try:
        was_there = record.served in await server.served()
        await server.load(record.served, folder if root is None else root / record.id)
        try:
            yield generator
        finally:
            if not was_there:
                await server.unload(record.served)
    finally:
        await generator.close()
        await server.close()
