"""How probable each variant's choice is after the deploy guard: pure, exact, explained.

1. Each variant has a stage (``stage_of``), by its pulls and how sure one can be of it.
2. Thompson sampling would choose a variant with its probability of being the best one. A share
   ``exploration_rate`` of the choices is spread evenly instead, so that no variant's probability
   is zero (and what was learned can be weighed by it later).
3. The new variants together get what that gives them, at most ``split_new``; the uncertain ones
   at most ``split_uncertain``; the base variant and the established ones get the rest.
4. Inside each of the three groups the same rule divides the group's share.

The choice is then drawn from exactly this distribution, so the stored propensity is the truth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from apps.rl import beta
from apps.rl.posterior import Arm
from apps.rl.variants import GuardRules, Prior


class Stage(StrEnum):
    """How far a variant has come."""

    BASE = "base"
    """Always there; never blacklisted."""
    ESTABLISHED = "established"
    """Surely better than the blacklist's threshold: competes freely."""
    UNCERTAIN = "uncertain"
    """Seen some, but not surely good enough."""
    NEW = "new"
    """Hardly seen yet."""
    BLACKLISTED = "blacklisted"
    """Gets no call any more."""
    REMOVED = "removed"
    """Taken out of the deployment by hand."""


@dataclass(frozen=True, slots=True)
class Holds:
    """What operators have set by hand (a fold of their acts, see deploy_guard.py).

    Attributes:
        base_only: Everything is rolled back to the base variant, and why.
        blacklisted: Variants blacklisted by hand, and why.
        removed: Variants taken out, and why.
        probation: Variants given another chance, with their arm as it was then: they are judged
            by what came after.
    """

    base_only: str | None = None
    blacklisted: Mapping[str, str] = field(default_factory=dict)
    removed: Mapping[str, str] = field(default_factory=dict)
    probation: Mapping[str, Arm] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Allocation:
    """The distribution from which a call's variant is drawn.

    Attributes:
        probabilities: Of every variant; they sum to 1.
        stages: Of every variant.
        reasons: Of every variant: a sentence on its stage and its share.
    """

    probabilities: Mapping[str, float]
    stages: Mapping[str, Stage]
    reasons: Mapping[str, str]

    def draw(self, u: float) -> str:
        """Return the variant at position ``u`` in [0, 1) of the stacked probabilities."""
        eligible = [(name, p) for name, p in self.probabilities.items() if p > 0.0]
        for name, p in eligible:
            u -= p
            if u < 0.0:
                return name
        return eligible[-1][0]


def stage_of(variant: str, arm: Arm, rules: GuardRules, holds: Holds, prior: Prior) -> Stage:
    """Return a variant's stage."""
    if variant == rules.base_variant:
        return Stage.BASE
    if variant in holds.removed:
        return Stage.REMOVED
    if variant in holds.blacklisted:
        return Stage.BLACKLISTED
    seen = arm.since(holds.probation.get(variant, Arm()))
    mean = seen.mean_reward
    if mean is not None and seen.pulls >= rules.blacklist_min_pulls and mean < rules.blacklist_mean:
        return Stage.BLACKLISTED
    if seen.pulls < rules.min_pulls_for_confidence:
        return Stage.NEW
    if seen.pulls >= rules.blacklist_min_pulls and sureness(seen, rules, prior) >= rules.confidence:
        return Stage.ESTABLISHED
    return Stage.UNCERTAIN


def sureness(arm: Arm, rules: GuardRules, prior: Prior) -> float:
    """Return the posterior probability that the true mean reward is above the threshold."""
    return 1.0 - beta.cdf((rules.blacklist_mean + 1.0) / 2.0, *arm.posterior(prior))


def allocate(
    arms: Mapping[str, Arm], rules: GuardRules, prior: Prior, holds: Holds | None = None
) -> Allocation:
    """Return the probabilities of all variants after the guard.

    Args:
        arms: What was seen of each variant; the base variant is among them.
        rules: The guard's.
        prior: The posteriors' beginning.
        holds: What operators have set by hand.

    Raises:
        ValueError: The base variant is missing.
    """
    if rules.base_variant not in arms:
        raise ValueError("the base variant must be among the arms")
    holds = holds or Holds()
    stages = {name: stage_of(name, arm, rules, holds, prior) for name, arm in arms.items()}
    probabilities = dict.fromkeys(arms, 0.0)
    if holds.base_only is not None:
        probabilities[rules.base_variant] = 1.0
    else:
        probabilities |= _shares(arms, stages, rules, prior)
    reasons = {name: _reason(name, arm, stages[name], rules, holds) for name, arm in arms.items()}
    return Allocation(probabilities, stages, reasons)


def thompson(
    arms: Mapping[str, Arm], names: Sequence[str], prior: Prior, exploration_rate: float
) -> dict[str, float]:
    """Return the probability of each named variant to be the best of them, evenly mixed.

    Args:
        arms: What was seen of each variant.
        names: Those that compete; may be empty.
        prior: The posteriors' beginning.
        exploration_rate: Share that is spread evenly over them.
    """
    if not names:
        return {}
    posteriors = [arms[name].posterior(prior) for name in names]
    best = beta.probability_best([a for a, _ in posteriors], [b for _, b in posteriors])
    even = exploration_rate / len(names)
    return {
        name: (1.0 - exploration_rate) * float(p) + even
        for name, p in zip(names, best, strict=True)
    }


def _shares(
    arms: Mapping[str, Arm], stages: Mapping[str, Stage], rules: GuardRules, prior: Prior
) -> dict[str, float]:
    def members(*wanted: Stage) -> list[str]:
        return [name for name, stage in stages.items() if stage in wanted]

    rest = members(Stage.BASE, Stage.ESTABLISHED)
    capped = (
        (members(Stage.NEW), rules.split_new),
        (members(Stage.UNCERTAIN), rules.split_uncertain),
    )
    everybody = rest + capped[0][0] + capped[1][0]
    free = thompson(arms, everybody, prior, rules.exploration_rate)
    shares: dict[str, float] = {}
    left = 1.0
    for names, cap in capped:
        group = min(cap, sum(free[name] for name in names), left)
        left -= group
        inside = thompson(arms, names, prior, rules.exploration_rate)
        shares |= {name: group * p for name, p in inside.items()}
    inside = thompson(arms, rest, prior, rules.exploration_rate)
    return shares | {name: left * p for name, p in inside.items()}


def _reason(variant: str, arm: Arm, stage: Stage, rules: GuardRules, holds: Holds) -> str:
    mean = arm.mean_reward
    seen = f"{arm.pulls} pulls" + ("" if mean is None else f", mean reward {mean:+.2f}")
    if holds.base_only is not None:
        if stage is Stage.BASE:
            return f"{variant} gets every call: everything is rolled back to it, {holds.base_only}"
        return f"{variant} gets no call: everything is rolled back, {holds.base_only}"
    match stage:
        case Stage.BASE:
            return f"{variant} is the base variant ({seen}) and shares what the others leave."
        case Stage.ESTABLISHED:
            return f"{variant} is established ({seen}) and competes with the base variant."
        case Stage.UNCERTAIN:
            cap = f"{rules.split_uncertain:.0%}"
            return f"{variant} is uncertain ({seen}); all such together get at most {cap}."
        case Stage.NEW:
            return (
                f"{variant} is new ({seen}); all such together get at most {rules.split_new:.0%}."
            )
        case Stage.REMOVED:
            return f"{variant} is taken out of the deployment: {holds.removed[variant]}"
        case Stage.BLACKLISTED:
            rule = (
                f"its mean is below {rules.blacklist_mean} after {rules.blacklist_min_pulls} pulls"
            )
            return (
                f"{variant} is blacklisted ({seen}): {holds.blacklisted.get(variant, rule + '.')}"
            )
