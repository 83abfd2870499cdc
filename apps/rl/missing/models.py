"""The two models behind the correction: the chance of an answer, and the stars to be expected.

Both see the same features and are fitted with a ridge, so that a rare word or variant cannot make
either of them certain.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from apps.rl.missing.calls import Bools, Floats

RIDGE = 1.0
_STEPS = 50
_CLOSE = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Logistic:
    """A logistic regression; ``intercept`` is not shrunk."""

    intercept: float
    weights: Floats

    def chance(self, features: Floats) -> Floats:
        """Return the probability of each row, shape (n,)."""
        return _sigmoid(self.intercept + features @ self.weights)


@dataclass(frozen=True, slots=True, eq=False)
class Linear:
    """A linear regression of the stars, cut to what stars can be."""

    intercept: float
    weights: Floats

    def stars(self, features: Floats) -> Floats:
        """Return the expected stars of each row, shape (n,)."""
        return np.clip(self.intercept + features @ self.weights, 1.0, 5.0)


def fit_logistic(features: Floats, happened: Bools, *, ridge: float = RIDGE) -> Logistic:
    """Return the regression with the largest penalised likelihood, by Newton's method (IRLS).

    The penalty is ``ridge / 2`` times the sum of the squared weights. Steps that do not gain are
    halved, so that it always ends.

    Args:
        features: Shape (n, d), about centred and scaled.
        happened: Shape (n,).
        ridge: More shrinks the weights more.
    """
    n, d = features.shape
    table = np.hstack([np.ones((n, 1)), features])
    target = happened.astype(float)
    penalty = np.full(d + 1, ridge)
    penalty[0] = 1e-6  # all or nobody: the chance stays inside (0, 1), and the step finite
    weights = np.zeros(d + 1)
    gained = _objective(table, target, penalty, weights)
    for _ in range(_STEPS):
        p = _sigmoid(table @ weights)
        slope = table.T @ (target - p) - penalty * weights
        curve = (table * (p * (1.0 - p))[:, None]).T @ table + np.diag(penalty)
        step = np.linalg.solve(curve, slope)
        scale, new = 1.0, _objective(table, target, penalty, weights + step)
        while new < gained and scale > 1e-6:
            scale /= 2.0
            new = _objective(table, target, penalty, weights + scale * step)
        if new <= gained + _CLOSE:
            break
        weights, gained = weights + scale * step, new
    return Logistic(float(weights[0]), weights[1:])


def fit_linear(features: Floats, stars: Floats, *, ridge: float = RIDGE) -> Linear:
    """Return the ridge regression of stars; at least one is given.

    Args:
        features: Shape (n, d), about centred and scaled.
        stars: Shape (n,).
        ridge: More shrinks the weights more; the intercept is not shrunk.
    """
    means, middle = features.mean(axis=0), float(stars.mean())
    centred = features - means
    curve = centred.T @ centred + ridge * np.eye(features.shape[1])
    weights: Floats = np.linalg.solve(curve, centred.T @ (stars - middle))
    return Linear(middle - float(means @ weights), weights)


def _sigmoid(x: Floats) -> Floats:
    value: Floats = 0.5 * (1.0 + np.tanh(0.5 * x))
    return value


def _objective(table: Floats, target: Floats, penalty: Floats, weights: Floats) -> float:
    x = table @ weights
    likelihood = float(target @ x - np.logaddexp(0.0, x).sum())
    return likelihood - 0.5 * float(penalty @ weights**2)
