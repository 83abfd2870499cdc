"""The policies that are evaluated on each log."""

from __future__ import annotations

import numpy as np

from apps.rl.off_policy.log import Floats


def targets(truth: Floats) -> dict[str, Floats]:
    """Return policies over arms with these true means, shape (arms,) each.

    ``softmax`` prefers good arms, ``uniform`` none; ``best`` is the best arm alone and ``third``
    the third best, which a good sampler has hardly tried.
    """
    ranked = np.argsort(truth)[::-1]
    arms = np.eye(len(truth))
    soft = np.exp((truth - truth.max()) / 0.1)
    return {
        "softmax": soft / soft.sum(),
        "uniform": np.full(len(truth), 1 / len(truth)),
        "best": arms[ranked[0]],
        "third": arms[ranked[2]],
    }
