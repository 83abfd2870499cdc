"""The true expected reward of every variant for every call, exactly.

The reward's formula is a sum of terms, which lies within [-0.7, 1] by its weights, so that its
clamp never acts and the expectation is the sum of the terms' expectations (reward_calc.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from apps.rl.reward_calc import RewardWeights
from apps.rl.simulator.callers import Calls, Floats
from apps.rl.simulator.mechanics import SPREAD, Chances
from apps.rl.simulator.scenario import Scenario

WEIGHTS = RewardWeights()


@dataclass(frozen=True, slots=True)
class Truth:
    """Expected rewards, shapes (calls, variants); an abandoned call counts as 0, a bot's too.

    Attributes:
        logged: Of the reward as it is logged, where signals that are not known are left out.
        full: Of the reward as it were if everything were known: every matter's end, and
            everybody's rating.
    """

    logged: Floats
    full: Floats


def truth_of(scenario: Scenario, calls: Calls, chances: Chances) -> Truth:
    """Return the expected reward of each call with each variant."""
    by_signals = (
        -WEIGHTS.barge_ins * _mean_counted(chances.barge_ins)
        - WEIGHTS.repeats * _mean_counted(chances.repeats)
        - WEIGHTS.handover * (1.0 - chances.solved) * chances.handover
        + _mean_duration_term(chances.duration_s)
    )
    asked = scenario.ratings.offered
    everybody = np.ones_like(chances.answers)
    handed_over = chances.handover * (1.0 - chances.solved)
    logged = by_signals + WEIGHTS.resolution * chances.solved * chances.known_if_solved
    logged += asked * chances.solved * _mean_rating_term(chances, chances.answers, solved=True)
    left = asked * (1.0 - chances.solved - handed_over)
    logged += left * _mean_rating_term(chances, chances.answers, solved=False)
    full = by_signals + WEIGHTS.resolution * chances.solved
    full += chances.solved * _mean_rating_term(chances, everybody, solved=True)
    full += (1.0 - chances.solved) * _mean_rating_term(chances, everybody, solved=False)
    stays = (1.0 - chances.abandoned) * ~calls.hidden.bot[:, None]
    return Truth(logged * stays, full * stays)


def _mean_counted(mean: Floats) -> Floats:
    """Return E[min(N, 3)] / 3 of Poisson numbers: the sum of P(N >= k) for k = 1, 2, 3."""
    none = np.exp(-mean)
    below = none * (3.0 + 2.0 * mean + mean**2 / 2.0)
    share: Floats = (WEIGHTS.most_counted - below) / WEIGHTS.most_counted
    return share


def _mean_rating_term(chances: Chances, answers: Floats, *, solved: bool) -> Floats:
    """Return the rating term's mean, 0 where nobody answers."""
    at_least = chances.stars(solved=solved)
    term = np.zeros_like(chances.contentment)
    above = np.ones_like(term)
    for k in range(5):
        beyond = at_least[k] if k < 4 else 0.0
        term += (above - beyond) * answers[:, k, None] * (WEIGHTS.rating * (k - 2) / 2.0)
        above = beyond  # type: ignore[assignment]  # the last one is never read
    return term


_MEDIANS = np.exp(np.linspace(np.log(10.0), np.log(3000.0), 4000))


def _duration_table() -> Floats:
    """Return the duration term's mean for each of ``_MEDIANS``.

    The term falls from +limit to -limit between two lengths; its mean is -limit plus the integral
    of the distribution function between them over the target.
    """
    assert WEIGHTS.most_counted == 3
    limit, target_s = WEIGHTS.duration, WEIGHTS.target_s
    nodes, weights = np.polynomial.legendre.leggauss(24)
    lengths = target_s * (1.0 + limit * nodes)
    below = 1.0 / (1.0 + (lengths[:, None] / _MEDIANS) ** -SPREAD)
    means: Floats = -limit + (weights * limit) @ below
    return means


_DURATION_TERMS = _duration_table()


def _mean_duration_term(median_s: Floats) -> Floats:
    return np.interp(median_s, _MEDIANS, _DURATION_TERMS)
