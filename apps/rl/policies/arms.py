"""The two policies that look at nothing but the variant: normal-inverse-gamma, and Beta.

Both keep a variant's discounted number, sum and sum of squares of rewards. A reward's weight halves
with every ``half_life`` rewards of any variant that come after it, and what is forgotten gives way
to the prior (exponential discounting: West & Harrison, Bayesian Forecasting and Dynamic Models).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Any, ClassVar, Self

import numpy as np

from apps.rl import beta
from apps.rl.policies.laws import Laws
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

    def with_outcome(self, outcome: Outcome, discount: float) -> Sums:
        """Return the sums with one more outcome at this moment."""
        new = outcome.reward
        if outcome.revises is None:
            return Sums(self.weight + 1.0, self.total + new, self.squares + new * new, self.at)
        old, part = outcome.revises, discount**outcome.age
        total = self.total + part * (new - old)
        squares = max(self.squares + part * (new * new - old * old), 0.0)
        return Sums(self.weight, total, squares, self.at)


@dataclass(frozen=True, slots=True)
class _Arms:
    """What both kinds have in common.

    Attributes:
        half_life: Rewards after which one counts half; None forgets nothing.
        clock: Rewards counted.
        sums: By variant.
    """

    half_life: float | None = None
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
        discount = discount_of(self.half_life)
        clock = self.clock + (outcome.revises is None)
        before = self.sums.get(outcome.variant, Sums()).faded(discount, clock)
        sums = {**self.sums, outcome.variant: before.with_outcome(outcome, discount)}
        return replace(self, clock=clock, sums=sums)

    def seen(self, name: str) -> Sums:
        """Return what counts of a variant by now."""
        return self.sums.get(name, Sums()).faded(discount_of(self.half_life), self.clock)

    def to_json(self) -> dict[str, Any]:
        """Return what it knows, and by which settings it was learned."""
        sums = {n: [s.weight, s.total, s.squares, s.at] for n, s in sorted(self.sums.items())}
        return {"kind": self.kind, "half_life": self.half_life, "clock": self.clock, "sums": sums}

    def from_json(self, data: Mapping[str, Any]) -> Self:
        """Return a policy of these settings with what another one had written."""
        if (data["kind"], data["half_life"]) != (self.kind, self.half_life):
            raise OtherSettings("learned by another kind of policy, or with another half-life")
        sums = {str(name): _sums(values) for name, values in data["sums"].items()}
        return replace(self, clock=int(data["clock"]), sums=sums)


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

    prior_mean: float = 0.2
    strength: float = 1.0
    sd: float = 0.4
    shape: float = 3.0

    kind: ClassVar[str] = "nig"

    def laws(self, names: Sequence[str]) -> Laws:
        """Return the laws of the variants' mean rewards."""
        seen = [self.seen(name) for name in names]
        weight = np.array([s.weight for s in seen])
        total = np.array([s.total for s in seen])
        squares = np.array([s.squares for s in seen])
        strength, shape = self.strength + weight, self.shape + weight / 2.0
        mean = (self.strength * self.prior_mean + total) / strength
        deviation = squares + self.strength * self.prior_mean**2 - strength * mean**2
        rate = self.shape * self.sd**2 + np.maximum(deviation, 0.0) / 2.0
        return Laws.student(mean, np.sqrt(rate / (shape * strength)), 2.0 * shape)

    def scores(self, names: Sequence[str], context: Context, rng: np.random.Generator) -> Floats:
        """Return a draw from each named variant's law."""
        return self.laws(names).draw(rng)

    def chances(self, names: Sequence[str], context: Context) -> Floats:
        """Return the probability of each named variant to have the highest draw."""
        return self.laws(names).chances()

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

    def estimate(self, name: str) -> Estimate:
        """Return where a variant's true mean reward lies."""
        alphas, betas = self.posteriors([name])
        a, b = float(alphas[0]), float(betas[0])
        values = (a / (a + b), beta.quantile(0.025, a, b), beta.quantile(0.975, a, b))
        return Estimate(*(2.0 * value - 1.0 for value in values))
