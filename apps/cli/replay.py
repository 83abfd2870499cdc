"""`tom replay`: a recorded call through today's deciders, to see where a decision changes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from apps.cli.event_logs import load_log
from apps.cli.parts import errors_told
from apps.core.errors import ConfigError
from apps.core.plural import plural
from apps.dispatcher import replay as replays
from apps.dispatcher.replay import Replay

CHANGED, TROUBLE = 1, 2

Source = Annotated[
    str,
    typer.Argument(
        metavar="CALL|FILE.jsonl",
        help="The call's id, the beginning of its reference, or a file with its events.",
    ),
]


def replay(
    source: Source,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="OPTION=VALUE",
            help="Decide with another option of turn-taking than the call's, e.g. complete_ms=300.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Feed a recorded call to today's deciders and show where a decision changes.

    Exits with 0 when all decisions are the same, with 1 when one has changed, with 2 when the log
    cannot be replayed.
    """
    with errors_told(Console(stderr=True), exit_code=TROUBLE):
        name, records = load_log(source)
        result = replays.replay(records, _changes(changes or []))
    if as_json:
        print(json.dumps({"call": name, **asdict(result)}, ensure_ascii=False))
    else:
        _show(name, result)
    if result.differences:
        raise typer.Exit(CHANGED)


def _changes(texts: Sequence[str]) -> dict[str, str]:
    changes = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f"{text!r} sets nothing.", hint="Write --set complete_ms=300.")
        changes[name.strip()] = value.strip()
    return changes


def _show(name: str, result: Replay) -> None:
    console = Console()
    table = Table("time", "decided by", "logged", "now", box=None)
    for one in result.differences:
        at = f"{one.at_ms / 1000:.2f} s"
        table.add_row(at, one.decider, escape(one.logged or "-"), escape(one.now or "-"))
    if result.differences:
        console.print(table)
        console.print()
    for line in _summary(name, result):
        console.print(escape(line), soft_wrap=True, highlight=False)


def _summary(name: str, result: Replay) -> list[str]:
    if result.options is None:
        heard = "the log holds no ear records, so turn-taking could not be replayed"
    else:
        then, now = plural(result.logged, "time"), plural(result.now, "time")
        heard = f"turn-taking decided {then} then, {now} now"
    lines = [f"{name}: {heard}; the state machine took {plural(result.events, 'event')}."]
    if result.missing > 0:
        lost = plural(result.missing, "record is", "records are")
        lines.append(f"{lost} lost: a difference may come of that.")
    count = len(result.differences)
    lines.append(f"Changed in {plural(count, 'place')}." if count else "Nothing has changed.")
    return lines
