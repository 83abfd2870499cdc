"""MABWiser 2.7: Thompson sampling on rewards made binary, and two linear policies by variant."""

from __future__ import annotations

from functools import partial

import numpy as np
from mabwiser.mab import MAB, LearningPolicy

from benchmarks.learning.learners import Feedback, Seen, Task


class MabWiser:
    """One of MABWiser's learning policies.

    Args:
        task: What is known before the first call.
        policy: The learning policy.
        contextual: Whether it takes the call's features.
    """

    def __init__(self, task: Task, policy: LearningPolicy, *, contextual: bool) -> None:
        self._arms = len(task.variants)
        self._mab = MAB(list(range(self._arms)), policy, seed=task.seed)
        self._rng, self._contextual = np.random.default_rng(task.seed), contextual
        self._fitted = False

    def choose(self, call: Seen) -> int:
        """Return its choice; before the first reward it has none, so any variant is taken."""
        if not self._fitted:
            return int(self._rng.integers(self._arms))
        contexts = call.features[None] if self._contextual else None
        return int(self._mab.predict(contexts))

    def learn(self, feedback: Feedback) -> None:
        """Fit it by one reward more."""
        if feedback.revises is not None:
            return
        learn = self._mab.partial_fit if self._fitted else self._mab.fit
        contexts = feedback.call.features[None] if self._contextual else None
        learn(np.array([feedback.variant]), np.array([feedback.reward]), contexts)
        self._fitted = True


def _above(threshold: float, arm: int, reward: float) -> bool:
    return reward > threshold


def thompson(task: Task, threshold: float = 0.2) -> MabWiser:
    """Return Beta-Bernoulli Thompson sampling; a reward above the threshold is a success."""
    policy = LearningPolicy.ThompsonSampling(binarizer=partial(_above, threshold))
    return MabWiser(task, policy, contextual=False)


def lin_ts(task: Task, alpha: float = 1.0) -> MabWiser:
    """Return linear Thompson sampling, a ridge regression for each variant."""
    return MabWiser(task, LearningPolicy.LinTS(alpha=alpha), contextual=True)


def lin_ucb(task: Task, alpha: float = 1.0) -> MabWiser:
    """Return LinUCB, a ridge regression for each variant."""
    return MabWiser(task, LearningPolicy.LinUCB(alpha=alpha), contextual=True)
