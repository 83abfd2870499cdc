"""`tom prompt`: what a generator is given for a question, and what the embedded one says."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from apps.cli.parts import errors_told
from apps.core.errors import ConfigError
from apps.core.passages import Passage
from apps.core.policy import PolicySlots
from apps.dispatcher.profile import load_profiles
from apps.knowledge.retriever import Retriever
from apps.llm.answer import plan_answer
from apps.llm.prompt import Prompt, assemble
from apps.rl.variants import load_catalog
from apps.settings import Settings, load_settings

console = Console()


def prompt(
    question: Annotated[str, typer.Argument(help="What a caller asks, in a full question.")],
    profile: Annotated[str, typer.Option(help="The profile; TOM_PROFILE when not given.")] = "",
    lang: Annotated[str, typer.Option(help="en or de.")] = "en",
    variant: Annotated[str, typer.Option(help="The prompt variant; the base when empty.")] = "",
) -> None:
    """Print the prompt for a question: passages, messages, and the embedded answer."""
    with errors_told(console):
        settings = load_settings()
        built = asyncio.run(build_prompt(settings, question, profile, lang, variant))
        _print(built)


async def build_prompt(
    settings: Settings, question: str, profile: str, language: str, variant: str
) -> Prompt:
    """Return the prompt for the first question of a call.

    Raises:
        ConfigError: The profile, the language or the variant does not exist.
    """
    profiles = load_profiles(settings.profiles_folder)
    profile = profile or settings.profile
    if profile not in profiles:
        raise ConfigError(
            f"There is no profile {profile!r}.", hint=f"Profiles are {', '.join(profiles)}."
        )
    chosen = profiles[profile].language(language)
    if chosen is None:
        raise ConfigError(f"The profile {profile} does not speak {language!r}.")
    slots = _slots(settings, variant or profiles[profile].default_policy)
    retriever = Retriever.from_folder(settings.entries_folder)
    try:
        passages = await retriever.search(question, language=chosen, profile=profile)
    finally:
        retriever.close()
    office = profiles[profile].office[chosen]
    return assemble(slots, passages, (), question, language=chosen, office=office)


def _slots(settings: Settings, variant: str) -> PolicySlots:
    """Return a variant's slots.

    Raises:
        ConfigError: There is no such variant.
    """
    variants = load_catalog(settings.policies_file).variants
    if variant not in variants:
        raise ConfigError(
            f"There is no variant {variant!r}.", hint=f"Variants are {', '.join(variants)}."
        )
    return variants[variant].slots


def _print(built: Prompt) -> None:
    console.rule("passages")
    for passage in built.passages:
        console.print(_passage_line(passage, built.covered_score), soft_wrap=True)
    for message in built.messages():
        console.rule(message["role"])
        console.print(escape(message["content"]), soft_wrap=True)
    plan = plan_answer(built)
    console.rule(f"embedded answer, from {plan.entry_id}" if plan.entry_id else "embedded answer")
    console.print(escape(" ".join(plan.sentences)), soft_wrap=True)


def _passage_line(passage: Passage, covered_score: float) -> str:
    covered = "[green]covered[/]" if passage.score >= covered_score else "[dim]not covered[/]"
    return f"{passage.score:.2f} {covered} {escape(passage.source)}  {escape(passage.question)}"
