"""The product's linear policies over plain features, for sets that are no calls.

The same regression, noise and laws of the scores as in apps/rl/policies; instead of slots and
context every variant has a regression of its own over the features.
"""

from __future__ import annotations

import numpy as np

from apps.rl.policies.laws import Laws
from apps.rl.policies.regression import Noise, Regression
from benchmarks.learning.learners import Feedback, Floats, Seen, Task

_TIE = 1e-9


class RawLinear:
    """Thompson sampling over features.

    Args:
        task: What is known before the first row.
        effect: Prior standard deviation of a feature's effect, in units of the noise's.
        width: Standard deviations of the scores are multiplied by this; 1 is the posterior.
        noise: The noise's prior standard deviation, in rewards.
    """

    def __init__(
        self, task: Task, effect: float = 2.0, width: float = 1.0, noise: float = 0.3
    ) -> None:
        prior = np.full(task.features, effect**2)
        self._known = [Regression.empty(prior)] * len(task.variants)
        self._rng, self._width, self._noise = np.random.default_rng(task.seed), width, Noise(noise)

    def choose(self, call: Seen) -> int:
        """Return the variant with the highest score."""
        return int(self.scores(self.laws(call.features)).argmax())

    def laws(self, x: Floats) -> Laws:
        """Return the laws of the scores of all variants."""
        means = np.array([known.mean for known in self._known]) @ x
        noises = np.array([known.noise(self._noise) for known in self._known])
        variances = np.array([x @ known.covariance @ x for known in self._known])
        scales = self._width * noises[:, 0] * np.sqrt(np.maximum(variances, 1e-18))
        return Laws.student(means, scales, noises[:, 1])

    def scores(self, laws: Laws) -> Floats:
        """Return a draw of each."""
        return laws.draw(self._rng)

    def learn(self, feedback: Feedback) -> None:
        """Learn one reward."""
        x, arm = feedback.call.features, feedback.variant
        at = np.flatnonzero(x)
        self._known[arm] = self._known[arm].observed(at, x[at], feedback.reward)


class RawLinearUcb(RawLinear):
    """The upper confidence bound: mean plus ``width`` standard deviations."""

    def scores(self, laws: Laws) -> Floats:
        """Return the bounds; which of equal ones comes first is left to chance."""
        bounds: Floats = laws.location + laws.scale
        bounds += (bounds >= bounds.max() - _TIE) * self._rng.random(len(bounds)) * _TIE
        return bounds
