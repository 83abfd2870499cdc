"""The reward model: a regression that shrinks each kind of effect as much as the data ask for.

The reward of a call is modelled as ``x w + u(caller) + noise``. Each block of coefficients
(context, slots, pairs of slots, slots with context, a variant's own rest) is normal around zero
with a variance of its own, found from the data (empirical Bayes; MacKay 1992, "Bayesian
interpolation", with a weak prior on each variance). A combination that was never served has all but
the last of these from its slots, and the last one's full variance: it knows what it does not know.

Callers have a level of their own, u. It is normal too; its share of the variance is the correlation
of the residuals of one caller's calls. With it known, subtracting ``1 - 1/sqrt(1 + n ratio)`` of
each caller's mean makes the rows independent (the usual transformation of a random intercept).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from apps.rl.trainer.features import Blocks, Floats, Ints

_TYPICAL = {
    "context": 0.1,
    "slots": 0.1,
    "pairs of slots": 0.04,
    "slots with context": 0.04,
    "variants": 0.03,
}
"""Standard deviation of an effect where the data say little: the size such effects tend to have."""
_STRENGTH = {
    "context": 2.0,
    "slots": 0.1,
    "pairs of slots": 0.5,
    "slots with context": 2.0,
    "variants": 2.0,
}
"""How many coefficients that expectation counts as. The slots are seen often enough to do without;
of a variant's own rest a dozen variants say hardly anything."""
_WIDE = 1e-4  # precision of the intercept
_MOST_RATIO = 2.0
_ROUNDS = 60


@dataclass(frozen=True, slots=True, eq=False)
class RewardModel:
    """A fitted model of the reward.

    Attributes:
        weights: Coefficients, shape (p,).
        covariance: Their posterior covariance, shape (p, p).
        precision: Prior precision of each coefficient, shape (p,).
        noise: Variance of a call's reward around its caller's mean.
        ratio: Variance of the callers' levels over ``noise``.
        sizes: Standard deviation of each block's effects.
        novel: Variance of a combination's own rest that no slots explain.
        parts: Coefficients of each component of the reward, fitted with the same shrinkage.
    """

    weights: Floats
    covariance: Floats
    precision: Floats
    noise: float
    ratio: float
    sizes: Mapping[str, float]
    novel: float
    parts: Mapping[str, Floats] = field(default_factory=dict)

    def predict(self, rows: Floats) -> Floats:
        """Return the expected rewards of a caller nobody knows, shape (rows,)."""
        expected: Floats = rows @ self.weights
        return expected

    def spread(self, rows: Floats) -> Floats:
        """Return how uncertain that expectation is, as standard deviations, shape (rows,)."""
        variance: Floats = ((rows @ self.covariance) * rows).sum(axis=1)
        return np.sqrt(np.maximum(variance, 0.0))


def fit(
    rows: Floats,
    reward: Floats,
    caller: Ints,
    blocks: Blocks,
    *,
    parts: Mapping[str, Floats] | None = None,
) -> RewardModel:
    """Return the model of some calls.

    Args:
        rows: Their features, shape (n, p).
        reward: Their rewards, shape (n,).
        caller: A number for each caller, shape (n,).
        blocks: Which columns belong together.
        parts: The reward's components, each of shape (n,), to be explained beside it.
    """
    ratio = 0.0
    for _ in range(2):
        x, y = without_callers(rows, caller, ratio), without_callers(reward[:, None], caller, ratio)
        weights, covariance, precision, noise = _evidence(x, y[:, 0], blocks)
        ratio = caller_ratio(reward - rows @ weights, caller)
    explained = {
        name: covariance @ (x.T @ without_callers(part[:, None], caller, ratio)[:, 0]) / noise
        for name, part in (parts or {}).items()
    }
    sizes = {n: float(precision[b.start] ** -0.5) for n, b in blocks.groups().items()}
    novel = float(1.0 / precision[blocks.variants.start])
    return RewardModel(weights, covariance, precision, noise, ratio, sizes, novel, parts=explained)


class Fits:
    """Fits models of parts of some calls, each once; the arguments are those of ``fit``."""

    def __init__(self, rows: Floats, reward: Floats, caller: Ints, blocks: Blocks) -> None:
        self._rows, self._reward, self._caller, self._blocks = rows, reward, caller, blocks
        self._known: dict[bytes, RewardModel] = {}

    def of(self, calls: Ints) -> RewardModel:
        """Return the model of the calls with these indices."""
        key = calls.tobytes()
        if key not in self._known:
            rows, reward, caller = self._rows[calls], self._reward[calls], self._caller[calls]
            self._known[key] = fit(rows, reward, caller, self._blocks)
        return self._known[key]


def refit(model: RewardModel, rows: Floats, reward: Floats, caller: Ints) -> RewardModel:
    """Return the model of other calls with the same shrinkage: one solving, no search."""
    x = without_callers(rows, caller, model.ratio)
    y = without_callers(reward[:, None], caller, model.ratio)[:, 0]
    covariance = _inverse(x.T @ x / model.noise, model.precision)
    weights = covariance @ (x.T @ y) / model.noise
    return RewardModel(
        weights,
        covariance,
        model.precision,
        model.noise,
        model.ratio,
        model.sizes,
        model.novel,
    )


def without_callers(table: Floats, caller: Ints, ratio: float) -> Floats:
    """Return rows from which the callers' own levels are taken as far as they are known."""
    if ratio <= 0.0:
        return table
    order = np.argsort(caller, kind="stable")
    _, begins, number, count = np.unique(
        caller[order], return_index=True, return_inverse=True, return_counts=True
    )
    means = np.add.reduceat(table[order], begins, axis=0) / count[:, None]
    share = 1.0 - 1.0 / np.sqrt(1.0 + count * ratio)
    result = table.copy()
    result[order] -= (share[:, None] * means)[number]
    return result


def caller_ratio(residual: Floats, caller: Ints) -> float:
    """Return the variance of callers' levels over that around them: by the pairs of their calls."""
    _, number, count = np.unique(caller, return_inverse=True, return_counts=True)
    pairs = float((count * (count - 1)).sum())
    total = float(np.square(residual).mean())
    if pairs < 2.0 or total <= 0.0:
        return 0.0
    sums = np.bincount(number, residual)
    squares = np.bincount(number, np.square(residual))
    correlation = float((np.square(sums) - squares).sum()) / pairs / total
    return float(np.clip(correlation / max(1e-9, 1.0 - correlation), 0.0, _MOST_RATIO))


def _evidence(x: Floats, y: Floats, blocks: Blocks) -> tuple[Floats, Floats, Floats, float]:
    """Return weights, covariance, precision and noise at the (weakly penalised) evidence's top."""
    n, p = x.shape
    gram, moment, power = x.T @ x, x.T @ y, float(y @ y)
    noise = max(float(y.var()), 1e-6)
    precision = np.full(p, _WIDE)
    groups = blocks.groups()
    for name, block in groups.items():
        precision[block] = _TYPICAL[name] ** -2
    for _ in range(_ROUNDS):
        covariance = _inverse(gram / noise, precision)
        weights = covariance @ moment / noise
        before = precision.copy()
        known = 1.0
        for name, block in groups.items():
            width = block.stop - block.start
            gamma = width - float((precision[block] * np.diag(covariance)[block]).sum())
            known += gamma
            pull = _STRENGTH[name] * _TYPICAL[name] ** 2
            squares = float(np.square(weights[block]).sum())
            precision[block] = (max(gamma, 0.0) + _STRENGTH[name]) / (squares + pull)
        left = power - 2.0 * float(weights @ moment) + float(weights @ gram @ weights)
        noise = max(left, 1e-9 * n) / max(n - known, 1.0)
        noise = max(noise, 1e-6)
        if np.abs(np.log(precision / before)).max() < 0.01:
            break
    covariance = _inverse(gram / noise, precision)
    return covariance @ moment / noise, covariance, precision, noise


def _inverse(information: Floats, precision: Floats) -> Floats:
    return np.asarray(np.linalg.inv(information + np.diag(precision)), np.float64)
