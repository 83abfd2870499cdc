"""Can a log say anything about a target policy: do they overlap, are the propensities true."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from apps.rl.off_policy.estimators import Terms
from apps.rl.off_policy.intervals import standard_error
from apps.rl.off_policy.log import Bools, Floats, Log

_TOP = 0.01
_BINS = 10
_FEWEST_EXPECTED = 5.0
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Bin:
    """Choices that were logged with about the same probability.

    Attributes:
        low: The smallest of these probabilities.
        high: The largest.
        expected: How often such an arm should have been chosen.
        observed: How often it was.
        z: The difference in standard deviations.
    """

    low: float
    high: float
    expected: float
    observed: int
    z: float


@dataclass(frozen=True, slots=True)
class Diagnostics:
    """How well a log fits a target policy.

    Attributes:
        decisions: How many are logged.
        callers: How many callers they are of.
        effective: The effective sample size, (sum w)^2 / sum w^2.
        min_propensity: The smallest propensity of a choice.
        max_weight: The largest importance weight.
        top_share: The share of all weight on the heaviest 1 % of the decisions.
        mean_weight: Should be 1.
        mean_weight_z: How far from 1 it is, in standard errors; NaN where all weights are equal.
        unsupported: The target's mean probability on arms that had no chance; None where the
            probabilities of all arms were not logged.
        calibration: Chosen as often as logged? By probability; empty where not logged.
        calibration_p: Probability of bins as far off as the worst one, were the propensities
            true; None without bins.
    """

    decisions: int
    callers: int
    effective: float
    min_propensity: float
    max_weight: float
    top_share: float
    mean_weight: float
    mean_weight_z: float
    unsupported: float | None
    calibration: tuple[Bin, ...]
    calibration_p: float | None

    def doubts(self) -> tuple[str, ...]:
        """Return what speaks against the estimates, in sentences; empty for nothing."""
        found = []
        if self.calibration_p is not None and self.calibration_p < 1e-3:
            worst = max(self.calibration, key=lambda b: abs(b.z))
            found.append(
                f"The logged propensities are not what happened: with {worst.low:.3f} to"
                f" {worst.high:.3f}, {worst.expected:.0f} choices were due and {worst.observed}"
                " made."
            )
        if abs(self.mean_weight_z) > 4.0:
            found.append(
                f"The weights' mean is {self.mean_weight:.3f} instead of 1: propensities or"
                " target are not what they say, or a rare, heavy choice is missing."
            )
        if self.top_share > 0.25:
            found.append(f"{self.top_share:.0%} of all weight lies on 1 % of the calls.")
        return tuple(found)


def diagnose(log: Log, target: ArrayLike) -> Diagnostics:
    """Return how well a log fits a target policy, shape (k,) or (n, k)."""
    weights = log.weights(target)
    heaviest = np.sort(weights)[::-1][: max(1, math.ceil(_TOP * len(log)))]
    total = float(weights.sum())
    bins = _calibration(log)
    return Diagnostics(
        decisions=len(log),
        callers=len(log) if log.caller is None else len(np.unique(log.caller)),
        effective=effective_size(weights),
        min_propensity=float(log.propensity.min()),
        max_weight=float(weights.max()),
        top_share=float(heaviest.sum()) / total if total else 0.0,
        mean_weight=float(weights.mean()),
        mean_weight_z=_mean_z(weights, log),
        unsupported=_unsupported(log, target),
        calibration=bins,
        calibration_p=_worst_p(bins),
    )


def effective_size(weights: Floats) -> float:
    """Return the number of equally weighted decisions that would say as much; 0 for no weight."""
    squares = float(np.square(weights).sum())
    return float(weights.sum()) ** 2 / squares if squares else 0.0


def _mean_z(weights: Floats, log: Log) -> float:
    error = standard_error(Terms("weight", weights, np.ones(len(log))), log.caller)
    return (float(weights.mean()) - 1.0) / error if error > 1e-12 else math.nan


def _unsupported(log: Log, target: ArrayLike) -> float | None:
    if log.propensities is None:
        return None
    return float((log.policy(target) * (log.propensities == 0)).sum(axis=1).mean())


def _calibration(log: Log) -> tuple[Bin, ...]:
    """Return bins of about equal expected variance, over all decisions and arms.

    Given the past, each choice minus its probability has mean 0 and variance p (1 - p), however
    the policy learned: the sums' z are near normal in an adaptive log too. Arms of one decision
    exclude each other, which makes the z of a bin smaller, never larger.
    """
    if log.propensities is None:
        return ()
    chosen = np.zeros(log.propensities.shape, bool)
    np.put_along_axis(chosen, log.chosen[:, None], True, axis=1)
    open_ = (log.propensities > 0) & (log.propensities < 1)
    p, hit = log.propensities[open_], chosen[open_]
    order = np.argsort(p, kind="stable")
    p, hit = p[order], hit[order]
    variance = p * (1 - p)
    bins = min(_BINS, int(variance.sum() / _FEWEST_EXPECTED))
    if not bins:
        return ()
    spent = np.cumsum(variance)
    cuts = np.searchsorted(spent, spent[-1] * np.arange(1, bins) / bins)
    edges = np.searchsorted(p, p[cuts])  # equal probabilities stay together
    parts = np.split(np.arange(len(p)), np.unique(edges))
    return tuple(
        _bin(p[part], hit[part], float(variance[part].sum())) for part in parts if len(part)
    )


def _bin(p: Floats, hit: Bools, variance: float) -> Bin:
    expected, observed = float(p.sum()), int(hit.sum())
    z = (observed - expected) / math.sqrt(variance)
    return Bin(float(p[0]), float(p[-1]), expected, observed, z)


def _worst_p(bins: tuple[Bin, ...]) -> float | None:
    """Return Bonferroni's p-value of the worst bin."""
    if not bins:
        return None
    worst = max(abs(b.z) for b in bins)
    return min(1.0, len(bins) * 2 * (1 - _NORMAL.cdf(worst)))
