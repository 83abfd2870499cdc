"""What the guard does by itself: a pure decider over what was seen, each act with a sentence.

Acts carry ids, so that several processes that come to the same conclusion store it once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from apps.core.plural import plural
from apps.rl.guard.ledger import Ledger
from apps.rl.guard.stages import SERVING, Act, Holds, Stage
from apps.rl.guard.standing import is_below_threshold
from apps.rl.variants import GuardRules
from apps.store.deployment import DeploymentRow

GUARD = "guard"
"""The actor of what nobody did by hand."""

BASE_UNSAFE, SAMPLE_RATIO = CHECKS = ("base_unsafe", "sample_ratio")
"""What is watched of the experiment as a whole."""

ACTS = (Act.PAUSE, Act.BLACKLIST, Act.ALARM, Act.ROLLBACK, Act.EXHAUST, Act.RECOVER)
"""What the guard may do by itself."""


def review(
    ledger: Ledger, stages: Mapping[str, Stage], holds: Holds, rules: GuardRules
) -> list[DeploymentRow]:
    """Return what the guard must do now; nothing that is done already."""
    acts = [
        act
        for variant, stage in stages.items()
        if stage in SERVING and stage is not Stage.BASE
        for act in _of_variant(variant, stage, ledger, holds, rules)
    ]
    return [*acts, *_of_experiment(ledger, holds, rules)]


def _of_variant(
    variant: str, stage: Stage, ledger: Ledger, holds: Holds, rules: GuardRules
) -> Iterator[DeploymentRow]:
    why = ledger.breakers.tripped(variant)
    if why is not None:
        act = Act.BLACKLIST if ledger.breakers.recent[variant].unsafe else Act.PAUSE
        yield _act(holds, act, variant, why, {"rule": "breaker", "from": stage.value})
    elif (found := _bad(variant, ledger, rules)) is not None:
        rule, why = found
        if stage is Stage.ESTABLISHED:
            why = f"It was established and is rolled back. {why}"
        yield _act(holds, Act.BLACKLIST, variant, why, {"rule": rule, "from": stage.value})


def _bad(variant: str, ledger: Ledger, rules: GuardRules) -> tuple[str, str] | None:
    """Return the rule by which a variant is to be blacklisted, and a sentence."""
    by = rules.blacklist_rule
    if by != "threshold" and ledger.contests.surely_worse(variant, rules.family_error):
        low, high = ledger.contests.difference(variant, rules.family_error)
        return "confidence", (
            f"{variant} is surely worse than {rules.base_variant}: its mean reward differs by "
            f"{low:+.2f} to {high:+.2f}."
        )
    if by != "confidence" and is_below_threshold(ledger.of(variant), rules):
        seen = ledger.of(variant)
        return "threshold", (
            f"The mean reward of {variant}, {seen.mean:+.2f}, is below {rules.blacklist_mean} "
            f"after {plural(seen.pulls, 'pull')}."
        )
    return None


def _of_experiment(ledger: Ledger, holds: Holds, rules: GuardRules) -> Iterator[DeploymentRow]:
    alarm = ledger.breakers.tripped(rules.base_variant)
    if alarm is not None and BASE_UNSAFE not in holds.alarms:
        why = f"{alarm} It is the base variant, which goes on serving."
        yield _act(holds, Act.ALARM, None, why, {"check": BASE_UNSAFE})
    alarm = ledger.mismatch.alarm()
    if alarm is not None and SAMPLE_RATIO not in holds.alarms:
        why = f"Calls do not get their variants as often as was logged: {alarm}"
        yield _act(holds, Act.ALARM, None, why, {"check": SAMPLE_RATIO})
        if holds.base_only is None:
            yield _act(holds, Act.ROLLBACK, None, f"since the experiment is broken. {why}", {})
    spent = ledger.budget.exhausted
    if spent and holds.exhausted is None:
        yield _act(holds, Act.EXHAUST, None, ledger.budget.why(), {})
    if not spent and holds.exhausted is not None:
        yield _act(holds, Act.RECOVER, None, ledger.budget.why(), {})


def _act(
    holds: Holds, act: Act, variant: str | None, why: str, data: Mapping[str, object]
) -> DeploymentRow:
    act_id = holds.act_id(act, variant, str(data.get("check", "")))
    return DeploymentRow(act.value, variant, why, data, GUARD, act_id)
