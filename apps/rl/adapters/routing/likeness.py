"""The second phase of routing: which domain's examples a prompt is most like. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
NEAREST = 3
"""A domain is as like a prompt as the mean of so many of its nearest examples."""


def by_likeness(prompt: Vectors, examples: Mapping[str, Vectors]) -> dict[str, float]:
    """Return how like a prompt each domain's examples are, in [0, 1].

    Args:
        prompt: Its vector, of unit length, shape (dimensions,).
        examples: Each domain's, of unit length, shape (n, dimensions); n may be 0.
    """
    return {name: _nearest(rows @ prompt) if len(rows) else 0.0 for name, rows in examples.items()}


def _nearest(cosines: Vectors) -> float:
    best = np.sort(cosines)[-NEAREST:]
    return float(np.clip(best.mean(), 0.0, 1.0))
