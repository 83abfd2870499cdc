"""Is a variant surely worse than the base variant? Valid at every look, whoever gets the traffic.

Means of what adaptive traffic brought are biased, and a base variant's calls of last month tell
nothing about a slow afternoon of today. So a variant is not held against the base's mean but
**contests** with the base for single calls: of the calls that went to one of the two, this one had
gone to the variant with chance q, as was logged before it began. Then ``(own - q) * reward``, with
``own`` 1 or 0, has mean ``q * (1 - q) * difference``, where the difference is between the two
variants' mean rewards for this very call. Whatever both have in common (the hour, the caller, a
drift) cancels in expectation, and no step weighs more than its reward's range. These are overlap
weights (Li, Morgan and Zaslavsky 2018) in a test as of Waudby-Smith, Wu, Ramdas, Karampatziakis
and Mineiro 2024 (anytime-valid off-policy inference), with the bound of ``mixture.py``.

What is known before a call (both variants' means so far, what its context alone lets one expect)
is taken off its reward beforehand, which narrows the interval and cannot bias it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import log

import numpy as np

from apps.rl.guard.mixture import boundary, log_wealth

_FURTHEST = 0.9
"""Predictions stay this near to 0, so that no surprise's range is nothing."""

_FOUNDERS = 12
_BORROWED = 2.0
"""Calls of the base's mean that a variant's predicted reward begins with."""


def spend(alpha: float, trial: int) -> float:
    """Return the error that the ``trial``-th variant's test may have, of all tests' together.

    The first twelve share one half evenly; the rest fall as 1 / (trial * (trial - 1)), whose sum
    over all that may ever come is the other half. So a variant that joins later takes nothing
    from those before it, and nobody must know how many there will be.

    Args:
        alpha: The chance that any innocent variant is ever rejected.
        trial: Running number of the test, from 1.
    """
    if trial <= _FOUNDERS:
        return alpha / (2 * _FOUNDERS)
    return alpha * _FOUNDERS / (2 * trial * (trial - 1))


@dataclass(frozen=True, slots=True)
class Tally:
    """One direction's sums, in units of the largest surprise that this direction had room for.

    Attributes:
        total: Sum of the gains.
        spread: Sum of the squared surprises: gains less what was predicted of them.
        weight: What a constant difference of 1 would have added to ``total`` on average.
    """

    total: float = 0.0
    spread: float = 0.0
    weight: float = 0.0

    def add(self, gain: float, surprise: float, weight: float, room: float) -> Tally:
        """Return the sums with one more call, whose surprise is -room or more."""
        return Tally(
            self.total + gain / room,
            self.spread + (surprise / room) ** 2,
            self.weight + weight / room,
        )

    def floor(self, alpha: float) -> float:
        """Return what the mean difference is surely above, -inf when that is not known yet."""
        if self.weight == 0.0:
            return -np.inf
        return (self.total - boundary(self.spread, alpha)) / self.weight


@dataclass(frozen=True, slots=True)
class Contest:
    """A variant's calls and the base's beside it: an incremental fold.

    Attributes:
        calls: Rewarded calls of the variant that could have gone to the base.
        base_calls: Those of the base that could have gone to the variant.
        sum: Of the variant's rewards, less what their contexts let expect.
        base_sum: Of the base's.
        better: What speaks for the variant.
        worse: What speaks against it.
    """

    calls: int = 0
    base_calls: int = 0
    sum: float = 0.0
    base_sum: float = 0.0
    better: Tally = field(default_factory=Tally)
    worse: Tally = field(default_factory=Tally)

    def add(self, reward: float, *, own: bool, chance: float, expected: float = 0.0) -> Contest:
        """Return the contest with one more call of either.

        Args:
            reward: The call's, in [-1, 1].
            own: The call went to the variant; to the base otherwise.
            chance: Of that, given that it went to one of the two: p / (p + p of the base).
            expected: What the call's context alone lets one expect, from calls before it; for
                narrower intervals only.

        Raises:
            ValueError: The reward or the chance is out of its range.
        """
        if not -1.0 <= reward <= 1.0:
            raise ValueError(f"a reward lies in [-1, 1], this one is {reward}")
        if not 0.0 < chance < 1.0:
            raise ValueError(f"neither of two may be certain; the chance is {chance}")
        base_mean = self.base_sum / (self.base_calls + 1.0)
        mean = (self.sum + _BORROWED * base_mean) / (self.calls + _BORROWED)
        mine, base = _predicted(mean + expected), _predicted(base_mean + expected)
        weight = chance * (1.0 - chance)
        surprise = (1.0 - chance) * (reward - mine) if own else -chance * (reward - base)
        gain = surprise + weight * (mine - base)
        room_better = max((1.0 - chance) * (1.0 + mine), chance * (1.0 - base))
        room_worse = max((1.0 - chance) * (1.0 - mine), chance * (1.0 + base))
        return Contest(
            self.calls + own,
            self.base_calls + (not own),
            self.sum + own * (reward - expected),
            self.base_sum + (not own) * (reward - expected),
            self.better.add(gain, surprise, weight, room_better),
            self.worse.add(-gain, -surprise, weight, room_worse),
        )

    def difference(self, alpha: float) -> tuple[float, float]:
        """Return an interval for the variant's mean reward less the base's, valid at all times.

        Each end is ever wrong with probability ``alpha`` at most. What they enclose is the
        difference averaged over the calls, each weighted by how open the choice was.
        """
        low, high = self.better.floor(alpha), -self.worse.floor(alpha)
        return max(low, -2.0), min(high, 2.0)

    def surely_worse(self, alpha: float) -> bool:
        """Return whether the interval lies below 0: at most ``alpha`` wrong at all times."""
        return log_wealth(self.worse.total, self.worse.spread) >= -log(alpha)

    def surely_not_worse(self, alpha: float, margin: float = 0.0) -> bool:
        """Return whether the variant is surely better than the base less a margin."""
        total = self.better.total + margin * self.better.weight
        return log_wealth(total, self.better.spread) >= -log(alpha)

    def as_dict(self) -> dict[str, object]:
        """Return it as numbers, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> Contest:
        """Return what ``as_dict`` wrote."""
        numbers = dict(data)
        better, worse = Tally(**numbers.pop("better")), Tally(**numbers.pop("worse"))  # type: ignore[arg-type]
        return cls(**numbers, better=better, worse=worse)  # type: ignore[arg-type]


def _predicted(mean: float) -> float:
    return min(max(mean, -_FURTHEST), _FURTHEST)
