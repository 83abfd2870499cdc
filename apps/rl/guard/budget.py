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
from dataclasses import asdict, dataclass

from apps.rl.guard.mixture import boundary


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
        base_spread: Sum of their squared distances to what was predicted of them.
        others: Rewarded calls of all other variants.
        others_sum: Their shifted rewards.
        exhausted: The base serves alone.
    """

    base_calls: int = 0
    base_sum: float = 0.0
    base_spread: float = 0.0
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
        shifted = reward + 1.0
        if base:
            predicted = (self.base_sum + 1.0) / (self.base_calls + 1.0)
            after = Budget(
                self.base_calls + 1,
                self.base_sum + shifted,
                self.base_spread + ((shifted - predicted) / 2.0) ** 2,
                self.others,
                self.others_sum,
            )
        else:
            after = Budget(
                self.base_calls,
                self.base_sum,
                self.base_spread,
                self.others + 1,
                self.others_sum + shifted,
            )
        return after._judged(self.exhausted, rules or BudgetRules())

    def base_mean(self, delta: float) -> float:
        """Return what the base's mean shifted reward surely is below, at most 2."""
        if self.base_calls == 0:
            return 2.0
        room = 2.0 * boundary(self.base_spread, delta) / self.base_calls
        return min(2.0, self.base_sum / self.base_calls + room)

    def left(self, rules: BudgetRules | None = None) -> float:
        """Return what may still be lost, in shifted rewards; below 0 it is exhausted."""
        rules = rules or BudgetRules()
        owed = (1.0 - rules.alpha) * (self.others + 1) - rules.alpha * self.base_calls
        # Where nothing is owed any more, a low mean is the careful guess; nothing can be lost yet.
        mean = self.base_mean(rules.delta) if owed > 0.0 else self._base_low(rules.delta)
        return self.others_sum + rules.credit - mean * owed

    def why(self, rules: BudgetRules | None = None) -> str:
        """Return how the budget stands, in a sentence."""
        left = self.left(rules)
        if self.exhausted:
            return (
                f"Other variants have cost more than the budget of regret allows ({left:+.1f}): "
                "only the base variant serves until it has recovered."
            )
        return f"The budget of regret holds: {left:.1f} rewards may still be lost."

    def _base_low(self, delta: float) -> float:
        if self.base_calls == 0:
            return 0.0
        room = 2.0 * boundary(self.base_spread, delta) / self.base_calls
        return max(0.0, self.base_sum / self.base_calls - room)

    def _judged(self, before: bool, rules: BudgetRules) -> Budget:
        left = self.left(rules)
        exhausted = left < (rules.resume if before else 0.0)
        return Budget(
            self.base_calls,
            self.base_sum,
            self.base_spread,
            self.others,
            self.others_sum,
            exhausted,
        )

    def as_dict(self) -> dict[str, object]:
        """Return it as numbers, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> Budget:
        """Return what ``as_dict`` wrote."""
        return cls(**data)  # type: ignore[arg-type]
