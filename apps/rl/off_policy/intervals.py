"""Intervals around an estimate: the delta method, and the bootstrap, both by caller."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from apps.rl.off_policy.estimators import Terms
from apps.rl.off_policy.log import Floats, Ints

_NORMAL = NormalDist()
_CELLS = 2_000_000  # resampled counts that are held at once


@dataclass(frozen=True, slots=True)
class Interval:
    """Where the truth lies.

    Attributes:
        low: Its lower end.
        high: Its upper end.
        level: How often such an interval holds the truth.
        method: ``delta`` or ``bootstrap``.
    """

    low: float
    high: float
    level: float
    method: str


def standard_error(terms: Terms, caller: Ints | None) -> float:
    """Return an estimate's standard error by the delta method; callers are independent.

    NaN for a single caller.
    """
    return _spread(terms, caller)[0]


def delta(terms: Terms, caller: Ints | None = None, *, level: float = 0.95) -> Interval:
    """Return the interval of the delta method.

    Its reach is Student's t with as many degrees of freedom as the variance is known with: an
    estimate of the variance that rests on a few large terms is itself uncertain (Satterthwaite).

    Args:
        terms: The estimate.
        caller: A number for each caller, shape (n,); None takes every row for one.
        level: How often the interval shall hold the truth.
    """
    error, freedom = _spread(terms, caller)
    reach = t_quantile((1 + level) / 2, freedom) * error
    return Interval(terms.value - reach, terms.value + reach, level, "delta")


def bootstrap(
    terms: Sequence[Terms],
    caller: Ints | None = None,
    *,
    seed: int = 0,
    replicates: int = 1000,
    level: float = 0.95,
) -> list[Interval]:
    """Return percentile intervals of whole callers drawn again with replacement.

    All estimates see the same draws. The percentiles lie further out than the level says, by as
    much as Student's t does beyond the normal distribution (Hesterberg 2015): plain ones are too
    narrow where few callers count.

    Args:
        terms: The estimates, of the same decisions.
        caller: A number for each caller, shape (n,); None takes every row for one.
        seed: Of the draws; the same seed gives the same intervals.
        replicates: How often is drawn.
        level: How often the intervals shall hold the truth.
    """
    columns = np.stack([c for t in terms for c in (t.numerator, t.denominator)], axis=1)
    sums = columns if caller is None else by_caller(columns, caller)
    totals = np.concatenate([counts @ sums for counts in _draws(len(sums), replicates, seed)])
    numerator, denominator = totals[:, 0::2], totals[:, 1::2]
    # A draw in which nobody has any weight says nothing: it is left out.
    drawn = np.full_like(numerator, np.nan)
    np.divide(numerator, denominator, out=drawn, where=denominator != 0)
    found = []
    for column, one in zip(drawn.T, terms, strict=True):
        reach = t_quantile((1 + level) / 2, _spread(one, caller)[1])
        outside = _NORMAL.cdf(-reach) if math.isfinite(reach) else (1 - level) / 2
        low, high = np.nanquantile(column, [outside, 1 - outside])
        found.append(Interval(float(low), float(high), level, "bootstrap"))
    return found


def by_caller(values: Floats, caller: Ints) -> Floats:
    """Return the sums per caller of values with shape (n, m), shape (callers, m)."""
    names, index = np.unique(caller, return_inverse=True)
    sums = [np.bincount(index, column, len(names)) for column in values.T]
    return np.stack(sums, axis=1)


def t_quantile(p: float, freedom: float) -> float:
    """Return a quantile of Student's t: its expansion around the normal one, good from 4 on.

    NaN for no degrees of freedom.
    """
    z = _NORMAL.inv_cdf(p)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3


def chi_square_tail(value: float, freedom: int) -> float:
    """Return the probability that a chi-square variable of whole freedom is above ``value``."""
    if value <= 0:
        return 1.0
    half = value / 2
    if freedom % 2:
        tail, term, order = math.erfc(math.sqrt(half)), math.sqrt(half / math.pi) * 2, 1.5
    else:
        tail, term, order = 0.0, 1.0, 1.0
    while order <= freedom / 2:
        tail += term * math.exp(-half)
        term *= half / order
        order += 1
    return min(tail, 1.0)


def _spread(terms: Terms, caller: Ints | None) -> tuple[float, float]:
    """Return the standard error, and the degrees of freedom that it is known with."""
    influence = terms.influence
    if caller is not None:
        influence = by_caller(influence[:, None], caller)[:, 0]
    groups = len(influence)
    if groups < 2:
        return math.nan, math.nan
    squares = np.square(influence)
    total = float(squares.sum())
    error = math.sqrt(total * groups / (groups - 1)) / len(terms.numerator)
    excess = float(np.square(squares).sum()) / total**2 - 1 / groups if total > 0 else 0.0
    freedom = 2 / excess if excess > 2 / (groups - 1) else groups - 1.0
    return error, max(freedom, 1.0)


def _draws(groups: int, replicates: int, seed: int) -> Iterator[Floats]:
    rng = np.random.default_rng(seed)
    step = max(1, _CELLS // groups)
    for begin in range(0, replicates, step):
        counts = np.empty((min(step, replicates - begin), groups))
        for row in counts:
            row[:] = np.bincount(rng.integers(groups, size=groups), minlength=groups)
        yield counts
