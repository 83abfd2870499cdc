"""river 0.26: LinUCB by variant, and Bayes-UCB without context on rewards made binary."""

from __future__ import annotations

from typing import Any

from river import bandit

from benchmarks.learning.learners import Feedback, Floats, Seen, Task


class LinUcb:
    """Bayesian linear regression for each variant; the bound is mean plus standard deviation.

    Its ``alpha`` stays 1: it enters both the precision and its inverse in the same way.

    Args:
        task: What is known before the first call.
        beta: Precision of a reward; 1 is river's default.
    """

    def __init__(self, task: Task, beta: float = 1.0) -> None:
        self._arms = list(range(len(task.variants)))
        self._policy = bandit.LinUCBDisjoint(beta=beta, seed=task.seed)

    def choose(self, call: Seen) -> int:
        """Return the variant with the highest bound."""
        return int(self._policy.pull(self._arms, context=_named(call.features)))

    def learn(self, feedback: Feedback) -> None:
        """Learn one reward."""
        if feedback.revises is None:
            context = _named(feedback.call.features)
            self._policy.update(feedback.variant, context, feedback.reward)


class BayesUcb:
    """Beta posteriors, of which a quantile that rises with time is the bound."""

    def __init__(self, task: Task, threshold: float = 0.2) -> None:
        self._arms, self._threshold = list(range(len(task.variants))), threshold
        self._policy: Any = bandit.BayesUCB(seed=task.seed)

    def choose(self, call: Seen) -> int:
        """Return the variant with the highest quantile."""
        return int(self._policy.pull(self._arms))

    def learn(self, feedback: Feedback) -> None:
        """Count a success where the reward is above the threshold."""
        if feedback.revises is None:
            self._policy.update(feedback.variant, feedback.reward > self._threshold)


def _named(features: Floats) -> dict[int, float]:
    return dict(enumerate(features.tolist()))
