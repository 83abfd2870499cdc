"""`tom rl`: what the bandit has learned, how probable each variant is now, and the levers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from apps.cli import rl_abuse, rl_ratings
from apps.cli.parts import errors_told
from apps.cli.rl_train import train
from apps.rl.deploy_guard import DeployGuard, VariantStatus
from apps.rl.policy_bandit import PolicyBandit, VariantStatistics
from apps.rl.variants import PolicyVariant
from apps.settings import load_settings

rl_app = typer.Typer(no_args_is_help=True, help="See what was learned, and steer it.")
rl_app.command()(train)
rl_abuse.register(rl_app)
rl_ratings.register(rl_app)

Why = Annotated[str, typer.Option(help="The reason, kept with the act.")]
Variant = Annotated[str, typer.Argument(help="The variant's id, as in `tom rl status`.")]
BY_HAND = "by an operator."


@rl_app.command()
def status() -> None:
    """Show every variant: its slots, stage, pulls, mean reward, and its probability now."""
    console = Console()
    with errors_told(console):
        guard = DeployGuard()
        known = guard.status()
        statistics = guard.bandit.statistics()
        health = guard.health()
        exploration = guard.bandit.exploration_rate()
    table = Table("variant", "slots", "stage", box=None)
    for column in ("pulls", "mean reward", "95 % of the truth", "next call"):
        table.add_column(column, justify="right")
    for name, variant in guard.bandit.variants.items():
        table.add_row(*_row(variant, known[name], statistics[name]))
    console.print(table)
    if not load_settings().rl_enabled:
        console.print("\nRL_ENABLED=false: every call gets the base variant, nothing is learned.")
    console.print(f"\nhealth: {health.level.value}")
    for finding in health.findings:
        console.print(f"  {escape(finding)}", soft_wrap=True)
    console.print(f"bare bandit would explore with {exploration:.1%} of the calls")


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
    low, high = statistics.interval
    console.print(f"{variant}: {escape(about.name)}. {escape(about.description)}", soft_wrap=True)
    console.print(escape(known.why), soft_wrap=True)
    console.print(
        f"The next call gets it with probability {known.probability:.3f}. Its true mean reward "
        f"lies between {low:+.2f} and {high:+.2f} with 95 % probability, and it is the best of "
        f"all with {statistics.probability_best:.1%}.",
        soft_wrap=True,
    )


@rl_app.command()
def rebuild() -> None:
    """Make the bandit's snapshot anew from the feedback store."""
    console = Console()
    with errors_told(console):
        bandit = PolicyBandit()
        before = bandit.state
        after = bandit.rebuild()
    pulls = sum(arm.pulls for arm in after.arms.values())
    same = "the same as before" if before == after else "different from before"
    console.print(f"Rebuilt from {pulls} rewards, up to event {after.last_seq}: {same}.")


@rl_app.command()
def blacklist(variant: Variant, why: Why = BY_HAND) -> None:
    """Give a variant no call any more."""
    _act(lambda guard: guard.blacklist(variant, why))


@rl_app.command()
def reinstate(variant: Variant, why: Why = BY_HAND) -> None:
    """Give a blacklisted variant another chance."""
    _act(lambda guard: guard.reinstate(variant, why))


@rl_app.command()
def rollback(
    variant: Annotated[
        str | None, typer.Argument(help="One variant; everything if left out.")
    ] = None,
    why: Why = BY_HAND,
) -> None:
    """Send all calls to the base variant, or take one variant back."""
    _act(lambda guard: guard.rollback(variant, why))


@rl_app.command()
def resume(why: Why = BY_HAND) -> None:
    """End a rollback of everything."""
    _act(lambda guard: guard.resume(why))


def _act(do: Callable[[DeployGuard], str]) -> None:
    console = Console()
    with errors_told(console):
        console.print(escape(do(DeployGuard())), soft_wrap=True)


def _row(
    variant: PolicyVariant, known: VariantStatus, statistics: VariantStatistics
) -> tuple[str, ...]:
    low, high = statistics.interval
    mean = "" if known.mean_reward is None else f"{known.mean_reward:+.2f}"
    return (
        variant.id,
        " ".join(variant.slots.as_dict().values()),
        known.stage.value,
        str(known.pulls),
        mean,
        f"{low:+.2f} to {high:+.2f}",
        f"{known.probability:.1%}",
    )
