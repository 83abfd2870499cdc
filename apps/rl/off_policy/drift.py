"""Has the answer changed over time: the same estimate by window, and a test that all are one."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from apps.rl.off_policy.estimators import Terms
from apps.rl.off_policy.intervals import Interval, chi_square_tail, delta, standard_error
from apps.rl.off_policy.log import Floats, Ints


@dataclass(frozen=True, slots=True)
class Window:
    """An estimate from a stretch of the log.

    Attributes:
        first: Its first decision's place in the log.
        last: Its last one's.
        value: The estimate; NaN where the stretch says nothing.
        interval: Where the truth of that time lies.
    """

    first: int
    last: int
    value: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class Drift:
    """Estimates over time.

    Attributes:
        estimator: Whose.
        windows: Oldest first.
        p_value: The probability of windows as unlike as these if nothing had changed; None where
            fewer than two windows say something.
    """

    estimator: str
    windows: tuple[Window, ...]
    p_value: float | None

    def changed(self, alpha: float = 0.01) -> bool:
        """Return whether the value has changed, with error probability ``alpha``."""
        return self.p_value is not None and self.p_value < alpha

    def __str__(self) -> str:
        """Return it as a sentence."""
        if self.p_value is None:
            return "Too little is logged to tell whether the value has changed over time."
        course = ", ".join(f"{w.value:+.3f}" for w in self.windows)
        if self.changed():
            return f"The value has changed over time ({course}; p = {self.p_value:.2g})."
        return f"No change of the value over time is seen ({course}; p = {self.p_value:.2g})."


def drift(terms: Terms, caller: Ints | None = None, *, windows: int = 5) -> Drift:
    """Return an estimate by window, each as many decisions, with Cochran's test that all agree.

    The test takes windows for independent: callers who come back in another one weaken that a
    little. Windows in which no weight lies, or of one caller, are left out of it.
    """
    found, values, precisions = [], [], []
    for rows in np.array_split(np.arange(len(terms.numerator)), windows):
        if not len(rows):
            continue
        part = Terms(terms.name, terms.numerator[rows], terms.denominator[rows])
        whose = None if caller is None else caller[rows]
        found.append(Window(int(rows[0]), int(rows[-1]), part.value, delta(part, whose)))
        error = standard_error(part, whose)
        if math.isfinite(part.value) and error > 0:
            values.append(part.value)
            precisions.append(error**-2)
    return Drift(terms.name, tuple(found), _cochran(np.array(values), np.array(precisions)))


def _cochran(values: Floats, precisions: Floats) -> float | None:
    if len(values) < 2:
        return None
    pooled = (values * precisions).sum() / precisions.sum()
    statistic = float((precisions * (values - pooled) ** 2).sum())
    return chi_square_tail(statistic, len(values) - 1)
