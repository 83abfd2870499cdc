"""`tom timeline`: one call drawn in time, as a page of its own."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from apps.cli.event_logs import load_log
from apps.cli.parts import errors_told
from apps.cli.replay import Source
from apps.core.errors import StoreError
from apps.dispatcher import timeline as timelines


def timeline(
    source: Source,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The page; timeline-CALL.html when not given."),
    ] = None,
    show: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
) -> None:
    """Draw a call in time: both voices, what was decided, and what the caller waited for.

    The page needs no network and no other file. It holds what was said: treat it as the log itself.
    """
    console = Console()
    with errors_told(Console(stderr=True)):
        name, records = load_log(source)
        path = output or Path(f"timeline-{name}.html")
        page = timelines.timeline(records, name)
        try:
            path.write_text(page, encoding="utf-8")
        except OSError as error:
            raise StoreError(f"{path} cannot be written: {error.strerror}.") from error
    console.print(f"Drawn: {escape(str(path))}", soft_wrap=True, highlight=False)
    if show:
        webbrowser.open(path.resolve().as_uri())
