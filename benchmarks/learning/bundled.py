"""scikit-learn's bundled sets as bandits: naming the right class of a row earns 1, any other 0.

Each row comes several times, all of them shuffled by the seed. Features are standardised over the
whole set and divided by the square root of their number, with a one in front: rows are as
long in each set. A reward is known before the next row comes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from benchmarks.learning.learners import Feedback, Floats, Maker, Seen, Task
from benchmarks.learning.run import POINTS, Run

COPIES = {"wine": 5, "breast_cancer": 3, "digits": 2}


@dataclass(frozen=True, slots=True)
class Rows:
    """A shuffled set.

    Attributes:
        features: Shape (rows, features).
        label: The right class of each row.
        classes: How many there are.
    """

    features: Floats
    label: NDArray[np.int64]
    classes: int


@cache
def _features(name: str) -> tuple[Floats, NDArray[np.int64]]:
    from sklearn import datasets

    raw, label = getattr(datasets, f"load_{name}")(return_X_y=True)
    scale = raw.std(axis=0)
    features = (raw - raw.mean(axis=0)) / np.where(scale > 0, scale, 1.0) / raw.shape[1] ** 0.5
    return np.column_stack([np.ones(len(raw)), features]), np.asarray(label, np.int64)


def rows(name: str, seed: int) -> Rows:
    """Return one of ``COPIES`` in an order of its own for each seed."""
    features, label = _features(name)
    order = np.random.default_rng(seed).permutation(np.tile(np.arange(len(label)), COPIES[name]))
    return Rows(features[order], label[order], int(label.max()) + 1)


def run_rows(on: Rows, make: Maker, seed: int) -> Run:
    """Let a learner name the class of every row; regret is the number of wrong ones."""
    n, k = len(on.label), on.classes
    names = [f"c{c}" for c in range(k)]
    learner = make(Task(names, 0, np.zeros((k, 0)), on.features.shape[1], n, seed, low=0.0))
    wrong = np.empty(n)
    choosing_s = learning_s = 0.0
    for i in range(n):
        call = Seen(i, i, on.features[i])
        begun = perf_counter()
        chosen = learner.choose(call)
        between = perf_counter()
        right = float(chosen == on.label[i])
        learner.learn(Feedback(f"{i}", call, chosen, right))
        learning_s += perf_counter() - between
        choosing_s += between - begun
        wrong[i] = 1.0 - right
    moments = np.linspace(n / POINTS, n, POINTS).astype(np.int64) - 1
    regret = np.cumsum(wrong)
    speeds = n / max(choosing_s, 1e-9), n / max(learning_s, 1e-9)
    return Run(regret[moments], float(regret[-1]), float(wrong.mean()), 0.0, *speeds)
