"""`tom rl ratings`: mean ratings and rewards, corrected for who answered, beside those given."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from apps.cli.parts import errors_told
from apps.rl import defaults
from apps.rl.missing import Diagnosis, Estimate, Value, diagnose, estimates, fit, from_events
from apps.store.feedback import feedback_since


def register(app: typer.Typer) -> None:
    """Add the command to `tom rl`."""
    app.command()(ratings)


def ratings(
    if_lower: Annotated[
        float,
        typer.Option(help="What if the silent are so many stars below what is expected of them?"),
    ] = 0.5,
) -> None:
    """Show each variant's mean rating and reward: of those given, and corrected for the rest."""
    console = Console()
    with errors_told(console):
        names = list(defaults.default_catalog().variants)
        with defaults.default_database().reading() as conn:
            calls = from_events(feedback_since(conn, 0), names)
        fitted = fit(calls)
        found = estimates(calls, fitted=fitted)
    if not len(calls):
        console.print("No call has been rewarded yet.")
        return
    stars = _table("asked", "rated", "stars given", "corrected", "IPW", "weigh\nas")
    stars.add_column(f"silent\n{if_lower:g} lower", justify="right", no_wrap=True)
    rewards = _table("calls", "reward", "corrected reward")
    for estimate in found.values():
        if estimate.calls:
            stars.add_row(*_stars(estimate, if_lower))
            rewards.add_row(*_rewards(estimate))
    console.print(stars, rewards, sep="\n")
    for estimate in found.values():
        if estimate.calls and estimate.too_little:
            console.print(
                escape(f"{estimate.variant}: too little data ({estimate.too_little})."),
                soft_wrap=True,
            )
    if fitted is not None:
        for sentence in told(diagnose(calls, fitted)):
            console.print(escape(sentence), soft_wrap=True)


def told(found: Diagnosis) -> list[str]:
    """Return what the diagnosis says, in sentences."""
    sentences = [
        f"The chance of an answer is off by {100 * found.calibration_error:.0f} points on average "
        "over tenths of callers who were left out."
    ]
    if found.gain <= 0.0:
        sentences.append(
            "Nothing that is known of a call tells who answers: the correction changes little."
        )
    if found.rare > 0.0:
        sentences.append(
            f"{100 * found.rare:.0f} % of the calls are of a kind that answers less than one time "
            "in twenty: their few ratings weigh much."
        )
    if found.never:
        sentences.append(f"Nobody of these answered: {', '.join(found.never)}.")
    sentences.append(
        "Corrected is what the asked would have given if the silent are like those who answered "
        "as far as their calls can tell; whoever is silent because of the rating itself is not "
        "corrected for."
    )
    return sentences


def _table(*columns: str) -> Table:
    """Return a table for one line a variant, also where a terminal has 80 columns."""
    table = Table(box=None, collapse_padding=True)
    table.add_column("variant", overflow="fold")
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _stars(estimate: Estimate, if_lower: float) -> tuple[str, ...]:
    lower = estimate.if_lower(if_lower)
    return (
        escape(estimate.variant),
        str(estimate.asked),
        str(estimate.answered),
        _told(estimate.complete_case),
        _told(estimate.dr),
        _told(estimate.ipw),
        f"{estimate.effective:.0f}" if estimate.dr else "",
        "" if lower is None else f"{lower:.2f}",
    )


def _rewards(estimate: Estimate) -> tuple[str, ...]:
    return (
        escape(estimate.variant),
        str(estimate.calls),
        _told(estimate.reward, sign="+"),
        _told(estimate.corrected_reward, sign="+"),
    )


def _told(value: Value | None, sign: str = "") -> str:
    if value is None:
        return ""
    half = (value.interval.high - value.interval.low) / 2
    return f"{value.value:{sign}.2f}" + ("" if half != half else f" ± {half:.2f}")
