"""Many runs of the deploy guard's allocation in lockstep; arrays of shape (runs, variants).

The rules are those of ``apps/rl/propensity.py`` and ``apps/rl/guard``, for arrays; tests hold both
against each other, call by call. Variant 0 is the base.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from apps.rl.guard.stages import Stage
from apps.rl.guard.window import CAPPED, seats_of, split_of
from apps.rl.variants import GuardRules

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

BASE, ESTABLISHED, UNCERTAIN, NEW = range(4)
NUMBERS: Mapping[Stage, int] = {
    Stage.BASE: BASE,
    Stage.ESTABLISHED: ESTABLISHED,
    Stage.UNCERTAIN: UNCERTAIN,
    Stage.NEW: NEW,
}
_STEEPNESS = 1.702
"""With it the logistic law is within 0.01 of the normal one."""

_PLACES = np.array([-2.0, -0.7, 0.3, 1.3, 3.0], np.float32)


@dataclass
class Arms:
    """Sums of rewards, as a policy keeps them."""

    calls: Ints
    sum: Floats
    squares: Floats

    @classmethod
    def none(cls, runs: int, variants: int) -> Arms:
        """Return what is known before the first call."""
        shape = (runs, variants)
        return cls(np.zeros(shape, np.int64), np.zeros(shape), np.zeros(shape))

    def add(self, rows: Ints, chosen: Ints, reward: Floats) -> None:
        """Count one reward in each of some runs."""
        self.calls[rows, chosen] += 1
        self.sum[rows, chosen] += reward
        self.squares[rows, chosen] += reward**2

    def take(self, rows: Ints) -> Arms:
        """Return those of some runs."""
        return Arms(self.calls[rows], self.sum[rows], self.squares[rows])

    def chances(self, among: Bools) -> Floats:
        """Return the probability of each to be the best among some, by Thompson sampling.

        Scores are logistic around the posterior mean (prior mean 0, worth one call of variance
        0.25). In a cell the best score is a variant's by its share in the sum of the logarithms'
        growth, as in ``apps/rl/policies/laws.py``.
        """
        weight = self.calls + 1.0
        mean = (self.sum / weight).astype(np.float32)
        variance = (self.squares + 0.25) / weight - mean**2
        spread = np.sqrt(np.maximum(variance, 1e-4) / weight).astype(np.float32)
        x = np.sort((mean[:, :, None] + spread[:, :, None] * _PLACES).reshape(len(mean), -1), 1)
        z = (x[:, None, :] - mean[:, :, None]) * (_STEEPNESS / spread[:, :, None])
        log_cdf = -np.log1p(np.exp(np.minimum(-z, 80.0)))
        log_cdf *= among[:, :, None]
        below = np.exp(log_cdf.sum(1))
        growth = np.empty((*mean.shape, x.shape[1] + 1), np.float32)
        np.subtract(log_cdf[:, :, 1:], log_cdf[:, :, :-1], out=growth[:, :, 1:-1])
        np.negative(log_cdf[:, :, -1], out=growth[:, :, -1])
        growth[:, :, 0] = growth[:, :, 1]  # below the first place all grow as in the first cell
        mass = np.diff(below, axis=1, prepend=0.0, append=1.0)
        mass /= np.maximum(growth.sum(1), np.float32(1e-30))
        chances: Floats = np.einsum("rkc,rc->rk", growth, mass, dtype=np.float64)
        chances /= chances.sum(1, keepdims=True)
        return chances


class Window:
    """The stages of each run's latest decisions."""

    def __init__(self, runs: int, rules: GuardRules) -> None:
        self._latest = np.full((runs, rules.cap_window - 1), -1)
        self._next = 0
        self._rules = rules
        self.counts = {stage: np.zeros(runs, np.int64) for stage in CAPPED}

    def full(self, stage: Stage) -> Bools:
        """Return in which runs a stage has no seat left."""
        full: Bools = self.counts[stage] >= seats_of(stage, self._rules)
        return full

    def add(self, stages: Ints) -> None:
        """Count each run's decision; the oldest one falls out."""
        for stage, count in self.counts.items():
            number = NUMBERS[stage]
            count += stages == number
            count -= self._latest[:, self._next] == number
        self._latest[:, self._next] = stages
        self._next = (self._next + 1) % self._latest.shape[1]


class Policy:
    """A policy that hears of each call a little later, as where several calls run at once.

    Args:
        arms: What is known.
        every: Each run's chances are computed anew after so many calls, or when it is asked of
            other variants than before.
    """

    def __init__(self, arms: Arms, every: int = 5) -> None:
        self._arms, self._every, self._asked = arms, every, 0
        self._among: dict[str, Bools] = {}
        self._chances: dict[str, Floats] = {}

    def chances(self, among: Bools, of: str) -> Floats:
        """Return each run's chances among some.

        Args:
            among: The variants that are asked of.
            of: Which of its questions it is: one that is asked at most once a call.
        """
        if of not in self._among:
            self._among[of], self._chances[of] = among, self._arms.chances(among)
            return self._chances[of]
        self._asked += 1
        due = (np.arange(len(among)) + self._asked) % self._every == 0
        anew = np.flatnonzero(due | (among != self._among[of]).any(1))
        if len(anew):
            self._chances[of][anew] = self._arms.take(anew).chances(among[anew])
        self._among[of] = among
        return self._chances[of]


def allocate(
    policy: Policy, stages: Ints, window: Window, rules: GuardRules, out: Bools | None = None
) -> Floats:
    """Return each run's probabilities, as ``propensity.allocate`` does for one.

    Args:
        policy: Its chances, before the guard.
        stages: Of all variants.
        window: The latest decisions.
        rules: The guard's.
        out: Which variants are blacklisted.
    """
    eligible = np.ones(stages.shape, np.bool_) if out is None else ~out
    for stage in CAPPED:
        eligible &= ~((stages == NUMBERS[stage]) & window.full(stage)[:, None])
    even = rules.exploration_rate / eligible.sum(1, keepdims=True)
    shares = (1.0 - rules.exploration_rate) * policy.chances(eligible, "free")
    shares += even * eligible
    cut_off = np.zeros(len(stages))
    for stage in CAPPED:
        group = stages == NUMBERS[stage]
        wanted, cap = (shares * group).sum(1), split_of(stage, rules)
        over = wanted > cap
        factor = np.where(over, cap / np.where(over, wanted, 1.0), 1.0)
        shares *= np.where(group, factor[:, None], 1.0)
        cut_off += np.where(over, wanted - cap, 0.0)
    rest = (stages <= ESTABLISHED) & (True if out is None else ~out)
    among = policy.chances(rest, "rest")
    capped: Floats = shares + cut_off[:, None] * among
    return capped


def draw(shares: Floats, u: Floats) -> Ints:
    """Return each run's choice at position ``u`` of the stacked probabilities."""
    stacked = shares.cumsum(1)
    chosen: Ints = (u[:, None] * stacked[:, -1:] >= stacked).sum(1)
    return chosen
