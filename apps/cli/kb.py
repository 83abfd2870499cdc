"""`tom kb`: documents in, and what of them is in the index."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from apps.cli.kb_folder import Opened, TakenIn, forget, limits_of, opened, take_in
from apps.cli.kb_graph import graph_app
from apps.cli.kb_search import search
from apps.cli.kb_show import (
    console_for,
    is_failure,
    show,
    show_documents,
    show_stats,
    sum_up,
)
from apps.cli.parts import errors_told
from apps.core.errors import DocumentError, TomError
from apps.core.plural import plural
from apps.knowledge.documents.folder import shown
from apps.knowledge.documents.ingest import Work
from apps.knowledge.documents.outcome import Outcome, Result
from apps.knowledge.documents.watch import follow
from apps.knowledge.index.base import Document
from apps.settings import Settings, load_settings

kb_app = typer.Typer(
    no_args_is_help=True,
    help="Documents that TOM answers from: put them in, follow a folder, see what is indexed. "
    "Exit status: 0 all well, 1 some documents could not be read, 2 nothing could be done.",
)

kb_app.command()(search)
kb_app.add_typer(graph_app, name="graph")

_NOTHING_DONE, _SOME_FAILED, _STOPPED = 2, 1, 130

Space = Annotated[
    str | None,
    typer.Option("--space", "-s", help="The knowledge space; TOM_PROFILE's by default for files."),
]
Lang = Annotated[
    Literal["de", "en"] | None,
    typer.Option("--language", "-l", help="Of these files, where it should not be found out."),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print JSON, a line a document, and no progress.")
]


@kb_app.command()
def add(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="Files or folders; none: all that lies in the folder of documents."),
    ] = None,
    space: Space = None,
    language: Lang = None,
    as_json: AsJson = False,
) -> None:
    """Bring the index to what lies in the folder of documents; PATHs are copied there first.

    What has not changed is not read again, and what is no more there leaves the index.
    """
    console = console_for(as_json)
    with errors_told(console, _NOTHING_DONE):
        settings = load_settings()
        _run(_add(settings, console, paths or [], space, language, as_json))


@kb_app.command()
def rebuild(space: Space = None, as_json: AsJson = False) -> None:
    """Read every document anew, changed or not; the index serves meanwhile."""
    console = console_for(as_json)
    with errors_told(console, _NOTHING_DONE):
        _run(_rebuild(load_settings(), console, space or "", as_json))


@kb_app.command("list")
def list_(space: Space = None, as_json: AsJson = False) -> None:
    """List what is indexed."""
    console = Console()
    with errors_told(console, _NOTHING_DONE):
        documents = asyncio.run(_documents(load_settings(), space))
    show_documents(console, documents, as_json)


@kb_app.command()
def remove(
    ids: Annotated[
        list[str] | None, typer.Argument(help="Documents, as in the list, or folders of them.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Empty the index, and leave all files where they are.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete documents, their files and all that is indexed of them; or empty the index."""
    console = Console()
    with errors_told(console, _NOTHING_DONE):
        if bool(ids) == everything:
            raise TomError("Give documents, or --all: one of the two.", code="usage")
        settings = load_settings()
        found = _named(asyncio.run(_documents(settings, None)), ids)
        if not found:
            console.print("Nothing is indexed.")
            return
        files = "and its file" if len(found) == 1 else "and their files"
        what = "from the index" if everything else files
        told = f"{plural(len(found), 'document')} {what}"
        if not yes:
            typer.confirm(f"Remove {told}?", abort=True)
        asyncio.run(_remove(settings, [d.id for d in found], files=not everything))
    console.print(f"Removed {told}.")


@kb_app.command()
def stats(as_json: AsJson = False) -> None:
    """Say how much is indexed, by space."""
    console = Console()
    with errors_told(console, _NOTHING_DONE):
        documents, passages = asyncio.run(_counted(load_settings()))
    show_stats(console, documents, passages, as_json)


@kb_app.command()
def watch(
    folder: Annotated[
        Path | None, typer.Argument(help="Another folder of documents than TOM_KB_DIR says.")
    ] = None,
    poll: Annotated[
        bool, typer.Option("--poll", help="Look four times a second: for NFS, SMB and the like.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Follow the folder until Ctrl+C: what is written is in the index within a second."""
    console = console_for(as_json)
    with errors_told(console, _NOTHING_DONE):
        settings = load_settings()
        if folder is not None:
            settings = settings.model_copy(update={"kb_dir": folder})
        asyncio.run(_watch(settings, console, poll=poll, as_json=as_json))


# --- what the commands do


def _run(work: Coroutine[Any, Any, bool]) -> None:
    """Do what was asked; whoever stops it is told that nothing is lost."""
    try:
        whole = asyncio.run(work)
    except KeyboardInterrupt:
        Console(stderr=True).print("Stopped. The next run goes on from here.")
        raise typer.Exit(_STOPPED) from None
    if not whole:
        raise typer.Exit(_SOME_FAILED)


async def _add(
    settings: Settings,
    console: Console,
    paths: Sequence[Path],
    space: str | None,
    language: str | None,
    as_json: bool,
) -> bool:
    root, failed = settings.documents_folder, 0
    taken: list[TakenIn] = []
    home = _space_name(space or settings.profile)
    root.mkdir(parents=True, exist_ok=True)
    for one in take_in(paths, root, home, language, limits_of(settings)):
        if isinstance(one, TakenIn):
            taken.append(one)
        else:
            failed += 1
            show(console, Outcome(shown(str(one[0])), Result.FAILED, error=one[1]), as_json)
    unders = sorted({one.id for one in taken}) if paths else [_space_name(space) if space else ""]
    copies = {one.id for one in taken if one.copied}
    async with opened(settings) as kb:
        known = {d.id for d in await kb.index.documents()}
        outcomes = await _bring(kb, console, unders, as_json) if unders else []
        for outcome in outcomes:
            if outcome.result is Result.FAILED and outcome.id in copies - known:
                forget(root, outcome.id)  # as if it had never been given
    sum_up(console, outcomes, as_json)
    return not failed and not any(is_failure(one, paths) for one in outcomes)


async def _rebuild(settings: Settings, console: Console, space: str, as_json: bool) -> bool:
    async with opened(settings) as kb:
        outcomes = await _bring(kb, console, [space], as_json, again=True)
    sum_up(console, outcomes, as_json)
    return not any(is_failure(one, ()) for one in outcomes)


async def _bring(
    kb: Opened, console: Console, unders: Sequence[str], as_json: bool, *, again: bool = False
) -> list[Outcome]:
    work = await kb.ingester.look(*unders, again=again)
    outcomes = []
    async with aclosing(_with_progress(kb, work, console)) as found:
        async for outcome in found:
            outcomes.append(outcome)
            show(console, outcome, as_json)
    return outcomes


async def _with_progress(kb: Opened, work: Work, console: Console) -> AsyncGenerator[Outcome, None]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[passages]}"),
        TimeRemainingColumn(),
    )
    passages = 0
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("Documents", total=work.plan.size, passages="")
        async with aclosing(kb.ingester.run(work)) as outcomes:
            async for outcome in outcomes:
                passages += outcome.passages
                bar.update(task, advance=1, passages=plural(passages, "passage"))
                yield outcome


async def _documents(settings: Settings, space: str | None) -> tuple[Document, ...]:
    async with opened(settings) as kb:
        return await kb.index.documents(space=space)


async def _counted(settings: Settings) -> tuple[tuple[Document, ...], int]:
    async with opened(settings) as kb:
        return await kb.index.documents(), await kb.index.load()


async def _remove(settings: Settings, ids: Sequence[str], *, files: bool) -> None:
    """Take documents out; their files first, so that a run that is cut short can be repeated."""
    async with opened(settings) as kb:
        if files:
            for document_id in ids:
                forget(kb.root, document_id)
        await kb.index.remove(ids)


async def _watch(settings: Settings, console: Console, *, poll: bool, as_json: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)

    async def ready() -> None:
        console.print(f"Watching {escape(str(kb.root))}; Ctrl+C ends it.", soft_wrap=True)

    async with opened(settings) as kb:
        await kb.parser.start()
        outcomes = follow(
            kb.ingester, kb.root, stop, quiet_s=settings.kb_quiet_ms / 1000, poll=poll, ready=ready
        )
        async with aclosing(outcomes):
            async for outcome in outcomes:
                show(console, outcome, as_json, watching=True)
    console.print("Stopped.")


def _named(documents: Sequence[Document], ids: Sequence[str] | None) -> list[Document]:
    """Return the documents that are meant: by their ids or a folder of theirs; all for None."""
    if not ids:
        return list(documents)
    found = []
    for name in (given.rstrip("/") for given in ids):
        meant = [d for d in documents if d.id == name or d.id.startswith(f"{name}/")]
        if not meant:
            raise DocumentError(
                f"No document {name} is indexed.", hint="tom kb list shows them.", code="unknown"
            )
        found += [d for d in meant if d not in found]
    return found


def _space_name(space: str) -> str:
    if not space or space.startswith((".", "~$")) or "/" in space or not space.isprintable():
        raise DocumentError(
            f"{space!r} is no name of a space.", hint="A word such as kfz.", code="usage"
        )
    return space
