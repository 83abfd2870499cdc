"""`tom config`: what is set, where it came from, what is wrong, and the pages about it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from apps.cli.config_doc import env_example, settings_page
from apps.cli.config_report import Report, examine
from apps.cli.parts import errors_told

config_app = typer.Typer(no_args_is_help=True, help="Look at the settings.")


@config_app.command()
def check(
    env_file: Annotated[Path, typer.Option(help="The file to read beside the environment.")] = Path(
        ".env"
    ),
) -> None:
    """Show every setting, where it came from, and what is wrong; exit with 1 on an error."""
    console = Console()
    with errors_told(console):
        report = examine(env_file)
    _show(console, report)
    raise typer.Exit(1 if report.has_errors else 0)


@config_app.command()
def doc(
    env: Annotated[bool, typer.Option("--env", help="Write .env.example instead.")] = False,
) -> None:
    """Write docs/settings.md, or with --env .env.example, to standard output."""
    typer.echo(env_example() if env else settings_page(), nl=False)


def _show(console: Console, report: Report) -> None:
    table = Table("setting", Column("value", overflow="fold"), "from", box=None, pad_edge=False)
    for row in report.rows:
        style = "dim" if row.source == "default" else "bold"
        table.add_row(row.env, escape(row.value), escape(row.source), style=style)
    console.print(table)
    console.print()
    for finding in report.findings:
        colour = "red" if finding.severity == "error" else "yellow"
        console.print(
            f"[{colour}]{finding.severity}[/]: {escape(finding.sentence)}", soft_wrap=True
        )
        console.print(f"  {escape(finding.hint)}", soft_wrap=True)
    if not report.findings:
        console.print("Nothing is wrong.")
