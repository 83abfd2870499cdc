"""How the deployment is, in a level and in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from apps.rl.guard.explain import reason
from apps.rl.guard.stages import Stage
from apps.rl.guard.standing import is_below_threshold
from apps.rl.guard.state import GuardState
from apps.rl.variants import GuardRules


class HealthLevel(StrEnum):
    """How the deployment is."""

    OK = "ok"
    DEGRADED = "degraded"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Health:
    """How the deployment is, and in which respects it is not well."""

    level: HealthLevel
    findings: tuple[str, ...]


def health_of(state: GuardState, probabilities: Mapping[str, float], rules: GuardRules) -> Health:
    """Return how the deployment is.

    Args:
        state: Where every variant stands, and what the guard has found.
        probabilities: Of the next choice.
        rules: The guard's.
    """
    base, holds = rules.base_variant, state.holds
    findings = [
        f"{stage.value.capitalize()}: {', '.join(names)}."
        for stage in (Stage.BLACKLISTED, Stage.PAUSED)
        if (names := [name for name, found in state.stages.items() if found is stage])
    ]
    level = HealthLevel.OK
    if probabilities[base] == 1.0 and len(probabilities) > 1:
        level = HealthLevel.DEGRADED
        findings.append("Every call gets the base variant: nothing new is tried.")
    if state.base_only:
        findings.append(reason(base, state, rules))
    if holds.alarms:
        level = HealthLevel.CRITICAL
        findings += [f"Alarm: {why}" for why in holds.alarms.values()]
    seen = state.ledger.of(base)
    if is_below_threshold(seen, rules):
        level = HealthLevel.CRITICAL
        findings.append(
            f"The base variant {base} itself is below the blacklist's threshold "
            f"({seen.mean:+.2f}); it goes on serving, since something must. Make an established "
            "variant the base variant in the policy file."
        )
    return Health(level, tuple(findings) or ("All variants are within their limits.",))
