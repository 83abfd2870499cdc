"""How probable each variant's choice is after the deploy guard: pure, exact, explained.

1. The policy would choose each eligible variant with a probability of its own. Eligible are the
   variants whose stage serves calls and has a free seat in the window (``guard/window.py``). A
   share ``exploration_rate`` of the choices is spread evenly over them instead, so that no
   eligible variant's probability is zero (and what was learned can be weighed by it later).
2. The new variants together get of that at most ``split_new``, the uncertain ones at most
   ``split_uncertain``; each in proportion.
3. What is cut off goes to the base variant and the established ones, as the policy would choose
   among these alone.

The choice is then drawn from exactly this distribution, so the stored propensity is the truth.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from apps.rl.guard.stages import SERVING, Stage
from apps.rl.guard.window import CAPPED, split_of
from apps.rl.variants import GuardRules

__all__ = ["Allocation", "Chances", "Stage", "allocate"]

Chances = Callable[[Sequence[str]], Mapping[str, float]]
"""The policy alone: the probability of each of these variants to be chosen among them."""


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


def allocate(
    chances: Chances,
    stages: Mapping[str, Stage],
    rules: GuardRules,
    *,
    base_only: bool = False,
    full: Collection[Stage] = (),
    barred: Collection[str] = (),
) -> dict[str, float]:
    """Return the probabilities of all variants after the guard; they sum to 1.

    Args:
        chances: The policy's, asked once, and once more where a cap binds.
        stages: Of every variant; the base variant is among them.
        rules: The guard's.
        base_only: Everything is rolled back to the base variant, or no regret is left to spend.
        full: Stages without a free seat in the window.
        barred: Variants that this call cannot get, whatever their stage is; never the base.

    Raises:
        ValueError: The base variant is missing.
    """
    base = rules.base_variant
    if stages.get(base) is not Stage.BASE:
        raise ValueError("the base variant must be among the variants")
    probabilities = dict.fromkeys(stages, 0.0)
    eligible = [
        name
        for name, stage in stages.items()
        if stage in SERVING and stage not in full and (name not in barred or name == base)
    ]
    if base_only or len(eligible) == 1:
        return probabilities | {base: 1.0}
    free = _with_floor(chances(eligible), eligible, rules.exploration_rate)
    return probabilities | _capped(free, chances, stages, rules)


def _with_floor(
    chances: Mapping[str, float], names: Sequence[str], exploration_rate: float
) -> dict[str, float]:
    """Return the chances with a share of them spread evenly."""
    even = exploration_rate / len(names)
    return {name: (1.0 - exploration_rate) * chances[name] + even for name in names}


def _capped(
    free: Mapping[str, float], chances: Chances, stages: Mapping[str, Stage], rules: GuardRules
) -> dict[str, float]:
    """Return the probabilities within the groups' limits."""
    shares, cut_off = dict(free), 0.0
    for stage in CAPPED:
        group = [name for name in free if stages[name] is stage]
        wanted, cap = sum(free[name] for name in group), split_of(stage, rules)
        if wanted > cap:
            shares |= {name: free[name] * (cap / wanted) for name in group}
            cut_off += wanted - cap
    if cut_off > 0.0:
        rest = [name for name in free if stages[name] not in CAPPED]
        among = chances(rest) if len(rest) > 1 else {rest[0]: 1.0}
        shares |= {name: shares[name] + cut_off * among[name] for name in rest}
    return shares
