"""`tom rl`: what the bandit has learned, how probable each variant is now, and the levers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from apps.cli import rl_abuse, rl_evaluate, rl_levers, rl_ratings, rl_report, rl_sandbox
from apps.cli.parts import errors_told
from apps.cli.rl_levers import Variant, act_line
from apps.cli.rl_train import train
from apps.core.plural import plural
from apps.rl import defaults
from apps.rl.deploy_guard import DeployGuard, Health, VariantStatus
from apps.rl.policy_bandit import VariantStatistics
from apps.rl.variants import PolicyVariant
from apps.settings import load_settings
from apps.store.purpose import is_sandbox

rl_app = typer.Typer(no_args_is_help=True, help="See what was learned, and steer it.")


@rl_app.callback()
def _store(
    ctx: typer.Context,
    db: Annotated[
        Path | None,
        typer.Option(
            "--db", exists=True, dir_okay=False, help="Another store's file, such as a sandbox's."
        ),
    ] = None,
) -> None:
    ctx.with_resource(defaults.looking_at(db))


@rl_app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show every variant: its slots, stage, pulls, mean reward, and its probability now."""
    console = Console()
    with errors_told(console):
        guard = DeployGuard()
        known = guard.status()
        statistics = guard.bandit.statistics()
        health = guard.health()
        exploration = guard.bandit.exploration_rate()
        held = rl_abuse.held_by_reason(guard.bandit.db)
        with guard.bandit.db.reading() as conn:
            sandbox = is_sandbox(conn)
    if as_json:
        told = {**_as_dict(guard, known, statistics, health), "held": held, "sandbox": sandbox}
        print(json.dumps(told, indent=2))
        return
    table = Table("variant", "slots", "stage", box=None)
    for column in ("pulls", "mean\nreward", "true mean,\n95 % sure", "next\ncall"):
        table.add_column(column, justify="right", no_wrap=True)
    for name, variant in guard.bandit.variants.items():
        table.add_row(*_row(variant, known[name], statistics[name]))
    console.print(table)
    if sandbox:
        console.print(
            "\nThis store is a sandbox: its callers were simulated, and it serves nobody."
        )
    if not load_settings().rl_enabled:
        console.print("\nRL_ENABLED=false: every call gets the base variant, nothing is learned.")
    console.print(f"\nhealth: {health.level.value}")
    for finding in health.findings:
        console.print(f"  {escape(finding)}", soft_wrap=True)
    if held:
        reasons = ", ".join(f"{reason} {count}" for reason, count in held.items())
        console.print(f"feedback that does not count: {reasons} (tom rl held)", soft_wrap=True)
    console.print(
        f"without the guard, {exploration:.1%} of the calls would try other than the best"
    )


@rl_app.command()
def explain(variant: Variant) -> None:
    """Tell in sentences where a variant stands, and why."""
    console = Console()
    with errors_told(console):
        guard = DeployGuard()
        guard.bandit.check_variant(variant)
        known = guard.status()[variant]
        statistics = guard.bandit.statistics()[variant]
        about = guard.bandit.variants[variant]
        sentences = guard.explain(variant)
        acts = [act for act in guard.acts() if act.variant in (None, variant)]
    low, high = statistics.interval
    title = f"{variant}: {about.name}. {about.description}".rstrip()
    console.print(escape(title), soft_wrap=True)
    for sentence in sentences:
        console.print(escape(sentence), soft_wrap=True)
    console.print(
        f"The next call gets it with probability {known.probability:.3f}. Its true mean reward "
        f"lies between {low:+.2f} and {high:+.2f} with 95 % probability, and it is the best of "
        f"all with {statistics.probability_best:.1%}.",
        soft_wrap=True,
    )
    for act in acts:
        console.print(escape(act_line(act)), soft_wrap=True)


@rl_app.command()
def rebuild() -> None:
    """Make the bandit's and the guard's snapshots anew from the feedback store."""
    console = Console()
    with errors_told(console):
        guard = DeployGuard()
        before = guard.bandit.state
        after = guard.bandit.rebuild()
        guard_same = guard.rebuild()
    pulls = sum(arm.pulls for arm in after.arms.values())
    same = "the same as before" if before == after and guard_same else "different from before"
    console.print(f"Rebuilt from {plural(pulls, 'reward')}, up to event {after.last_seq}: {same}.")


rl_levers.register(rl_app)
rl_abuse.register(rl_app)
rl_ratings.register(rl_app)
rl_evaluate.register(rl_app)
rl_report.register(rl_app)
rl_app.command()(train)
rl_sandbox.register(rl_app)


def _row(
    variant: PolicyVariant, known: VariantStatus, statistics: VariantStatistics
) -> tuple[str, ...]:
    low, high = statistics.interval
    mean = "" if known.mean_reward is None else f"{known.mean_reward:+.2f}"
    return (
        variant.id,
        " ".join(variant.treatment.as_dict().values()),
        known.stage.value,
        str(known.pulls),
        mean,
        f"{low:+.2f} to {high:+.2f}",
        f"{known.probability:.1%}",
    )


def _as_dict(
    guard: DeployGuard,
    known: Mapping[str, VariantStatus],
    statistics: Mapping[str, VariantStatistics],
    health: Health,
) -> dict[str, object]:
    return {
        "enabled": load_settings().rl_enabled,
        "health": health.level.value,
        "findings": list(health.findings),
        "variants": {
            name: {
                "stage": status.stage.value,
                "probability": status.probability,
                "pulls": status.pulls,
                "mean_reward": status.mean_reward,
                "interval": list(statistics[name].interval),
                "slots": guard.bandit.variants[name].slots.as_dict(),
                "adapter": guard.bandit.variants[name].adapter,
                "why": status.why,
            }
            for name, status in known.items()
        },
    }
