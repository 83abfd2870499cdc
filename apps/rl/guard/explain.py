"""Sentences: where a variant stands, and why."""

from __future__ import annotations

from apps.rl.guard.stages import Stage
from apps.rl.guard.state import GuardState
from apps.rl.variants import GuardRules


def reason(variant: str, state: GuardState, rules: GuardRules) -> str:
    """Return a sentence or two on a variant's stage and its share of the calls."""
    stage, holds, base = state.stages[variant], state.holds, rules.base_variant
    if holds.base_only is not None:
        if stage is Stage.BASE:
            return f"{variant} gets every call: everything is rolled back to it, {holds.base_only}"
        return f"{variant} gets no call: everything is rolled back, {holds.base_only}"
    seen = state.ledger.of(variant)
    if holds.exhausted is not None and stage is Stage.BASE:
        return f"{variant} gets every call: {holds.exhausted}"
    match stage:
        case Stage.BASE:
            return f"{variant} is the base variant ({seen}) and shares what the others leave."
        case Stage.ESTABLISHED:
            return f"{variant} is established ({seen}) and competes with the base variant."
        case Stage.UNCERTAIN:
            cap = f"{rules.split_uncertain:.0%}"
            return (
                f"{variant} is uncertain ({seen}): it is not sure yet that it is as good as "
                f"{base}. All uncertain ones together get at most {cap}."
            )
        case Stage.NEW:
            cap = f"{rules.split_new:.0%}"
            left = max(rules.min_pulls_for_confidence - seen.pulls, 0)
            return (
                f"{variant} is new ({seen}), and for {left} rewarded calls more. All new ones "
                f"together get at most {cap}."
            )
        case Stage.SHADOW:
            return f"{variant} is in the shadow: it answers, and nobody hears it."
        case Stage.OFFLINE:
            return f"{variant} is a candidate; `tom rl promote {variant}` takes it to the shadow."
        case Stage.PAUSED:
            return f"{variant} is paused ({seen}): {holds.paused[variant]}"
        case Stage.REMOVED:
            return f"{variant} is taken out of the deployment: {holds.removed[variant]}"
        case Stage.BLACKLISTED:
            return f"{variant} is blacklisted ({seen}): {holds.blacklisted[variant]}"
