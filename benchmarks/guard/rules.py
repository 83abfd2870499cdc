"""Rules that blacklist, for arrays of shape (runs, variants): the guard's own and others.

Each is looked at after every call; ``Contests`` is ``apps.rl.guard.confidence.Contest`` for arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from apps.rl.guard.confidence import spend
from apps.rl.guard.evidence import BLOCK, RECENT
from apps.rl.guard.mixture import STAKES, log_evidence
from benchmarks.guard.traffic import Arms, Bools, Floats, Ints

_FURTHEST, _BORROWED = 0.9, 2.0


@dataclass
class Tallies:
    """``Tally`` for arrays."""

    total: Floats
    spread: Floats
    weight: Floats

    @classmethod
    def none(cls, runs: int, variants: int) -> Tallies:
        """Return empty sums."""
        return cls(*(np.zeros((runs, variants)) for _ in range(3)))

    def add(self, at: Bools, gain: Floats, surprise: Floats, weight: Floats, room: Floats) -> None:
        """Add where something happened."""
        self.total += np.where(at, gain / room, 0.0)
        self.spread += np.where(at, (surprise / room) ** 2, 0.0)
        self.weight += np.where(at, weight / room, 0.0)


class Contests:
    """All variants' contests with the base in all runs."""

    def __init__(self, runs: int, variants: int) -> None:
        shape = (runs, variants)
        self.calls, self.base_calls = np.zeros(shape), np.zeros(shape)
        self.sum, self.base_sum = np.zeros(shape), np.zeros(shape)
        self.better, self.worse = Tallies.none(*shape), Tallies.none(*shape)

    def clear(self, at: Bools) -> None:
        """Begin some contests anew."""
        sides = (self.better, self.worse)
        sums = [part for side in sides for part in (side.total, side.spread, side.weight)]
        for part in (self.calls, self.base_calls, self.sum, self.base_sum, *sums):
            part[at] = 0.0

    def add(self, own: Bools, shares: Floats, reward: Floats, among: Bools | None = None) -> Bools:
        """Add one call in each run; return which contests it was part of.

        Args:
            own: Which variant got it, shape (runs, variants).
            shares: The probabilities.
            reward: Of each run's call, NaN for none, shape (runs,).
            among: Which contests may take part; all when None.
        """
        chance = shares / (shares + shares[:, :1])
        at = (own | own[:, :1]) & (shares > 0.0) & ~np.isnan(reward)[:, None]
        at[:, 0] = False
        if among is not None:
            at &= among
        r = np.nan_to_num(reward)[:, None]
        base_mean = self.base_sum / (self.base_calls + 1.0)
        mean = (self.sum + _BORROWED * base_mean) / (self.calls + _BORROWED)
        mine = np.clip(mean, -_FURTHEST, _FURTHEST)
        base = np.clip(base_mean, -_FURTHEST, _FURTHEST)
        weight = chance * (1.0 - chance)
        surprise = np.where(own, (1.0 - chance) * (r - mine), -chance * (r - base))
        gain = surprise + weight * (mine - base)
        better = np.maximum((1.0 - chance) * (1.0 + mine), chance * (1.0 - base))
        worse = np.maximum((1.0 - chance) * (1.0 - mine), chance * (1.0 + base))
        self.calls += at & own
        self.base_calls += at & ~own
        self.sum += np.where(at & own, r, 0.0)
        self.base_sum += np.where(at & ~own, r, 0.0)
        self.better.add(at, gain, surprise, weight, better)
        self.worse.add(at, -gain, -surprise, weight, worse)
        return at


class Trials:
    """``Trial`` for arrays: every variant's contest, and that of its recent block."""

    def __init__(self, runs: int, variants: int) -> None:
        self.whole, self.recent = Contests(runs, variants), Contests(runs, variants)
        self.block = np.zeros((runs, variants), np.int64)
        self._blocks = np.zeros(runs, np.int64)
        self._numbers = np.broadcast_to(np.arange(variants), (runs, variants))

    def add(self, own: Bools, shares: Floats, reward: Floats) -> Bools:
        """Add one call in each run; return which contests it was part of."""
        at = self.whole.add(own, shares, reward)
        if self.block.any():
            self.recent.add(own, shares, reward, self.block > 0)
        begins = at & own & (self.whole.calls % BLOCK == 0)
        if begins.any():  # one in a run at most, since one call has one variant
            self._blocks += begins.any(1)
            self.block = np.where(begins, self._blocks[:, None], self.block)
            self.recent.clear(begins)
        return at

    def surely_worse(self, at: Bools, alpha: float) -> Bools:
        """Return where the guard would blacklist, of those that have changed."""
        found = _worse(self.whole, at, self._numbers, alpha * (1.0 - RECENT))
        in_block = at & (self.block > 0)
        if in_block.any():
            found |= _worse(self.recent, in_block, self.block, alpha * RECENT)
        return found


def _worse(contests: Contests, at: Bools, number: Ints, alpha: float) -> Bools:
    found = np.zeros(at.shape, np.bool_)
    logs = log_evidence(contests.worse.total[at], contests.worse.spread[at])
    shares = np.array([spend(alpha, k) for k in range(1, int(number.max()) + 1)])
    found[at] = logs >= -np.log(shares[number[at] - 1])
    return found


def surely_not_worse(contests: Contests, at: Bools, alpha: float, margin: float) -> Bools:
    """Return where the gate to established would open, of those that have changed."""
    found = np.zeros(at.shape, np.bool_)
    total = contests.better.total[at] + margin * contests.better.weight[at]
    found[at] = log_evidence(total, contests.better.spread[at]) >= -np.log(alpha)
    return found


class Joined:
    """Two confidence sequences, one an arm, of the same bound as the contests'."""

    def __init__(self, runs: int, variants: int) -> None:
        self.calls, self.sum, self.spread = (np.zeros((runs, variants)) for _ in range(3))

    def add(self, rows: Ints, chosen: Ints, reward: Floats) -> None:
        """Count one reward in each of some runs."""
        at = (rows, chosen)
        predicted = self.sum[at] / (self.calls[at] + 1.0)
        self.spread[at] += ((reward - predicted) / 2.0) ** 2
        self.calls[at] += 1.0
        self.sum[at] += reward

    def surely_worse(self, alpha: float, least: int = 20) -> Bools:
        """Return where the variant's sequence lies below the base's; half the error for each."""
        variants = self.calls.shape[1]
        shares = np.where(np.arange(variants) == 0, alpha / 2.0, alpha / 2.0 / (variants - 1))
        costs = -np.log1p(-STAKES) - STAKES
        # The nearest of the single stakes' lines: a little farther out than their mixture.
        wanted = np.log(len(STAKES)) - np.log(shares)[:, None]
        room = ((wanted + costs * self.spread[..., None]) / STAKES).min(axis=-1)
        n = np.maximum(self.calls, 1.0)
        mean, room = self.sum / n, 2.0 * room / n
        worse: Bools = (self.calls >= least) & (mean + room < (mean - room)[:, :1])
        worse[:, 0] = False
        return worse


def threshold(arms: Arms, mean: float = -0.2, least: int = 20) -> Bools:
    """The mean reward is below a number after so many calls."""
    below: Bools = (arms.calls >= least) & (arms.sum < mean * arms.calls)
    below[:, 0] = False
    return below


def z_test(arms: Arms, quantile: float, least: int = 20) -> Bools:
    """The means' difference is that many standard errors below 0."""
    difference, variance = _difference(arms)
    worse: Bools = (arms.calls >= least) & (difference < -quantile * np.sqrt(variance))
    worse[:, 0] = False
    return worse


def asymptotic_sequence(arms: Arms, alpha: float, least: int = 20, best_at: float = 50.0) -> Bools:
    """An asymptotic confidence sequence of the means' difference lies below 0.

    Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas 2024, one-sided, tightest at ``best_at`` calls.
    """
    difference, variance = _difference(arms)
    n = np.maximum(arms.calls, 1)
    x = -np.log(2.0 * alpha)
    rho2 = (2.0 * x + np.log(1.0 + 2.0 * x)) / best_at
    inside = (n * rho2 + 1.0) / (n * rho2)
    room = np.sqrt(variance * 2.0 * inside * np.log(1.0 + np.sqrt(n * rho2 + 1.0) / (2.0 * alpha)))
    worse: Bools = (arms.calls >= least) & (difference < -room)
    worse[:, 0] = False
    return worse


def normal_quantile(p: float) -> float:
    """Return the standard normal law's quantile."""
    return NormalDist().inv_cdf(p)


def _difference(arms: Arms) -> tuple[Floats, Floats]:
    n = np.maximum(arms.calls, 2)
    mean = arms.sum / n
    variance = np.maximum(arms.squares / n - mean**2, 0.0) / (n - 1)
    return mean - mean[:, :1], variance + variance[:, :1]
