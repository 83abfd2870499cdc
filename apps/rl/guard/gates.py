"""The gates of a variant's life: where it goes next, and what it lacks for that."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from apps.core.errors import ConfigError
from apps.core.plural import plural
from apps.rl.guard.candidates import same_treatment
from apps.rl.guard.stages import Stage
from apps.rl.guard.state import GuardState
from apps.rl.variants import GuardRules, PolicyVariant
from apps.store.shadow import ShadowRow

NEXT = {
    Stage.OFFLINE: Stage.SHADOW,
    Stage.SHADOW: Stage.NEW,
    Stage.NEW: Stage.UNCERTAIN,
    Stage.UNCERTAIN: Stage.ESTABLISHED,
}
"""The step up from each stage that has one."""


@dataclass(frozen=True, slots=True)
class ShadowRecord:
    """How a variant did in the shadow.

    Attributes:
        results: Scored answers.
        passed: Those that did nothing that must not be done.
        score: Their mean score in [0, 1]; 0 without any.
    """

    results: int = 0
    passed: int = 0
    score: float = 0.0

    @classmethod
    def of(cls, rows: Iterable[ShadowRow]) -> ShadowRecord:
        """Return the record of one variant's results."""
        found = list(rows)
        if not found:
            return cls()
        total = sum(row.score for row in found)
        return cls(len(found), sum(row.passed for row in found), total / len(found))


@dataclass(frozen=True, slots=True)
class Gate:
    """The step before a variant.

    Attributes:
        to: Where it leads.
        missing: What the variant lacks for it, each in a sentence; empty when it is open.
    """

    to: Stage
    missing: tuple[str, ...] = ()


def gate_of(
    variant: str,
    state: GuardState,
    variants: Mapping[str, PolicyVariant],
    rules: GuardRules,
    shadow: ShadowRecord,
) -> Gate:
    """Return the gate before a variant.

    Args:
        variant: Which one.
        state: Where all of them stand.
        variants: All of them.
        rules: The guard's.
        shadow: How this one did in the shadow.

    Raises:
        ConfigError: It stands where no gate leads on.
    """
    stage = state.stages[variant]
    if stage not in NEXT:
        raise ConfigError(
            f"{variant} is {stage.value}: there is no step up from there.",
            hint=f"`tom rl reinstate {variant}` gives it another chance."
            if stage in (Stage.BLACKLISTED, Stage.PAUSED)
            else "",
        )
    match stage:
        case Stage.OFFLINE:
            missing = _for_shadow(variants[variant], state, variants)
        case Stage.SHADOW:
            missing = _for_callers(state, rules, shadow)
        case _:
            missing = _for_sureness(variant, stage, state, rules)
    return Gate(NEXT[stage], tuple(missing))


def _for_shadow(
    variant: PolicyVariant, state: GuardState, variants: Mapping[str, PolicyVariant]
) -> list[str]:
    twins = {n: v for n, v in variants.items() if state.stages.get(n) is not Stage.OFFLINE}
    return [
        f"It does the same as {twin}, which is {state.stages[twin].value}."
        for twin in same_treatment(variant, twins)
    ]


def _for_callers(state: GuardState, rules: GuardRules, shadow: ShadowRecord) -> list[str]:
    missing = []
    if shadow.results < rules.shadow_results:
        missing.append(
            f"It has {shadow.results} scored answers in the shadow of {rules.shadow_results}."
        )
    if shadow.results and shadow.passed < rules.shadow_pass_rate * shadow.results:
        missing.append(
            f"{shadow.passed} of {shadow.results} answers passed; {rules.shadow_pass_rate:.0%} "
            "must."
        )
    if shadow.results and shadow.score < rules.shadow_score:
        missing.append(
            f"Its answers' mean score is {shadow.score:.2f}; {rules.shadow_score:.2f} is needed."
        )
    if state.base_only:
        missing.append("Only the base variant serves by now, so it would get no call.")
    return missing


def _for_sureness(variant: str, stage: Stage, state: GuardState, rules: GuardRules) -> list[str]:
    """Return what calls have not shown yet; with it the variant goes on by itself."""
    pulls = state.ledger.of(variant).pulls
    if stage is Stage.NEW:
        least = rules.min_pulls_for_confidence
        return [f"It has {pulls} of {least} rewarded calls; after them it goes on by itself."]
    low, high = state.ledger.contests.difference(variant, rules.family_error)
    return [
        f"It is not sure yet that it is at most {rules.margin} worse than {rules.base_variant}: "
        f"after {plural(pulls, 'call')} its mean reward differs by {low:+.2f} to {high:+.2f}. "
        "When that is sure it goes on by itself."
    ]
