"""Is the reward model any good: on calls it has not seen, and on variants it has not seen.

Calls: the log is cut by time, and callers are cut into groups. Each held-out call is predicted by a
model of earlier calls by callers of other groups, so neither the future nor its own caller leaks
into its prediction. Beside it, the same for two plainer predictions: the mean of all rewards, and
the shrunk means of the variants.

Variants: each one's calls are left out in turn, and its mean is predicted from its slots. That is
what the search over all combinations asks of the model.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from apps.rl.off_policy import Interval, Terms, delta
from apps.rl.trainer.calls import TrainingCall
from apps.rl.trainer.features import Blocks, Floats, Ints
from apps.rl.trainer.reward_model import RewardModel, fit, refit

_CUTS = (0.6, 0.8, 1.0)
_GROUPS = 4
_BINS = 8
_FEWEST = 10  # calls of a variant that is left out
_SHRINK = 5.0


@dataclass(frozen=True, slots=True)
class Bin:
    """Held-out calls whose predictions were about the same."""

    predicted: float
    observed: float
    error: float
    calls: int


@dataclass(frozen=True, slots=True)
class LeftOut:
    """One variant, predicted without any of its calls.

    Attributes:
        variant: Its id.
        observed: The mean reward of its calls.
        predicted: What the slots alone say of the same calls.
        error: Standard deviation that their difference should have.
        plain: What the mean of all others says.
        calls: How many calls it had.
    """

    variant: str
    observed: float
    predicted: float
    error: float
    plain: float
    calls: int


@dataclass(frozen=True, slots=True)
class Validation:
    """How good the reward model is.

    Attributes:
        calls: How many calls were held out.
        r2: The share of the variance of held-out rewards that the model explains.
        r2_means: The same by the variants' means, the baseline.
        gain: How much less squared error than the baseline, as a share of the variance, with its
            interval by caller.
        slope: Of observed on predicted rewards; 1 for a calibrated model.
        slope_interval: Where it truly lies.
        bins: Predicted beside observed.
        left_out: Each variant predicted without its calls.
        widening: How much wider than the model says its errors on unseen variants are; at least 1.
    """

    calls: int
    r2: float
    r2_means: float
    gain: float
    gain_interval: Interval
    slope: float
    slope_interval: Interval
    bins: tuple[Bin, ...]
    left_out: tuple[LeftOut, ...]
    widening: float

    @property
    def left_out_rmse(self) -> tuple[float, float]:
        """Return the error on unseen variants: the model's, and that of the mean of all others."""
        if not self.left_out:
            return math.nan, math.nan
        model = np.mean([(v.observed - v.predicted) ** 2 for v in self.left_out])
        plain = np.mean([(v.observed - v.plain) ** 2 for v in self.left_out])
        return float(model) ** 0.5, float(plain) ** 0.5

    @property
    def foresees(self) -> bool:
        """Return whether unseen variants are foreseen better than by the mean of all others.

        By more than a standard error of the difference of the squared errors: in logs whose rewards
        were shuffled, one in ten passes.
        """
        gains = [
            (v.observed - v.plain) ** 2 - (v.observed - v.predicted) ** 2 for v in self.left_out
        ]
        if len(gains) < 3:
            return False
        return float(np.mean(gains)) > float(np.std(gains, ddof=1)) / math.sqrt(len(gains))


def validate(
    calls: Sequence[TrainingCall],
    rows: Floats,
    reward: Floats,
    caller: Ints,
    blocks: Blocks,
    model: RewardModel,
) -> Validation:
    """Return how good the model of these calls is.

    Args:
        calls: The calls, oldest first.
        rows: Their features, shape (n, p).
        reward: Their rewards.
        caller: A number for each caller.
        blocks: Which columns belong together.
        model: The model of all of them.
    """
    variant = np.array([call.variant for call in calls])
    held, predicted, means, plain = held_out(calls, rows, reward, caller, blocks)
    truth, who = reward[held], caller[held]
    spread = float(np.square(truth - plain).sum())
    error, error_means = np.square(truth - predicted), np.square(truth - means)
    gain = Terms("gain", error_means - error, np.square(truth - plain))
    slope = _slope(predicted, truth)
    left_out = leave_variants_out(rows, reward, caller, variant, model)
    return Validation(
        calls=len(held),
        r2=1.0 - float(error.sum()) / spread,
        r2_means=1.0 - float(error_means.sum()) / spread,
        gain=gain.value,
        gain_interval=delta(gain, who),
        slope=slope.value,
        slope_interval=delta(slope, who),
        bins=_bins(predicted, truth),
        left_out=left_out,
        widening=_widening(left_out),
    )


def held_out(
    calls: Sequence[TrainingCall], rows: Floats, reward: Floats, caller: Ints, blocks: Blocks
) -> tuple[Ints, Floats, Floats, Floats]:
    """Return the held-out calls, and what model, variants' means and overall mean predict."""
    n = len(calls)
    group = np.array([zlib.crc32(call.caller.encode()) % _GROUPS for call in calls])
    variant = np.array([call.variant for call in calls])
    at = np.arange(n)
    found: list[tuple[Ints, Floats, Floats, Floats]] = []
    for begin, end in pairwise(_CUTS):
        low, high = int(begin * n), int(end * n)
        for g in range(_GROUPS):
            test = np.flatnonzero((at >= low) & (at < high) & (group == g))
            train = np.flatnonzero((at < low) & (group != g))
            if not len(test) or len(train) < 2:
                continue
            model = fit(rows[train], reward[train], caller[train], blocks)
            overall = float(reward[train].mean())
            means = _means(variant[train], reward[train], variant[test], overall)
            found.append((test, model.predict(rows[test]), means, np.full(len(test), overall)))
    order = np.argsort(np.concatenate([test for test, *_ in found]))
    held, *predictions = (np.concatenate(parts)[order] for parts in zip(*found, strict=True))
    return held, predictions[0], predictions[1], predictions[2]


def leave_variants_out(
    rows: Floats, reward: Floats, caller: Ints, variant: np.ndarray, model: RewardModel
) -> tuple[LeftOut, ...]:
    """Return each variant with enough calls, predicted by a model that saw none of them."""
    found = []
    for name in np.unique(variant):
        out = variant == name
        if out.sum() < _FEWEST or (~out).sum() < _FEWEST:
            continue
        without = refit(model, rows[~out], reward[~out], caller[~out])
        middle = rows[out].mean(axis=0, keepdims=True)
        n = int(out.sum())
        noise = model.noise * (1.0 + model.ratio) / n
        found.append(
            LeftOut(
                variant=str(name),
                observed=float(reward[out].mean()),
                predicted=float(without.predict(middle)[0]),
                error=math.sqrt(float(without.spread(middle)[0]) ** 2 + noise),
                plain=float(reward[~out].mean()),
                calls=n,
            )
        )
    return tuple(found)


def _means(seen: np.ndarray, reward: Floats, asked: np.ndarray, overall: float) -> Floats:
    names, number = np.unique(seen, return_inverse=True)
    count, total = np.bincount(number), np.bincount(number, reward)
    shrunk = (total + _SHRINK * overall) / (count + _SHRINK)
    known = dict(zip(names.tolist(), shrunk.tolist(), strict=True))
    return np.array([known.get(name, overall) for name in asked.tolist()])


def _slope(predicted: Floats, observed: Floats) -> Terms:
    away = predicted - predicted.mean()
    return Terms("slope", away * (observed - observed.mean()), np.square(away))


def _bins(predicted: Floats, observed: Floats) -> tuple[Bin, ...]:
    order = np.argsort(predicted, kind="stable")
    return tuple(
        Bin(
            float(predicted[part].mean()),
            float(observed[part].mean()),
            float(observed[part].std(ddof=1)) / len(part) ** 0.5,
            len(part),
        )
        for part in np.array_split(order, _BINS)
        if len(part) > 1
    )


def _widening(left_out: Sequence[LeftOut]) -> float:
    """Return the root mean square of the errors in the model's own standard deviations, if > 1."""
    if len(left_out) < 3:
        return 1.0
    z = [(v.observed - v.predicted) / v.error for v in left_out]
    return max(1.0, math.sqrt(float(np.mean(np.square(z)))))
