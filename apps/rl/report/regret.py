"""What was missed by not serving the best variant from the start, as far as the log can tell.

The true mean rewards are not known. So they are drawn many times from what is believed of them,
independently by variant; each draw has a best variant, and gives every call its loss against that.
Of these the mean and the middle 95 % are shown. Variants of which too little is known are none of
those compared: neither can they be the best, nor do their calls count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from apps.rl.pages.drawing import REACH
from apps.rl.report.course import Posteriors
from apps.rl.report.evaluations import Judgement

LEAST_PULLS = 10
"""A variant with fewer rewards has a posterior that says little more than the prior."""

_DRAWS = 4000
_POINTS = 60


@dataclass(frozen=True, slots=True)
class Believed:
    """A variant's true mean reward, as it is believed to be: normal."""

    mean: float
    error: float


@dataclass(frozen=True, slots=True)
class Regret:
    """Regret over time; everything is in rewards, summed.

    Attributes:
        source: What the beliefs are from.
        calls: Numbers of rewarded calls, of all variants.
        mean: Expected regret after so many.
        low: Its lower end, 95 %.
        high: Its upper end.
        best: By compared variant, the probability that it is the best of them; highest first.
        compared: Calls of the variants that are compared.
        left_out: Calls of the others, which add nothing.
    """

    source: str
    calls: tuple[int, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    best: Mapping[str, float]
    compared: int
    left_out: int


def from_posteriors(found: Posteriors) -> dict[str, Believed]:
    """Return what the policy believes of the variants with enough rewards."""
    believed = {}
    for name, estimates in found.estimates.items():
        if found.pulls[name] >= LEAST_PULLS:
            last = estimates[-1]
            believed[name] = Believed(last.mean, (last.high - last.low) / (2 * REACH))
    return believed


def from_log(found: Judgement, variants: Sequence[str]) -> dict[str, Believed]:
    """Return what off-policy evaluation says of the variants that it does not refuse."""
    believed = {}
    for name in variants:
        judged = found.of(name)
        if judged is not None and judged.logged.best is not None:
            best = judged.logged.estimate(judged.logged.best)
            believed[name] = Believed(best.value, best.error)
    return believed


def regret(
    served: Sequence[str], believed: Mapping[str, Believed], source: str, *, seed: int = 0
) -> Regret | None:
    """Return the regret over time; None with fewer than two variants to compare.

    Args:
        served: Each rewarded call's variant, oldest first.
        believed: Of the true mean rewards.
        source: What that is from.
        seed: Of the draws.
    """
    names = list(believed)
    counted = np.array([[name == known for known in names] for name in served], bool)
    if len(names) < 2 or not counted.any():
        return None
    rng = np.random.default_rng(seed)
    mean = np.array([b.mean for b in believed.values()])
    error = np.array([b.error for b in believed.values()])
    truths = np.clip(rng.normal(mean, error, (_DRAWS, len(names))), -1.0, 1.0)
    lost = truths.max(axis=1, keepdims=True) - truths
    cuts = np.unique(np.linspace(0, len(served), _POINTS + 1).astype(int))
    so_far = np.vstack([np.zeros(len(names)), counted.cumsum(axis=0)])
    summed = lost @ so_far[cuts].T
    low, high = np.quantile(summed, [0.025, 0.975], axis=0)
    best = np.bincount(truths.argmax(axis=1), minlength=len(names)) / _DRAWS
    order = np.argsort(-best, kind="stable")
    return Regret(
        source,
        tuple(int(c) for c in cuts),
        tuple(summed.mean(axis=0).tolist()),
        tuple(low.tolist()),
        tuple(high.tolist()),
        {names[i]: float(best[i]) for i in order},
        int(counted.sum()),
        len(served) - int(counted.sum()),
    )
