"""`tom adapters learn` and `review`: the continuous loop by hand, and what people look at."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from apps.cli.adapters_parts import registry_of
from apps.cli.parts import errors_told
from apps.core.clock import utc_now
from apps.core.errors import AdapterError
from apps.core.plural import plural
from apps.dispatcher.profile import load_profiles
from apps.rl.adapters.continuous.collect import Collected
from apps.rl.adapters.continuous.loop import Trained
from apps.rl.adapters.examples import TrainingExample
from apps.rl.defaults import settings_catalog
from apps.running_knowledge import open_entries, open_knowledge
from apps.running_learning import PromptMaker, open_collector, open_learning
from apps.running_privacy import open_redactor
from apps.settings import Settings, load_settings
from apps.store.database import Database
from apps.store.training_pool import REVIEW, batches_of, pool_counts, pool_rows, review

ExampleId = Annotated[str, typer.Argument(help="The beginning of the turn's id is enough.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `tom adapters`."""
    app.command()(learn)
    app.command("pool")(pool)
    app.command("review")(review_)


def learn(
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Train on what there is, without waiting for more.")
    ] = False,
    collect_only: Annotated[
        bool, typer.Option("--collect-only", help="Bring rated turns into the pool, and stop.")
    ] = False,
) -> None:
    """Collect rated turns, and train an adapter where enough are there; fit for cron.

    A new adapter reaches callers by `tom adapters eval` and `promote` alone. Needs the extra
    `train` (TOM_ADAPTER_TRAIN_PYTHON may name an environment that has it) and TOM_ADAPTER_BASE.
    """
    console = Console()
    with errors_told(console):
        collected, trained = asyncio.run(
            _learn(load_settings(), anyway=anyway, collect_only=collect_only)
        )
    waiting = plural(collected.review, "waits", "wait")
    console.print(f"{plural(collected.ready, 'turn')} entered the pool, {waiting} for review.")
    for why, count in collected.left_out.most_common():
        console.print(f"[dim]{count} left out: {why}[/]")
    for done in trained:
        told = f"{done.domain}: {done.batch.fresh} new turns, {done.batch.replayed} replayed"
        if done.adapter_id:
            console.print(f"{told}: [green]{done.adapter_id}[/]")
            console.print(f"Next: tom adapters eval {done.adapter_id}")
        else:
            console.print(f"{told}: [red]{escape(done.why)}[/]")
    if not trained and not collect_only:
        console.print("No training is due: `tom adapters pool` shows what there is.")
    if any(done.adapter_id is None for done in trained):
        raise typer.Exit(1)


def pool(json_: Annotated[bool, typer.Option("--json")] = False) -> None:
    """Show how many turns the pool has, and what became of the batches."""
    console = Console()
    with errors_told(console):
        db = registry_of(load_settings()).db
        with db.reading() as conn:
            counts, batches = pool_counts(conn), batches_of(conn)
    if json_:
        print(json.dumps({f"{d}/{s}": n for (d, s), n in counts.items()}))
        return
    if not counts:
        console.print("The pool is empty: `tom adapters learn --collect-only` fills it.")
    for (domain, state), count in counts.items():
        console.print(f"{domain}  {state}  {count}")
    table = Table("begun", "profile", "by", "new", "replayed", "quality", "became")
    for batch in batches:
        table.add_row(
            f"{batch.at_hour:%Y-%m-%d %H h}" if batch.at_hour else "",
            batch.domain,
            batch.objective,
            str(batch.fresh),
            str(batch.replayed),
            f"{batch.mean_quality:+.2f}",
            batch.adapter_id or f"{batch.state}: {escape(batch.why)}",
        )
    if batches:
        console.print(table)


def review_(
    example: Annotated[str, typer.Argument(help="The beginning of a turn's id.")] = "",
    approve: Annotated[bool, typer.Option("--approve", help="Let it in.")] = False,
    reject: Annotated[bool, typer.Option("--reject", help="Keep it out, and delete it.")] = False,
    why: Annotated[str, typer.Option(help="The reason, kept with it.")] = "",
) -> None:
    """Show the turns that wait for a person, or let one in or keep it out."""
    console = Console()
    with errors_told(console):
        db = registry_of(load_settings()).db
        with db.reading() as conn:
            waiting = pool_rows(conn, REVIEW)
        if not example:
            for row in waiting:
                found = TrainingExample.model_validate(row.example)
                console.print(f"[bold]{row.example_id[:12]}[/] {row.domain}: {row.why}")
                console.print(f"  asked: {escape(found.messages[-1].content)}", soft_wrap=True)
                console.print(
                    f"  said ({found.feedback_score:+.2f}): {escape(found.completion)}",
                    soft_wrap=True,
                )
            console.print(f"{len(waiting)} wait. Decide with --approve or --reject.")
            return
        if approve == reject:
            raise AdapterError("Say either --approve or --reject.", code="review")
        _decide(db, [r.example_id for r in waiting], example, approve=approve, why=why)
    console.print("It is in the pool." if approve else "It stays out, and its words are deleted.")


def _decide(db: Database, waiting: list[str], begin: str, *, approve: bool, why: str) -> None:
    named = [name for name in waiting if name.startswith(begin)]
    if len(named) != 1:
        raise AdapterError(
            f"{len(named)} turns that wait begin with {begin!r}.",
            hint="`tom adapters review` lists them.",
            code="review",
        )
    with db.transaction() as conn:
        review(conn, named[0], approved=approve, why=why)


async def _learn(
    settings: Settings, *, anyway: bool, collect_only: bool
) -> tuple[Collected, list[Trained]]:
    profiles = load_profiles(settings.profiles_folder)
    slots = settings_catalog(settings).slots
    async with AsyncExitStack() as stack:
        registry = registry_of(settings)
        stack.push_async_callback(registry.db.aclose)
        knowledge = await open_knowledge(
            settings, open_entries(settings, stack), registry.db, stack, None
        )
        prompts = PromptMaker(profiles, knowledge.base, slots)
        redactor = open_redactor(settings, stack)
        if collect_only:
            collector = open_collector(settings, registry.db, prompts, redactor)
            return await collector.collect(), []
        loop = open_learning(settings, registry.db, registry, prompts, redactor)
        collected = await loop.collect()
        return collected, await loop.step(utc_now(), anyway=anyway)
