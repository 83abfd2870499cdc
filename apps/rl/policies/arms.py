"""The two policies that look at nothing but the variant: normal-inverse-gamma, and Beta.

Both keep a variant's discounted number, sum and sum of squares of rewards. A reward's weight halves
with every ``half_life`` rewards of any variant that come after it, and what is forgotten gives way
to the prior (exponential discounting: West & Harrison, Bayesian Forecasting and Dynamic Models).
Where the monitor finds that a variant's rewards have dropped below their forecasts, everything
seen before counts as one reward for each variant, at the mean that it had.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Any, ClassVar, Self

import numpy as np

from apps.rl import beta
from apps.rl.policies.laws import Laws
from apps.rl.policies.monitor import Monitor
from apps.rl.policies.policy import (
    Context,
    Estimate,
    Floats,
    OtherSettings,
    Outcome,
    Slots,
    discount_of,
)


@dataclass(frozen=True, slots=True)
class Sums:
    """A variant's rewards, discounted to the moment ``at``.

    Attributes:
        weight: Number of rewards.
        total: Their sum.
        squares: Sum of their squares.
        at: How many rewards of all variants had been counted then.
    """

    weight: float = 0.0
    total: float = 0.0
    squares: float = 0.0
    at: int = 0

    def faded(self, discount: float, clock: int) -> Sums:
        """Return the sums as they count at a later moment."""
        if discount == 1.0 or clock == self.at:
            return self
        fade = discount ** (clock - self.at)
        return Sums(self.weight * fade, self.total * fade, self.squares * fade, clock)

    def with_reward(self, reward: float) -> Sums:
        """Return the sums with one more reward at this moment."""
        squares = self.squares + reward * reward
        return Sums(self.weight + 1.0, self.total + reward, squares, self.at)

    def revised(self, old: float, new: float, remembered: float) -> Sums:
        """Return the sums when one of the rewards turns out to be another one."""
        total = self.total + remembered * (new - old)
        squares = max(self.squares + remembered * (new * new - old * old), 0.0)
        return Sums(self.weight, total, squares, self.at)

    def as_one(self) -> Sums:
        """Return one reward at most, with the same mean."""
        if self.weight <= 1.0:
            return self
        return Sums(1.0, self.total / self.weight, self.squares / self.weight, self.at)


@dataclass(frozen=True, slots=True)
class _Arms:
    """What both kinds have in common.

    Attributes:
        half_life: Rewards after which one counts half; None forgets nothing.
        monitor: Looks for changes, variant by variant.
        clock: Rewards counted.
        sums: By variant.
    """

    half_life: float | None = None
    monitor: Monitor = field(default_factory=lambda: Monitor(12.0, 0.35))
    clock: int = 0
    sums: Mapping[str, Sums] = field(default_factory=dict)

    kind: ClassVar[str]

    @property
    def stale(self) -> bool:
        """Return False: it does not look at slots."""
        return False

    def knowing(self, slots: Slots) -> Self:
        """Return the same policy: it does not look at slots."""
        return self

    def learned(self, outcome: Outcome) -> Self:
        """Return the policy after one more outcome."""
        name, discount = outcome.variant, discount_of(self.half_life)
        if outcome.revises is not None:
            remembered = discount**outcome.age * self.monitor.remembers(outcome.age)
            revised = self.seen(name).revised(outcome.revises, outcome.reward, remembered)
            return replace(self, sums={**self.sums, name: revised})
        monitor, clock = self.monitor.after(name, self._error(outcome)), self.clock + 1
        before = self.sums.get(name, Sums()).faded(discount, clock)
        sums = {**self.sums, name: before.with_reward(outcome.reward)}
        if not monitor.since:
            sums = {name: each.faded(discount, clock).as_one() for name, each in sums.items()}
        return replace(self, monitor=monitor, clock=clock, sums=sums)

    def _error(self, outcome: Outcome) -> float:
        """Return the reward less its forecast, in standard deviations of the forecast."""
        raise NotImplementedError

    def seen(self, name: str) -> Sums:
        """Return what counts of a variant by now."""
        return self.sums.get(name, Sums()).faded(discount_of(self.half_life), self.clock)

    def to_json(self) -> dict[str, Any]:
        """Return what it knows, and by which settings it was learned."""
        sums = {n: [s.weight, s.total, s.squares, s.at] for n, s in sorted(self.sums.items())}
        return {
            **self._learned_by(),
            "monitor": self.monitor.to_json(),
            "clock": self.clock,
            "sums": sums,
        }

    def from_json(self, data: Mapping[str, Any]) -> Self:
        """Return a policy of these settings with what another one had written."""
        if any(data[name] != value for name, value in self._learned_by().items()):
            raise OtherSettings("learned by another kind of policy, or with other settings")
        sums = {str(name): _sums(values) for name, values in data["sums"].items()}
        monitor = self.monitor.from_json(data["monitor"])
        return replace(self, monitor=monitor, clock=int(data["clock"]), sums=sums)

    def _learned_by(self) -> dict[str, Any]:
        """Return what the knowledge depends on, apart from the outcomes."""
        alarm = [self.monitor.threshold, self.monitor.shift]
        return {"kind": self.kind, "half_life": self.half_life, "alarm": alarm}


def _sums(values: Sequence[Any]) -> Sums:
    weight, total, squares, at = values
    sums = Sums(float(weight), float(total), float(squares), int(at))
    if not (isfinite(sums.total) and sums.weight >= 0.0 and 0.0 <= sums.squares < np.inf):
        raise ValueError("sums that cannot be")
    return sums


@dataclass(frozen=True, slots=True)
class NigPolicy(_Arms):
    """Thompson sampling for rewards that scatter normally around a mean, neither of them known.

    ``mean | s2 ~ N(prior_mean, s2 / strength)`` and ``s2 ~ InverseGamma(shape, shape * sd ** 2)``
    are conjugate: a variant's mean has Student's law (Murphy, Conjugate Bayesian analysis of the
    Gaussian distribution, 2007, section 6). Few rewards that happen to be alike do not make it
    sure, since ``shape`` holds on to a noise of ``sd`` at first.

    Attributes:
        prior_mean: Of a variant of which nothing is known.
        strength: How many rewards that is worth.
        sd: The rewards' standard deviation, before any is seen.
        shape: How sure of that; worth ``2 * shape`` rewards.
    """

    prior_mean: float = 0.3
    strength: float = 0.5
    sd: float = 0.4
    shape: float = 3.0

    kind: ClassVar[str] = "nig"

    def laws(self, names: Sequence[str]) -> Laws:
        """Return the laws of the variants' mean rewards."""
        seen = [self.seen(name) for name in names]
        sums = np.array([(s.weight, s.total, s.squares) for s in seen]).T
        mean, strength, shape, rate = self._posterior(*sums)
        return Laws.student(mean, np.sqrt(rate / (shape * strength)), 2.0 * shape)

    def _posterior(self, weight: Any, total: Any, squares: Any) -> tuple[Any, Any, Any, Any]:
        """Return mean, strength, shape and rate after such sums; numbers or arrays."""
        strength, shape = self.strength + weight, self.shape + weight / 2.0
        mean = (self.strength * self.prior_mean + total) / strength
        deviation = squares + self.strength * self.prior_mean**2 - strength * mean**2
        deviation = deviation * (deviation > 0.0)  # rounding may leave it below
        return mean, strength, shape, self.shape * self.sd**2 + deviation / 2.0

    def scores(self, names: Sequence[str], context: Context, rng: np.random.Generator) -> Floats:
        """Return a draw from each named variant's law."""
        return self.laws(names).draw(rng)

    def chances(self, names: Sequence[str], context: Context) -> Floats:
        """Return the probability of each named variant to have the highest draw."""
        return self.laws(names).chances()

    def _error(self, outcome: Outcome) -> float:
        seen = self.seen(outcome.variant)
        mean, strength, shape, rate = self._posterior(seen.weight, seen.total, seen.squares)
        variance = rate / shape * (1.0 + 1.0 / strength)
        return float((outcome.reward - mean) / variance**0.5)

    def estimate(self, name: str) -> Estimate:
        """Return where a variant's true mean reward lies."""
        laws = self.laws([name])
        values = (laws.location, laws.quantile(0.025), laws.quantile(0.975))
        return Estimate(*(float(np.clip(value[0], -1.0, 1.0)) for value in values))


@dataclass(frozen=True, slots=True)
class BetaPolicy(_Arms):
    """Thompson sampling with seed 004's Beta posteriors.

    A reward r is a success of size ``(r + 1) / 2``. The Beta law takes it for a coin's flip, so it
    explores longer than rewards of little noise need.

    Attributes:
        alpha: The prior's first parameter.
        beta: Its second.
    """

    alpha: float = 1.0
    beta: float = 1.0

    kind: ClassVar[str] = "beta"

    def posteriors(self, names: Sequence[str]) -> tuple[Floats, Floats]:
        """Return alphas and betas."""
        seen = [self.seen(name) for name in names]
        success = np.array([max(s.weight + s.total, 0.0) / 2.0 for s in seen])
        failure = np.array([max(s.weight - s.total, 0.0) / 2.0 for s in seen])
        return self.alpha + success, self.beta + failure

    def scores(self, names: Sequence[str], context: Context, rng: np.random.Generator) -> Floats:
        """Return a draw from each named variant's posterior."""
        scores: Floats = rng.beta(*self.posteriors(names))
        return scores

    def chances(self, names: Sequence[str], context: Context) -> Floats:
        """Return the probability of each named variant to have the highest draw."""
        alphas, betas = self.posteriors(names)
        return beta.probability_best(alphas, betas)  # type: ignore[arg-type]

    def _error(self, outcome: Outcome) -> float:
        alphas, betas = self.posteriors([outcome.variant])
        rate = float(alphas[0] / (alphas[0] + betas[0]))
        sd = 2.0 * (rate * (1.0 - rate)) ** 0.5
        return float((outcome.reward - (2.0 * rate - 1.0)) / sd)

    def estimate(self, name: str) -> Estimate:
        """Return where a variant's true mean reward lies."""
        alphas, betas = self.posteriors([name])
        a, b = float(alphas[0]), float(betas[0])
        values = (a / (a + b), beta.quantile(0.025, a, b), beta.quantile(0.975, a, b))
        return Estimate(*(2.0 * value - 1.0 for value in values))
