"""`tom rl`'s levers: what an operator does to variants, and the list of all that was done."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from apps.cli.parts import errors_told
from apps.rl.deploy_guard import BY_HAND, DeployGuard
from apps.store.deployment import DeploymentRow

Why = Annotated[str, typer.Option(help="The reason, kept with the act.")]
Variant = Annotated[str, typer.Argument(help="The variant's id, as in `tom rl status`.")]


def register(app: typer.Typer) -> None:
    """Add the levers to the `tom rl` commands."""
    for lever in (promote, blacklist, reinstate, remove, add, rollback, resume, log):
        app.command()(lever)


def promote(
    variant: Variant,
    why: Why = BY_HAND,
    force: Annotated[
        bool, typer.Option("--force", help="Though it lacks something; say why.")
    ] = False,
) -> None:
    """Take a candidate one step up: offline, shadow, new."""
    if force and why == BY_HAND:
        Console().print("[red]--force needs a reason: --why ...[/red]")
        raise typer.Exit(2)
    _act(lambda guard: guard.promote(variant, why, force=force))


def blacklist(variant: Variant, why: Why = BY_HAND) -> None:
    """Give a variant no call any more."""
    _act(lambda guard: guard.blacklist(variant, why))


def reinstate(variant: Variant, why: Why = BY_HAND) -> None:
    """Give a blacklisted or paused variant another chance."""
    _act(lambda guard: guard.reinstate(variant, why))


def remove(variant: Variant, why: Why = BY_HAND) -> None:
    """Take a variant out of the deployment."""
    _act(lambda guard: guard.remove_variant_from_deployment(variant, why))


def add(variant: Variant, why: Why = BY_HAND) -> None:
    """Let a variant that was taken out take part again."""
    _act(lambda guard: guard.add_variant_to_deployment(variant, why))


def rollback(
    variant: Annotated[
        str | None, typer.Argument(help="One variant; everything if left out.")
    ] = None,
    why: Why = BY_HAND,
) -> None:
    """Send all calls to the base variant, or take one variant back."""
    _act(lambda guard: guard.rollback(variant, why))


def resume(why: Why = BY_HAND) -> None:
    """End a rollback of everything, and clear its alarms."""
    _act(lambda guard: guard.resume(why))


def log(
    variant: Annotated[str | None, typer.Argument(help="Only what was done to this one.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One act a line, as JSON.")] = False,
) -> None:
    """List what operators and the guard did, and why."""
    console = Console()
    with errors_told(console):
        guard = DeployGuard()
        if variant is not None:
            guard.bandit.check_variant(variant)
        acts = [act for act in guard.acts() if variant in (None, act.variant)]
    if not acts and not as_json:
        console.print("Nothing was done yet.")
    for act in acts:
        if as_json:
            print(json.dumps(act_as_dict(act)))
        else:
            console.print(escape(act_line(act)), soft_wrap=True)


def act_line(act: DeploymentRow) -> str:
    """Return an act in a line: when, who, what, to whom, why."""
    when = "" if act.at_hour is None else f"{act.at_hour:%Y-%m-%d %H}h"
    forced = " (forced)" if act.data.get("forced") else ""
    return f"{when}  {act.actor:8}  {act.action:9}  {act.variant or 'all':8}  {act.why}{forced}"


def act_as_dict(act: DeploymentRow) -> dict[str, object]:
    """Return an act for JSON."""
    return {
        "seq": act.seq,
        "at_hour": None if act.at_hour is None else act.at_hour.isoformat(),
        "actor": act.actor,
        "action": act.action,
        "variant": act.variant,
        "why": act.why,
        "data": dict(act.data),
    }


def _act(do: Callable[[DeployGuard], str]) -> None:
    console = Console()
    with errors_told(console):
        console.print(escape(do(DeployGuard())), soft_wrap=True)
