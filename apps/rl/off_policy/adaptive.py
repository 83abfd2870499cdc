"""For logs of a policy that learned while it logged.

There the propensities depend on the rewards before. IPS and DR stay unbiased, for each score's
mean given the past is the truth; but the scores' variance wanders with the propensities, and their
mean need not be near a normal distribution. Weighting each score by one over its standard
deviation given the past brings that back (Hadad et al. 2021, "Confidence intervals for policy
evaluation in adaptive experiments"; Zhan et al. 2021, "Off-policy evaluation via adaptive weighting
with data from contextual bandits", there StableVar)::

    h_t = 1 / sqrt(sum_a target(a)^2 / propensity_t(a)),    value = sum h_t score_t / sum h_t

Both need what is used at t (the weight, the reward model) to come from before t.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from apps.core.errors import InvalidFeedback
from apps.rl.off_policy.estimators import Terms, scores
from apps.rl.off_policy.log import Floats, Ints, Log

Fit = Callable[[Ints], Callable[[Ints], Floats]]

LOOK_BACK = 100
"""Decisions whose mean stands in for one that must not be known yet."""


def stabilised_dr(log: Log, target: ArrayLike, model: ArrayLike) -> Terms:
    """Return the doubly robust estimate with variance-stabilising weights.

    Args:
        log: The logged decisions, with the probabilities of all arms.
        target: The policy to evaluate, shape (k,) or (n, k).
        model: Predicted rewards, shape (n, k), each row's from earlier rewards only.

    Raises:
        InvalidFeedback: The log lacks the probabilities of all arms.
    """
    h = stabilising_weights(log, target)
    return Terms("stabilised DR", h * scores(log, target, model, log.weights(target)), h)


def stabilising_weights(log: Log, target: ArrayLike) -> Floats:
    """Return each score's weight, shape (n,), known before the decision was made.

    Where the probabilities depended on the call's own context, a weight of them would tilt the
    mix of contexts. There the mean of the decisions just before stands in for them.

    Raises:
        InvalidFeedback: The log lacks the probabilities of all arms.
    """
    if log.propensities is None:
        raise InvalidFeedback("The stabilising weights need the logged probabilities of all arms.")
    policy = log.policy(target)
    # An arm without a chance carries no score, and so no variance.
    ratio = np.divide(policy**2, log.propensities, where=log.propensities > 0, out=policy * 0.0)
    spread = ratio.sum(axis=1)
    if log.contextual:
        spread = mean_before(spread, first=1.0)
    weights: Floats = 1.0 / np.sqrt(np.where(spread > 0, spread, 1.0))
    return weights


def running_means(log: Log, *, strength: float = 3.0) -> Floats:
    """Return a reward model without context: each arm's mean of the rewards before, shape (n, k).

    Args:
        log: The logged decisions.
        strength: How many rewards the mean over all arms counts as (it stands for an arm that
            was not seen yet); > 0.
    """
    seen = np.zeros((len(log), log.arms))
    np.put_along_axis(seen, log.chosen[:, None], 1.0, axis=1)
    earned = seen * log.reward[:, None]
    count, total = _before(seen), _before(earned)
    overall = total.sum(axis=1) / np.maximum(count.sum(axis=1), 1.0)
    means: Floats = (total + strength * overall[:, None]) / (count + strength)
    return means


def predict_forward(log: Log, fit: Fit, *, blocks: int = 10) -> Floats:
    """Return a model's predictions, each block of rows by a model of the blocks before it.

    Args:
        log: The logged decisions.
        fit: Takes the rows to learn from; returns what gives for rows their predictions,
            shape (rows, k).
        blocks: Into how many the log is cut; the first gets ``running_means``.
    """
    predictions = running_means(log)
    cuts = np.array_split(np.arange(len(log)), blocks)
    for rows in cuts[1:]:
        if len(rows):
            predictions[rows] = fit(np.arange(rows[0]))(rows)
    return predictions


def _before(table: Floats) -> Floats:
    """Return the sums of the rows before each row."""
    sums: Floats = np.cumsum(table, axis=0) - table
    return sums


def mean_before(values: Floats, *, first: float) -> Floats:
    """Return the mean of up to ``LOOK_BACK`` values before each, shape (n,).

    Args:
        values: Shape (n,).
        first: What the first one gets.
    """
    sums = np.concatenate([[0.0], np.cumsum(values)])
    at = np.arange(len(values))
    begin = np.maximum(at - LOOK_BACK, 0)
    means: Floats = np.full(len(values), first)
    means[1:] = ((sums[at] - sums[begin])[1:]) / (at - begin)[1:]
    return means
