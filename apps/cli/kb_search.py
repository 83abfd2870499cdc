"""`tom kb search`: what a question finds, and why."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from apps.cli.parts import errors_told
from apps.core.errors import ConfigError, EngineError
from apps.core.passages import COVERED_SCORE, Passage, Within
from apps.knowledge.retrieval.found import Ranked, Retrieved
from apps.knowledge.sensing import Senses
from apps.running_knowledge import open_entries, open_knowledge
from apps.settings import Settings, load_settings
from apps.store.database import open_database

_PATIENT_MS = 5000


def search(
    question: Annotated[str, typer.Argument(help="A question, as a caller would ask it.")],
    space: Annotated[
        list[str] | None,
        typer.Option("--space", "-s", help="A knowledge space; repeat it for several."),
    ] = None,
    profile: Annotated[
        str | None, typer.Option("--profile", "-p", help="Whose entries; TOM_PROFILE by default.")
    ] = None,
    language: Annotated[
        Literal["de", "en"], typer.Option("--language", "-l", help="The question's language.")
    ] = "en",
    k: Annotated[int, typer.Option("-k", min=1, max=50, help="How many passages.")] = 5,
    why: Annotated[
        bool, typer.Option("--why", help="Show each stage's ranks, scores and times.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Show what a question finds, as a call would find it, with time to spare.

    The first passage from 0.5 on answers; with none, TOM says that it does not know.
    """
    console = Console(stderr=as_json)
    with errors_told(console):
        settings = load_settings().model_copy(update={"kb_deadline_ms": _PATIENT_MS})
        whose = profile or settings.profile
        within = Within(tuple(space) if space else (whose,))
        found = asyncio.run(_look(console, settings, question, language, whose, k, within))
    if as_json:
        print(json.dumps(_as_dict(found), ensure_ascii=False))
        return
    _show(console, found)
    if why:
        _explain(console, found)


async def _look(
    console: Console,
    settings: Settings,
    question: str,
    language: str,
    profile: str,
    k: int,
    within: Within,
) -> Retrieved:
    if not question.strip():
        raise ConfigError("There is no question.", hint='tom kb search "when are you open"')
    async with AsyncExitStack() as stack:
        store = open_database(settings.store)
        stack.push_async_callback(store.aclose)
        entries = open_entries(settings, stack)
        knowledge = await open_knowledge(settings, entries, store, stack)
        if knowledge.graph is not None:
            await knowledge.graph.keeper.once()
        if knowledge.senses is not None and not knowledge.senses.learned:
            await _learn(console, knowledge.senses)
        return await knowledge.base.look(question, language, profile, k, within)


async def _learn(console: Console, senses: Senses) -> None:
    """Learn what a server would have learned by now; without it, words alone rank the entries."""
    columns = (TextColumn("Vectors of the entries"), BarColumn(), MofNCompleteColumn())
    try:
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task("")
            await senses.learn(lambda done, of: bar.update(task, completed=done, total=of))
    except EngineError as error:
        console.print(f"[yellow]Entries are ranked by words alone[/]: {escape(error.message)}")


def _show(console: Console, found: Retrieved) -> None:
    if not found.passages:
        console.print("Nothing is like this.")
        return
    covered = found.passages[0].score >= COVERED_SCORE
    console.print("[green]Answered[/]." if covered else "[yellow]Not covered[/]: TOM says so.")
    for passage in found.passages:
        mark = "green" if passage.score >= COVERED_SCORE else "dim"
        console.print(f"\n[{mark}]{passage.score:.2f}[/]  [bold]{escape(_named(passage))}[/]")
        console.print(f"      {escape(passage.text)}", soft_wrap=True)


def _explain(console: Console, found: Retrieved) -> None:
    times = "  ".join(f"{stage} {ms:.1f}" for stage, ms in found.ms.items())
    console.print(f"\n[bold]{found.documents.outcome}[/]; milliseconds: {times}")
    for name, passages in (("entries", found.entries), ("objections", found.insights)):
        if passages:
            told = "  ".join(f"{escape(p.entry_id)} {p.score:.2f}" for p in passages)
            console.print(f"{name}: {told}", soft_wrap=True)
    if not found.documents.ranked:
        return
    table = Table("piece", box=None)
    for name in ("words", "vector", "cosine", "fused", "score"):
        table.add_column(name, justify="right")
    table.add_column("why")
    for ranked in found.documents.ranked[:10]:
        table.add_row(*_row(ranked))
    console.print(table)


def _row(ranked: Ranked) -> tuple[str, ...]:
    near = f", near the last answer +{ranked.boost:.2f}" if ranked.boost else ""
    features = " ".join(f"{name} {value:.2f}" for name, value in ranked.features.items() if value)
    return (
        f"{ranked.stored.document.id}#{ranked.stored.chunk.position}",
        str(ranked.word_rank or "-"),
        str(ranked.vector_rank or "-"),
        "-" if ranked.cosine is None else f"{ranked.cosine:.2f}",
        f"{ranked.fused:.4f}",
        f"{ranked.score:.2f}",
        features + near,
    )


def _named(passage: Passage) -> str:
    cited = passage.cited
    page = f", p. {cited.page}" if cited.page else ""
    above = f" > {' > '.join(cited.headings)}" if cited.document_id and cited.headings else ""
    return f"{cited.title}{above}{page}  ({cited.source})"


def _as_dict(found: Retrieved) -> dict[str, Any]:
    return {
        "covered": bool(found.passages) and found.passages[0].score >= COVERED_SCORE,
        "passages": [
            {"id": p.entry_id, "score": p.score, "text": p.text, "citation": p.cited.as_dict()}
            for p in found.passages
        ],
        "outcome": found.documents.outcome.value,
        "ms": dict(found.ms),
    }
