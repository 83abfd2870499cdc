"""`tom consents`: who agreed to be called, for what, and who is never to be called."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from apps.cli.event_logs import open_store
from apps.cli.parts import errors_told
from apps.core import secrets
from apps.core.errors import TomError
from apps.core.ids import keyed_hash
from apps.core.plural import plural
from apps.dispatcher.outgoing.numbers import read_target
from apps.settings import load_settings
from apps.store.consents import EVERY_PURPOSE, ConsentAction, ConsentRow, forget, record, records_of

consents_app = typer.Typer(
    no_args_is_help=True, help="Record who agreed to be called, and who is never to be called."
)

Number = Annotated[str, typer.Argument(help="Whose: +49... or sip:name@host; kept as a hash.")]
Purpose = Annotated[
    str, typer.Option(help="For which purpose of a profile; for every one by default.")
]
Source = Annotated[str, typer.Option(help="Where it comes from, such as 'web form, 12 March'.")]


@consents_app.command()
def add(number: Number, source: Source, purpose: Purpose = EVERY_PURPOSE) -> None:
    """Record that somebody agreed to be called."""
    _record(number, ConsentAction.GIVEN, purpose, source)


@consents_app.command()
def revoke(number: Number, purpose: Purpose = EVERY_PURPOSE, source: Source = "") -> None:
    """Record that they no longer agree: to one purpose, or to any."""
    _record(number, ConsentAction.REVOKED, purpose, source)


@consents_app.command()
def block(number: Number, source: Source = "") -> None:
    """Put a number on the do-not-call list: it is never called, whatever was agreed to."""
    _record(number, ConsentAction.BLOCKED, EVERY_PURPOSE, source)


@consents_app.command()
def unblock(number: Number, source: Source = "") -> None:
    """Take a number off the do-not-call list; consents count again."""
    _record(number, ConsentAction.UNBLOCKED, EVERY_PURPOSE, source)


@consents_app.command("list")
def list_(
    number: Annotated[str, typer.Argument(help="Of one number; of all when not given.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a record.")] = False,
) -> None:
    """List what was recorded, the oldest first; numbers are not kept, so hashes stand for them."""
    console = Console()
    with errors_told(Console(stderr=True)), open_store().reading() as conn:
        rows = records_of(conn, _subject(number) if number else None)
    if as_json:
        for row in rows:
            print(json.dumps(_as_dict(row), ensure_ascii=False))
        return
    table = Table("subject", "hour (UTC)", "action", "purpose", "source", box=None)
    for row in rows:
        hour = "" if row.at_hour is None else f"{row.at_hour:%Y-%m-%d %H:00}"
        table.add_row(row.subject[:12], hour, row.action.value, row.purpose, row.source)
    console.print(table if rows else "Nothing is recorded.")


@consents_app.command("forget")
def forget_(number: Number) -> None:
    """Delete what was recorded of a number, except that it is not to be called."""
    with errors_told(Console(stderr=True)), open_store().transaction() as conn:
        gone = forget(conn, _subject(number))
    Console().print(f"Deleted {plural(gone, 'record')}.")


def _record(number: str, action: ConsentAction, purpose: str, source: str) -> None:
    with errors_told(Console(stderr=True)), open_store().transaction() as conn:
        subject = _subject(number)
        record(conn, ConsentRow(subject, action, purpose, source))
    Console().print(f"Recorded: {subject[:12]} {action.value}.")


def _subject(number: str) -> str:
    """Return the pseudonym of a number.

    Raises:
        TomError: It is neither a number nor a SIP address.
    """
    target = read_target(number)
    if target is None:
        raise TomError(
            "This is neither a number nor a SIP address.",
            hint="Write it like +49891234567 or sip:name@example.org.",
            code="bad_number",
        )
    settings = load_settings()
    keys = secrets.load_or_create(settings.data_dir, settings.hash_key, settings.operator_token)
    return keyed_hash(target, keys.hash_key, purpose="caller")


def _as_dict(row: ConsentRow) -> dict[str, str | None]:
    return {
        "subject": row.subject,
        "at_hour": None if row.at_hour is None else row.at_hour.isoformat(),
        "action": row.action.value,
        "purpose": row.purpose,
        "source": row.source,
    }
