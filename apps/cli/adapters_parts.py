"""What `tom adapters`' commands share: the registry of the settings, and how adapters are shown."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from apps.core import secrets
from apps.core.plural import plural
from apps.rl import defaults
from apps.rl.adapters.record import AdapterRecord, AdapterState
from apps.rl.adapters.registry import AdapterRegistry
from apps.running_adapters import open_registry
from apps.settings import Settings
from apps.store.adapters import AdapterEventRow

AdapterId = Annotated[
    str, typer.Argument(help="The adapter's id, as in `tom adapters list`; or its served name.")
]
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]

_STYLES = {
    AdapterState.ACTIVE: "green",
    AdapterState.STANDBY: "green",
    AdapterState.CANARY: "yellow",
    AdapterState.REJECTED: "red",
    AdapterState.ROLLED_BACK: "red",
    AdapterState.RETIRED: "dim",
}


def registry_of(settings: Settings) -> AdapterRegistry:
    """Return the registry of the settings.

    Raises:
        TomError: The secrets or the store cannot be used.
    """
    keys = secrets.load_or_create(settings.data_dir, settings.hash_key, settings.operator_token)
    return open_registry(settings, defaults.default_database(), keys.hash_key)


def show_list(console: Console, records: Iterable[AdapterRecord]) -> None:
    """Print adapters as a table."""
    table = Table("adapter", "state", "since", "made from", "figures", box=None)
    for record in records:
        style = _STYLES.get(record.state, "")
        state = f"[{style}]{record.state}[/]" if style else str(record.state)
        made = ", ".join(record.parents) or record.dataset_ref
        figures = ", ".join(f"{name} {value:.3g}" for name, value in record.metrics.items())
        table.add_row(record.id, state, record.state_hour, escape(made), escape(figures))
    console.print(table)


def show_one(console: Console, record: AdapterRecord, events: Iterable[AdapterEventRow]) -> None:
    """Print all that is known of an adapter, and what happened to it."""
    console.print(f"[bold]{record.id}[/], served as {record.served}", soft_wrap=True)
    rows = {
        "state": f"{record.state}, since {record.state_hour}. {record.why}".strip(),
        "for": ", ".join(record.domain),
        "made": f"{record.method}, rank {record.rank}, {record.precision}",
        "base": f"{record.base_model} {record.base_model_hash[:12]}, "
        f"tokenizer {record.tokenizer_hash[:12]}".strip(),
        "data": f"{record.dataset_ref} {record.dataset_sha256[:12]}, "
        + plural(len(record.calls), "call"),
        "parents": ", ".join(record.parents),
        "figures": ", ".join(f"{name} {value:.4g}" for name, value in record.metrics.items()),
        "made with": ", ".join(f"{name} {at}" for name, at in record.environment.items()),
    }
    for name, value in rows.items():
        if value.strip(" ,"):
            console.print(f"{name:>10}  {escape(value)}", soft_wrap=True)
    for event in events:
        when = "" if event.at_hour is None else f"{event.at_hour:%Y-%m-%d %H}h"
        line = f"{when}  {event.actor:8}  {event.action:11}  {event.why}"
        console.print(escape(line), soft_wrap=True)


def as_json(record: AdapterRecord) -> str:
    """Return an adapter as one line of JSON."""
    return json.dumps(record.model_dump(mode="json"))
