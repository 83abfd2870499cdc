"""`tom rl evaluate`: what a variant, or the policy as it is now, would have earned."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from apps.cli.parts import errors_told
from apps.core.plural import plural
from apps.rl.deploy_guard import DeployGuard
from apps.rl.off_policy import Evaluation, Rules
from apps.rl.report.evaluations import Judged, Judgement, Now, judge
from apps.rl.report.history import History, read

Variants = Annotated[
    list[str] | None,
    typer.Option("--variant", help="As if this one had served every call; may be repeated."),
]
Current = Annotated[
    bool, typer.Option("--current", help="The policy as it is now, after the guard.")
]
Last = Annotated[int, typer.Option(min=1, help="Of so many newest calls.")]
Floor = Annotated[float, typer.Option(min=1.0, help="Fewer effective calls are refused.")]
AsJson = Annotated[bool, typer.Option("--json", help="Everything that was found, for programs.")]


def register(app: typer.Typer) -> None:
    """Add the command to `tom rl`."""
    app.command()(evaluate)


def evaluate(
    variant: Variants = None,
    current: Current = False,
    last: Last = 20_000,
    ess_floor: Floor = 50.0,
    as_json: AsJson = False,
) -> None:
    """Estimate from the logged calls what other policies would have earned, or say why not.

    Without options: every variant alone, beside what was served.
    """
    console = Console()
    with errors_told(console), console.status("Reading the calls") as status:
        guard = DeployGuard()
        for name in variant or ():
            guard.bandit.check_variant(name)
        with guard.bandit.db.reading() as conn:
            history = read(conn, newest=last)
        names = variant or ([] if current else list(guard.bandit.variants))
        found = judge(
            history,
            names,
            now=now_of(guard) if current else None,
            rules=Rules(ess_floor=ess_floor),
            progress=status.update,
        )
    if as_json:
        print(json.dumps(as_dict(found, history), indent=2))
        return
    _show(console, found, history)


def now_of(guard: DeployGuard) -> Now:
    """Return the policy as it is now, after the guard."""

    def now(context: Mapping[str, object]) -> Mapping[str, float]:
        return guard.allocation(context).probabilities

    return now


def as_dict(found: Judgement, history: History) -> dict[str, Any]:
    """Return a judgement for JSON; numbers that are none are null."""
    policies = {
        one.policy: {
            "logged": _finite(asdict(one.logged)),
            "corrected": None if one.corrected is None else _finite(asdict(one.corrected)),
            "notes": list(one.notes),
        }
        for one in found.policies
    }
    return {
        "calls": found.calls,
        "left_out": dict(history.gathered.left_out),
        "improper": found.improper,
        "level": found.level,
        "policies": policies,
    }


def _finite(value: Any) -> Any:
    """Return a value with null for what no JSON number can be."""
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _show(console: Console, found: Judgement, history: History) -> None:
    for reason, count in sorted(history.gathered.left_out.items()):
        console.print(
            f"[dim]left out: {plural(count, 'call')}, {escape(reason)}[/]", soft_wrap=True
        )
    if found.improper:
        improper = plural(found.improper, "call")
        console.print(f"[dim]left out: {improper} without usable probabilities[/]")
    if not found.policies:
        console.print("No call has been rewarded yet: there is nothing to evaluate on.")
        return
    table = Table("policy", box=None)
    for column in ("mean reward", "95 %, delta", "95 %, bootstrap", "worth calls", "rated by all"):
        table.add_column(column, justify="right", no_wrap=column.startswith("95"))
    for one in found.policies:
        table.add_row(*_row(one))
    console.print(table)
    for sentence in _sentences(found):
        console.print(escape(sentence), soft_wrap=True)
    if len(found.policies) <= 2:
        _show_details(console, found.policies[0])


def _row(one: Judged) -> tuple[str, ...]:
    worth = f"{one.logged.diagnostics.effective:.0f}"
    if one.logged.best is None:
        return escape(one.policy), "refused", "", "", worth, ""
    best = one.logged.estimate(one.logged.best)
    return (
        escape(one.policy),
        f"{best.value:+.3f}",
        f"{best.delta.low:+.3f} to {best.delta.high:+.3f}",
        f"{best.bootstrap.low:+.3f} to {best.bootstrap.high:+.3f}",
        worth,
        _told(one.corrected),
    )


def _told(found: Evaluation | None) -> str:
    if found is None or found.best is None:
        return ""
    return f"{found.estimate(found.best).value:+.3f}"


def _sentences(found: Judgement) -> list[str]:
    """Return refusals, one sentence for those of the same reason, and what makes one doubt."""
    few = [p for p in found.policies if p.logged.refusal and len(found.policies) > 2]
    sentences = []
    if few:
        names = ", ".join(p.policy for p in few)
        sentences.append(
            f"No estimate of {names}: the log is worth too few calls of each. Asked for one alone, "
            "`tom rl evaluate --variant` tells more."
        )
    for one in found.policies:
        if one in few:
            continue
        refusal = one.logged.refusal
        refused = [] if refusal is None else [f"No estimate: {refusal}"]
        told = [*refused, *one.logged.doubts, *one.notes]
        sentences += [f"{one.policy}: {sentence}" for sentence in told]
    if all(p.corrected is None for p in found.policies):
        sentences.append("Too few have rated to correct for those who have not.")
    return sentences


def _show_details(console: Console, one: Judged) -> None:
    seen = one.logged.diagnostics
    console.print(f"\n{escape(one.policy)}, by every estimator:")
    table = Table("estimator", box=None)
    for column in ("mean reward", "standard error", "95 %, delta", "95 %, bootstrap"):
        table.add_column(column, justify="right")
    for e in one.logged.estimates:
        intervals = [f"{i.low:+.3f} to {i.high:+.3f}" for i in (e.delta, e.bootstrap)]
        table.add_row(e.estimator, f"{e.value:+.3f}", f"{e.error:.3f}", *intervals)
    if one.logged.estimates:
        console.print(table)
    console.print(
        f"{plural(seen.decisions, 'call')} of {plural(seen.callers, 'caller')}. "
        f"The smallest propensity is {seen.min_propensity:.4f}, "
        f"the largest weight {seen.max_weight:.1f}; "
        f"{seen.top_share:.0%} of all weight lies on 1 % of the calls, and the weights' mean is "
        f"{seen.mean_weight:.3f} (1 is right).",
        soft_wrap=True,
    )
    if seen.calibration_p is not None:
        console.print(
            f"Were the logged probabilities true, the worst of {len(seen.calibration)} bins would "
            f"be as far off as it is with probability {seen.calibration_p:.2g}.",
            soft_wrap=True,
        )
    if one.logged.drift is not None:
        console.print(str(one.logged.drift), soft_wrap=True)
