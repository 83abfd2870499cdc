"""`tom dial`: have a running server call somebody, and follow the call to its end."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console
from rich.markup import escape

from apps.cli.operator import ask, running_server
from apps.cli.parts import errors_told

POLL_S = 0.5
TALKED_TO = ("answered", "message_left")
"""Results with which the command succeeds."""

_STATES = {
    "dialling": "calling",
    "waiting": "waiting to try again",
    "answered": "picked up; listening to who it is",
    "live": "talking",
    "leaving_message": "a machine; leaving a message",
}
_RESULTS = {
    "answered": "They were talked to.",
    "machine": "A machine picked up.",
    "message_left": "A machine picked up and was left a message.",
    "hung_up": "They hung up before the greeting.",
    "busy": "The line was busy.",
    "no_answer": "Nobody picked up.",
    "declined": "They declined the call.",
    "unreachable": "The number cannot be reached.",
    "failed": "The call could not be put through; the server's log says more.",
    "no_line": "All lines of the server were busy.",
    "cancelled": "The call was cancelled.",
    "interrupted": "The server stopped meanwhile.",
}

Status = dict[str, Any]


def dial(
    number: Annotated[str, typer.Argument(help="Whom: +49... or sip:name@host.")],
    profile: Annotated[str, typer.Option(help="Who calls; TOM_PROFILE by default.")] = "",
    language: Annotated[str, typer.Option("--language", "--lang", help="en or de.")] = "",
    purpose: Annotated[
        str, typer.Option(help="Why, by its name in the profile; the profile's first by default.")
    ] = "",
    via: Annotated[str, typer.Option(help="sip or twilio; the first that is set up.")] = "",
    timezone: Annotated[str, typer.Option(help="The callee's, such as Europe/Berlin.")] = "",
    key: Annotated[str, typer.Option(help="An idempotency key: one call, however often.")] = "",
    url: Annotated[str, typer.Option(help="The server; the one on this machine by default.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a change.")] = False,
) -> None:
    """Have the server call somebody who agreed to it (see `tom consents`); Ctrl-C hangs up.

    Exits with 0 when they were talked to or left a message, with 1 otherwise.
    """
    console = Console()
    order = {
        "to": number,
        "profile": profile,
        "language": language,
        "purpose": purpose,
        "via": via,
        "timezone": timezone,
    }
    with errors_told(Console(stderr=True)), running_server(url) as server:
        status = _ask(server, "POST", "/v1/calls", order, key)
        show = _as_json if as_json else _printer(console)
        result = str(_follow(server, status, show)["result"])
        if not as_json:
            console.print(escape(_RESULTS.get(result, result)))
    raise typer.Exit(0 if result in TALKED_TO else 1)


def _follow(server: httpx.Client, status: Status, show: Callable[[Status], None]) -> Status:
    """Show every change of a call until it has ended; an interruption hangs up first."""
    where = f"/v1/calls/{status['call']}"
    show(status)
    while status["state"] != "ended":
        try:
            time.sleep(POLL_S)
            latest = _ask(server, "GET", where)
        except KeyboardInterrupt:
            latest = _ask(server, "DELETE", where)
        if latest != status:
            show(latest)
        status = latest
    return status


def _ask(
    server: httpx.Client, method: str, path: str, body: Status | None = None, key: str = ""
) -> Status:
    return ask(server, method, path, body, {"Idempotency-Key": key} if key else None)


def _as_json(status: Status) -> None:
    print(json.dumps(status, ensure_ascii=False), flush=True)


def _printer(console: Console) -> Callable[[Status], None]:
    told = ""

    def show(status: Status) -> None:
        nonlocal told
        if status["state"] == "ended":
            return
        state = str(status["state"])
        line = _STATES.get(state, state)
        if status["attempt"] > 1:
            line += f", attempt {status['attempt']}"
        if status["not_before"]:
            line += f" at {status['not_before'][:16]} UTC ({status['result']})"
        if status["talk"]:
            line += f": {status['talk'].replace('_', ' ')}"
        if line != told:
            console.print(escape(line))
            told = line

    return show
