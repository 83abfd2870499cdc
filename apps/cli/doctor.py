"""`tom doctor`: would TOM work on this machine, and what is in the way."""

from __future__ import annotations

from collections.abc import Iterator

import typer
from rich.console import Console
from rich.markup import escape

from apps.cli.config_report import examine
from apps.cli.doctor_checks import Found, Status, examine_machine
from apps.core.errors import ConfigError
from apps.settings import Settings

_COLOURS: dict[Status, str] = {"ok": "green", "warn": "yellow", "fail": "red"}


def doctor() -> None:
    """Look at engines, weights, database, ports and files; exit with 1 when TOM would not work."""
    console = Console()
    worst: set[Status] = set()
    for topic, found in _everything():
        worst.add(found.status)
        mark = f"[{_COLOURS[found.status]}]{found.status:<4}[/]"
        console.print(f"{mark} {topic}: {escape(found.sentence)}", soft_wrap=True)
        if found.hint:
            console.print(f"       {escape(found.hint)}", soft_wrap=True)
    raise typer.Exit(1 if "fail" in worst else 0)


def _everything() -> Iterator[tuple[str, Found]]:
    """Look at the settings first; with settings that cannot be used, at nothing else."""
    try:
        report = examine()
    except ConfigError as error:
        yield "settings", Found("fail", error.message, error.hint)
        return
    for finding in report.findings:
        status: Status = "fail" if finding.severity == "error" else "warn"
        yield "settings", Found(status, finding.sentence, finding.hint)
    if not report.findings:
        yield "settings", Found("ok", "They fit together; `tom config check` shows them.")
    if not report.has_errors:
        yield from examine_machine(Settings())
