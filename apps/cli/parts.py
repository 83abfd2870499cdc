"""What several commands need: tidy errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.markup import escape

from apps.core.errors import TomError


@contextmanager
def errors_told(console: Console, exit_code: int = 1) -> Iterator[None]:
    """Tell an error in a sentence with its hint, and exit, instead of a traceback."""
    try:
        yield
    except TomError as error:
        console.print(f"[red]error[/]: {escape(error.message)}", soft_wrap=True)
        if error.hint:
            console.print(f"  {escape(error.hint)}", soft_wrap=True)
        raise typer.Exit(exit_code) from error
