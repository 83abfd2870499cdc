"""How far a sum of bounded surprises strays by chance alone, however often one looks.

For Y_i >= -1 with a prediction made beforehand, and any stake 0 < s < 1,
``exp(s * sum(Y_i - E[Y_i]) - psi(s) * sum(Y_i**2))`` with ``psi(s) = -log(1 - s) - s`` is a
supermartingale that begins at 1 (Fan, Grama and Liu 2015; Howard, Ramdas, McAuliffe and Sekhon
2021, theorem 4). So is its mean over several stakes, and by Ville's inequality that ever reaches
1 / alpha with probability alpha at most: at all times at once, and whatever decided when to look.
"""

from __future__ import annotations

from math import exp, log

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

STAKES: Floats = 0.9 * np.power(0.6, np.arange(8))
"""Large stakes tell soon, small ones tell little differences after many calls."""

_COSTS: Floats = -np.log1p(-STAKES) - STAKES
_STEPS: tuple[tuple[float, float], ...] = tuple(zip(STAKES.tolist(), _COSTS.tolist(), strict=True))


def log_evidence(total: ArrayLike, spread: ArrayLike) -> Floats:
    """Return the logarithm of the mean wealth over all stakes.

    Args:
        total: Sum of the surprises, under what is tested: positive speaks against it.
        spread: Sum of their squares; same shape.

    Returns:
        The logarithm of an e-value: reject at level alpha once it is log(1 / alpha).
    """
    exponents = np.multiply.outer(np.asarray(total, float), STAKES)
    exponents -= np.multiply.outer(np.asarray(spread, float), _COSTS)
    highest = exponents.max(axis=-1, keepdims=True)
    means: Floats = np.log(np.exp(exponents - highest).mean(axis=-1)) + highest[..., 0]
    return means


def log_wealth(total: float, spread: float) -> float:
    """Return ``log_evidence`` of two plain numbers, in a tenth of the time."""
    exponents = [s * total - c * spread for s, c in _STEPS]
    highest = max(exponents)
    return highest + log(sum(exp(value - highest) for value in exponents) / len(exponents))


def boundary(spread: float, alpha: float) -> float:
    """Return the total above which ``log_evidence`` is at least log(1 / alpha).

    With probability 1 - alpha no total ever lies above its boundary.

    Args:
        spread: Sum of the squared surprises.
        alpha: Error that is allowed, in (0, 1).
    """
    wanted = -log(alpha)
    steps = [(s, c * spread) for s, c in _STEPS]
    # The logarithm is convex and increasing in the total, so from the right Newton's steps fall
    # towards the root and never beyond; each stake alone gives a point to its right.
    total = min((wanted + log(len(steps)) + cost) / s for s, cost in steps)
    for _ in range(50):
        exponents = [s * total - cost for s, cost in steps]
        highest = max(exponents)
        wealths = [exp(value - highest) for value in exponents]
        wealth = sum(wealths)
        excess = log(wealth / len(steps)) + highest - wanted
        if excess <= 1e-10:
            break
        slope = sum(w * s for w, (s, _cost) in zip(wealths, steps, strict=True)) / wealth
        total -= excess / slope
    return total
