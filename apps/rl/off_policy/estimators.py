"""The estimators, each as a ratio of two sums over the logged decisions.

With w = target probability / propensity of the choice, q the reward model, and
``v = sum_a target(a) * q(a)``:

==========  ==================================================  ===========
estimator   numerator                                           denominator
==========  ==================================================  ===========
IPS         w r (w clipped where asked)                         1
SNIPS       w r                                                 w
DM          v                                                   1
DR          v + w (r - q(chosen))                               1
Switch-DR   the same, w = 0 where w > tau                       1
==========  ==================================================  ===========

IPS and SNIPS: Swaminathan and Joachims 2015; DR: Dudik, Langford and Li 2011; Switch-DR: Wang,
Agarwal and Dudik 2017. That all have one form is what gives them one delta method and one
bootstrap (intervals.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from apps.core.errors import InvalidFeedback
from apps.rl.off_policy.log import Floats, Log, pick

_CUTS = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 1.0)  # quantiles of the weights


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """An estimate, as what each decision adds to it.

    Attributes:
        name: The estimator's.
        numerator: Shape (n,).
        denominator: Shape (n,).
    """

    name: str
    numerator: Floats
    denominator: Floats

    @property
    def value(self) -> float:
        """Return the estimate; NaN where no decision has any weight."""
        total = float(self.denominator.sum())
        return float(self.numerator.sum()) / total if total else float("nan")

    @property
    def influence(self) -> Floats:
        """Return each decision's influence on the estimate, shape (n,); its mean is 0."""
        spread: Floats = self.numerator - self.value * self.denominator
        scaled: Floats = spread / self.denominator.mean()
        return scaled


def ips(log: Log, target: ArrayLike, *, clip: float | None = None) -> Terms:
    """Return inverse propensity scoring.

    Args:
        log: The logged decisions.
        target: The policy to evaluate, shape (k,) or (n, k).
        clip: The largest weight; larger ones are cut to it, which costs bias and saves variance.
            None cuts nothing.

    Raises:
        InvalidFeedback: ``clip`` is not > 0, or the target is no policy.
    """
    weights = log.weights(target)
    if clip is None:
        return Terms("IPS", weights * log.reward, np.ones(len(log)))
    cut = np.minimum(weights, _positive(clip, "clip"))
    return Terms("clipped IPS", cut * log.reward, np.ones(len(log)))


def snips(log: Log, target: ArrayLike) -> Terms:
    """Return self-normalised IPS: never outside the rewards that were seen."""
    weights = log.weights(target)
    return Terms("SNIPS", weights * log.reward, weights)


def dm(log: Log, target: ArrayLike, model: ArrayLike) -> Terms:
    """Return the direct method: what the reward model says, unchecked.

    Args:
        log: The logged decisions.
        target: The policy to evaluate, shape (k,) or (n, k).
        model: Predicted rewards, shape (n, k).
    """
    predicted = (log.policy(target) * log.predictions(model)).sum(axis=1)
    return Terms("DM", predicted, np.ones(len(log)))


def dr(log: Log, target: ArrayLike, model: ArrayLike) -> Terms:
    """Return the doubly robust estimate: the reward model, corrected by weighted residuals.

    Args:
        log: The logged decisions.
        target: The policy to evaluate, shape (k,) or (n, k).
        model: Predicted rewards, shape (n, k). A row's must not be learned from its own reward:
            ``running_means`` and ``predict_forward`` see to that.
    """
    return Terms("DR", scores(log, target, model, log.weights(target)), np.ones(len(log)))


def switch_dr(log: Log, target: ArrayLike, model: ArrayLike, *, tau: float | None = None) -> Terms:
    """Return Switch-DR: the model alone where the weight is above ``tau``.

    Args:
        log: The logged decisions.
        target: The policy to evaluate, shape (k,) or (n, k).
        model: Predicted rewards, shape (n, k), as for ``dr``.
        tau: The largest weight that is used; None lets ``choose_tau`` decide.

    Raises:
        InvalidFeedback: ``tau`` is not > 0.
    """
    weights = log.weights(target)
    limit = choose_tau(log, target, model) if tau is None else _positive(tau, "tau")
    kept = np.where(weights <= limit, weights, 0.0)
    return Terms("Switch-DR", scores(log, target, model, kept), np.ones(len(log)))


def choose_tau(log: Log, target: ArrayLike, model: ArrayLike) -> float:
    """Return the weight above which leaving the residuals out costs least.

    The cost is the variance that stays plus the square of the bias that may come: the mean of what
    is left out, and two of its standard errors. Hence little is left out unless the model is good
    where the weights are large.
    """
    weights = log.weights(target)
    n = len(log)
    cuts = np.unique(np.quantile(weights, _CUTS))
    everything = scores(log, target, model, weights)
    residuals = everything - scores(log, target, model, 0.0 * weights)
    left_out = np.where(weights[:, None] > cuts, residuals[:, None], 0.0)  # (n, cuts)
    variance = (everything[:, None] - left_out).var(axis=0) / n
    bias = abs(left_out.mean(axis=0)) + 2 * left_out.std(axis=0) / n**0.5
    return float(cuts[::-1][np.argmin((variance + bias**2)[::-1])])


def scores(log: Log, target: ArrayLike, model: ArrayLike, weights: Floats) -> Floats:
    """Return the doubly robust scores for given weights, shape (n,)."""
    predictions = log.predictions(model)
    predicted: Floats = (log.policy(target) * predictions).sum(axis=1)
    return predicted + weights * (log.reward - pick(predictions, log.chosen))


def _positive(value: float, name: str) -> float:
    if not value > 0:
        raise InvalidFeedback(f"Off-policy evaluation needs {name} > 0, not {value}.")
    return value
