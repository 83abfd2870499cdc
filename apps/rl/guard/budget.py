"""A budget of regret: what trying variants may cost all callers together.

Conservative bandits (Wu, Shariff, Lattimore and Szepesvari 2016): at all times what was earned
shall be at least (1 - alpha) of what the base variant alone would have earned, on the shifted
reward r + 1, which is never negative. The base's own calls earn what the base earns, so what the
others earned must make up for their part:

    sum(others' r + 1) + credit >= mean * ((1 - alpha) * (others + 1) - alpha * base calls)

with one more call in it that might earn nothing, and the base's mean at the upper end of its
confidence sequence. Where that fails, the base serves alone until its calls have earned enough.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from apps.rl.guard.confidence import Tally


@dataclass(frozen=True, slots=True)
class BudgetRules:
    """How much may be lost.

    Attributes:
        alpha: Share of the base's earnings.
        credit: What may be lost beyond that at the beginning, in shifted rewards; without it a
            new installation could try nothing until the base has served for a while.
        resume: Once exhausted, the budget must reach this again, so that it does not flicker.
        delta: Error of the base's mean, at all times.
    """

    alpha: float = 0.05
    credit: float = 10.0
    resume: float = 5.0
    delta: float = 0.05


@dataclass(frozen=True, slots=True)
class Budget:
    """What was earned; frozen, an incremental fold.

    Attributes:
        base_calls: Rewarded calls of the base.
        base_sum: Their shifted rewards.
        base_high: What bounds the base's mean shifted reward from above...
        base_low: ...and from below.
        others: Rewarded calls of all other variants.
        others_sum: Their shifted rewards.
        exhausted: The base serves alone.
    """

    base_calls: int = 0
    base_sum: float = 0.0
    base_high: Tally = field(default_factory=Tally)
    base_low: Tally = field(default_factory=Tally)
    others: int = 0
    others_sum: float = 0.0
    exhausted: bool = False

    def add(self, reward: float, *, base: bool, rules: BudgetRules | None = None) -> Budget:
        """Return the budget after one more rewarded call, with ``exhausted`` set anew.

        Args:
            reward: In [-1, 1].
            base: Whether the call had the base variant.
            rules: How much may be lost.
        """
        rules = rules or BudgetRules()
        shifted = reward + 1.0
        if base:
            predicted = self._predicted()
            surprise = shifted - predicted
            after = replace(
                self,
                base_calls=self.base_calls + 1,
                base_sum=self.base_sum + shifted,
                base_high=self.base_high.add(-shifted, -surprise, 1.0, 2.0 - predicted),
                base_low=self.base_low.add(shifted, surprise, 1.0, predicted),
            )
        else:
            after = replace(self, others=self.others + 1, others_sum=self.others_sum + shifted)
        least = rules.resume if self.exhausted else 0.0
        return replace(after, exhausted=after.left(rules) < least)

    def _predicted(self) -> float:
        """Return the base's mean so far; 1 (a reward of 0) counts as one call."""
        return min(max((self.base_sum + 1.0) / (self.base_calls + 1.0), 0.1), 1.9)

    def left(self, rules: BudgetRules | None = None) -> float:
        """Return what may still be lost, in shifted rewards; below 0 it is exhausted."""
        rules = rules or BudgetRules()
        owed = (1.0 - rules.alpha) * (self.others + 1) - rules.alpha * self.base_calls
        # Whichever end of the base's mean leaves less.
        if owed > 0.0:
            mean = min(-self.base_high.floor(rules.delta), 2.0)
        else:
            mean = max(self.base_low.floor(rules.delta), 0.0)
        return self.others_sum + rules.credit - mean * owed

    def why(self, rules: BudgetRules | None = None) -> str:
        """Return how the budget stands, in a sentence."""
        left = self.left(rules)
        if self.exhausted:
            return (
                f"Other variants may have cost more than the budget of regret allows ({left:+.1f} "
                "rewards): only the base variant serves until it has recovered."
            )
        return f"The budget of regret holds: {left:.1f} rewards may still be lost."

    def as_dict(self) -> dict[str, object]:
        """Return it as numbers, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Budget:
        """Return what ``as_dict`` wrote."""
        ends = {name: Tally(**data[name]) for name in ("base_high", "base_low")}
        return cls(**{**data, **ends})
