"""`tom adapters`: train, see, try, roll out and take back LoRA adapters."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from apps.cli import adapters_files, adapters_learn, adapters_make, adapters_routes
from apps.cli.adapters_parts import (
    AdapterId,
    AsJson,
    as_json,
    registry_of,
    show_list,
    show_one,
)
from apps.cli.parts import errors_told
from apps.core.errors import AdapterError, ConfigError
from apps.core.plural import plural
from apps.rl import defaults
from apps.rl.adapters.record import AdapterState
from apps.rl.adapters.rollout.machine import OVER, Happening, What
from apps.rl.adapters.rollout.monitor import Signal, Watch
from apps.rl.adapters.rollout.watching import as_arm, on_route
from apps.settings import load_settings
from apps.store.adapter_calls import adapter_calls_since
from apps.store.adapters import load_adapter_events

adapters_app = typer.Typer(
    no_args_is_help=True,
    help="LoRA adapters: train them, try them, roll them out to callers, take them back.",
)

Why = Annotated[str, typer.Option(help="The reason, kept with the act.")]
BY_HAND = "by an operator"


@adapters_app.command("list")
def list_(
    everything: Annotated[
        bool, typer.Option("--all", help="Those whose time is over, too.")
    ] = False,
    json_: AsJson = False,
) -> None:
    """List adapters: where each stands, what it was made from, and its figures."""
    console = Console()
    with errors_told(console):
        known = registry_of(load_settings()).known()
    records = [r for r in known.records.values() if everything or r.state not in OVER]
    if json_:
        for record in records:
            print(as_json(record))
        return
    if records:
        show_list(console, records)
    else:
        console.print("There is no adapter. `tom adapters train --help` tells how to make one.")
    hidden = len(known.records) - len(records)
    if hidden:
        console.print(f"[dim]{hidden} more whose time is over: --all[/]")
    for name, why in known.damaged.items():
        console.print(f"[red]damaged[/]: {escape(name)}: {escape(why)}", soft_wrap=True)


@adapters_app.command()
def show(adapter: AdapterId, json_: AsJson = False) -> None:
    """Tell all that is known of an adapter, and everything that happened to it."""
    console = Console()
    with errors_told(console):
        registry = registry_of(load_settings())
        record = registry.record(adapter)
        with registry.db.reading() as conn:
            events = [e for e in load_adapter_events(conn) if e.adapter_id == record.id]
    if json_:
        print(as_json(record))
        return
    show_one(console, record, events)


@adapters_app.command()
def promote(
    adapter: AdapterId,
    like: Annotated[
        str, typer.Option(help="The variant whose manner its callers hear; the base variant's.")
    ] = "",
    why: Why = BY_HAND,
) -> None:
    """Begin an adapter's roll-out; the server does the rest, step by step.

    It must have passed `tom adapters eval`. `tom adapters show` tells how far it is.
    """
    console = Console()
    with errors_told(console):
        settings = load_settings()
        registry = registry_of(settings)
        record = registry.record(adapter)
        if record.state is AdapterState.TRAINED:
            raise AdapterError(
                f"{record.id} has not been evaluated.",
                hint=f"`tom adapters eval {record.id} --data HELD-OUT.jsonl` does that.",
            )
        if like:
            _check_variant(like)
        with console.status("Looking at its files and its base"):
            registry.admit(record)
        registry.happened(record.id, Happening(What.PROMOTED, why, "operator", like=like))
    console.print(f"{record.id} is to be loaded: its roll-out has begun.")
    if not settings.adapter_url:
        console.print(
            "[yellow]No server loads adapters yet[/]: it waits for one with TOM_ADAPTER_URL.",
            soft_wrap=True,
        )


@adapters_app.command()
def rollback(adapter: AdapterId, why: Why = BY_HAND) -> None:
    """Take an adapter from callers, whatever it is at; what stood by takes its place.

    Calls that have it keep it. When none has it any more the server unloads it.
    """
    _leave(adapter, Happening(What.ROLLED_BACK, why, "operator"), "is taken back")


@adapters_app.command()
def retire(adapter: AdapterId, why: Why = BY_HAND) -> None:
    """End an adapter's time, as `rollback` does, but not because anything was wrong with it."""
    _leave(adapter, Happening(What.RETIRED, why, "operator"), "retires")


@adapters_app.command()
def compare(
    adapter: AdapterId,
    other: Annotated[
        str | None,
        typer.Argument(help="Another adapter that is tried beside it; its control if left out."),
    ] = None,
    json_: AsJson = False,
) -> None:
    """Tell how an adapter's calls differ from the control's, or from another adapter's: A/B.

    The intervals hold at every look. A call counts where it could have gone to either.
    """
    console = Console()
    with errors_told(console), console.status("Reading the calls"):
        registry = registry_of(load_settings())
        known = registry.known()
        record = registry.record(adapter)
        against = None if other is None else registry.record(other)
        base = defaults.default_catalog().rules.base_variant
        with registry.db.reading() as conn:
            rows = adapter_calls_since(conn, known.rollouts[record.id].since)
        watch = Watch(record.id)
        for row in rows:
            if against is not None:
                call = as_arm(row, record.served, against.served)
            elif row.route == record.served:
                call = on_route(row, record.served)
            else:
                call = as_arm(row, record.served, base)
            watch = watch if call is None else watch.add(call)
    told = {str(signal): list(watch.difference(signal)) for signal in Signal}
    if json_:
        print(json.dumps({"adapter": record.id, "calls": watch.calls, "differences": told}))
        return
    beside = against.id if against is not None else "its control"
    console.print(f"{record.id} beside {beside}, after {plural(watch.calls, 'call')} of its own:")
    for signal, (low, high) in told.items():
        console.print(f"  {signal:<10} {low:+.2f} to {high:+.2f}")


@adapters_app.command()
def verify(
    repair: Annotated[
        bool, typer.Option("--repair", help="Write the JSON file anew from the store.")
    ] = False,
) -> None:
    """Check every signature and file of the registry; exit with 1 when something is wrong."""
    console = Console()
    with errors_told(console):
        registry = registry_of(load_settings())
        if repair and registry.export():
            console.print(f"Written anew: {escape(str(registry.file))}", soft_wrap=True)
        with console.status("Reading all files"):
            found = registry.verify()
    for sentence in found:
        console.print(f"[red]wrong[/]: {escape(sentence)}", soft_wrap=True)
    if found:
        raise typer.Exit(1)
    console.print("Everything is as it was registered.")


adapters_make.register(adapters_app)
adapters_files.register(adapters_app)
adapters_learn.register(adapters_app)
adapters_routes.register(adapters_app)


def _leave(adapter: str, happening: Happening, told: str) -> None:
    console = Console()
    with errors_told(console):
        registry = registry_of(load_settings())
        record = registry.record(adapter)
        registry.happened(record.id, happening)
        after = registry.record(record.id)
    console.print(f"{record.id} {told}: it is {after.state}.")


def _check_variant(name: str) -> None:
    variants = defaults.default_catalog().variants
    if name not in variants or variants[name].adapter is not None:
        plain = ", ".join(n for n, v in variants.items() if v.adapter is None)
        raise ConfigError(
            f"There is no variant {name!r} without an adapter.", hint=f"Variants are {plain}."
        )
