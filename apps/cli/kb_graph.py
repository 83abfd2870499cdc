"""`tom kb graph`: what is related to what, and the answers to objections, reviewed before use."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import asdict
from typing import Annotated, Literal, TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from apps.cli.event_logs import open_store
from apps.cli.parts import errors_told
from apps.core.errors import ConfigError
from apps.core.ids import DEFAULT_TENANT
from apps.core.plural import plural
from apps.knowledge.graph.base import NodeHit, NodeType
from apps.knowledge.index.base import Scope
from apps.running_knowledge import OpenedGraph, embedder_of, open_entries, open_graph
from apps.settings import Settings, load_settings
from apps.store.database import open_database
from apps.store.insights import Insight, InsightState, decide, insights, propose

T = TypeVar("T")

graph_app = typer.Typer(
    no_args_is_help=True,
    help="Answers to objections, reviewed before they are used, and what is related to what.",
)

Id = Annotated[str, typer.Argument(help="The insight's id, or its beginning.")]
Language = Annotated[Literal["de", "en"], typer.Option("--language", "-l", help="Its language.")]


@graph_app.command()
def add(
    objection: Annotated[str, typer.Argument(help='What callers object: "That is too expensive".')],
    strategy: Annotated[
        str, typer.Argument(help="What TOM answers: sentences fit to be spoken, and true.")
    ],
    phrase: Annotated[
        list[str] | None,
        typer.Option("--phrase", help="The same objection in callers' words; repeat it."),
    ] = None,
    persona: Annotated[str, typer.Option("--for", help="For whom it works.")] = "",
    space: Annotated[
        str | None, typer.Option("--space", "-s", help="Its space; TOM_PROFILE by default.")
    ] = None,
    language: Language = "en",
) -> None:
    """Propose an answer to an objection. Nobody hears it before it is approved."""
    console = Console()
    with errors_told(console):
        if not objection.strip() or not strategy.strip():
            raise ConfigError(
                "An insight needs an objection and a strategy.",
                hint='tom kb graph add "That is too expensive" "You can pay in instalments."',
            )
        proposed = Insight(
            "",
            InsightState.PROPOSED,
            language,
            space or load_settings().profile,
            objection.strip(),
            tuple(phrase or ()),
            strategy.strip(),
            persona.strip(),
        )
        with open_store().transaction() as conn:
            kept = propose(conn, proposed)
    console.print(f"Proposed {kept.id}. `tom kb graph approve {kept.id}` puts it to use.")


@graph_app.command()
def approve(insight: Id) -> None:
    """Approve an insight: running servers use it within ten seconds."""
    _decide(insight, InsightState.APPROVED)


@graph_app.command()
def withdraw(insight: Id) -> None:
    """Take an insight out of use; it stays in the list."""
    _decide(insight, InsightState.WITHDRAWN)


def _decide(insight: str, state: InsightState) -> None:
    console = Console()
    with errors_told(console):
        with open_store().transaction() as conn:
            decided = decide(conn, insight, state)
        asyncio.run(_with_graph(load_settings(), _feed_insights))
    console.print(f"{decided.id} is {state.value}: {escape(decided.objection)}", soft_wrap=True)


@graph_app.command("list")
def list_(
    state: Annotated[InsightState | None, typer.Option(help="Only those that stand so.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
) -> None:
    """List insights as they stand."""
    console = Console()
    with errors_told(console), open_store().reading() as conn:
        found = insights(conn, state=state)
    if as_json:
        for insight in found:
            print(json.dumps(asdict(insight), ensure_ascii=False, default=str))
        return
    if not found:
        console.print("There are no insights. `tom kb graph add` proposes one.")
        return
    table = Table("id", "state", "space", "objection", "strategy", "for", box=None)
    for insight in found:
        table.add_row(
            insight.id,
            insight.state.value,
            f"{insight.space} {insight.language}",
            escape(insight.objection),
            escape(insight.strategy),
            escape(insight.persona),
        )
    console.print(table)


@graph_app.command()
def build() -> None:
    """Bring the graph to documents, entries and insights; a running server does so by itself."""
    console = Console()

    async def work(opened: OpenedGraph) -> int:
        with Progress(console=console) as progress:
            task = progress.add_task("Documents", total=None)
            fed = await opened.feeder.documents(
                DEFAULT_TENANT, lambda done, of: progress.update(task, completed=done, total=of)
            )
            await opened.keeper.once()
            progress.update(task, completed=1, total=1)
        console.print(
            f"Documents put in {fed.put}, taken out {fed.removed}; similar concepts {fed.similar}."
        )
        return len(await opened.store.nodes(DEFAULT_TENANT, limit=1_000_000))

    with errors_told(console):
        nodes = asyncio.run(_with_graph(load_settings(), work))
        console.print(f"The graph has {plural(nodes, 'node')}.")


@graph_app.command()
def show(
    text: Annotated[str, typer.Argument(help="What to look for, by its meaning.")],
    space: Annotated[
        str | None, typer.Option("--space", "-s", help="Its space; TOM_PROFILE by default.")
    ] = None,
    type_: Annotated[
        list[NodeType] | None, typer.Option("--type", "-t", help="Of these types alone.")
    ] = None,
    language: Language = "en",
    k: Annotated[int, typer.Option("-k", min=1, max=50, help="How many nodes.")] = 5,
) -> None:
    """Show the nodes nearest to a text, and what stands beside them."""
    console = Console()
    settings = load_settings()
    scope = Scope((space or settings.profile,), language)

    async def work(opened: OpenedGraph) -> None:
        embedded = await opened.embedder.embed([text])
        hits = await opened.store.search(embedded[0], type_ or list(NodeType), scope, k)
        if not hits:
            console.print("The graph has nothing there. `tom kb graph build` feeds it.")
        for hit in hits:
            await _show_node(console, opened, hit)

    with errors_told(console):
        asyncio.run(_with_graph(settings, work))


async def _show_node(console: Console, opened: OpenedGraph, hit: NodeHit) -> None:
    node = hit.node
    console.print(f"{hit.score:.2f}  [bold]{escape(node.name)}[/]  {node.type} {escape(node.id)}")
    beside = await opened.store.neighbours([node.id], DEFAULT_TENANT)
    for neighbour in beside.get(node.id, ()):
        edge = f"--{neighbour.edge}-->" if neighbour.outgoing else f"<--{neighbour.edge}--"
        weight = f" {neighbour.weight:.2f}" if neighbour.weight < 1 else ""
        name = f"{neighbour.node.type}: {neighbour.node.name}"
        console.print(f"      {edge}{weight} {escape(name)}", soft_wrap=True)


async def _feed_insights(opened: OpenedGraph) -> None:
    approved = await opened.main_store.query(insights, state=InsightState.APPROVED)
    await opened.feeder.insights(approved, DEFAULT_TENANT)


async def _with_graph(settings: Settings, work: Callable[[OpenedGraph], Awaitable[T]]) -> T:
    async with AsyncExitStack() as stack:
        store = open_database(settings.store)
        stack.push_async_callback(store.aclose)
        entries = open_entries(settings, stack)
        return await work(open_graph(settings, store, entries, embedder_of(settings, stack), stack))
