"""What several commands need: tidy errors, and pages written whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
from rich.console import Console
from rich.markup import escape

from apps.core.errors import StoreError, TomError
from apps.core.files import EVERYBODYS, write_whole


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


def write_page(path: Path, html: str, option: str) -> None:
    """Write a page in place of an older one; a reader sees the old one or the new one.

    Args:
        path: Where to; folders that are not there are made.
        html: The page.
        option: The command's option that says where to, for the hint.

    Raises:
        StoreError: It cannot be written.
    """
    try:
        write_whole(path, html, mode=EVERYBODYS)
    except OSError as error:
        raise StoreError(
            f"The report {path} cannot be written: {error.strerror}.",
            hint=f"Give {option} a file in a folder that TOM may write to.",
        ) from error
