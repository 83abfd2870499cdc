"""TensorZero's adaptive experiment, written from its published description: track and stop.

Every variant is tried evenly until each has ``min_samples`` rewards. Then variants are drawn in the
proportions that would tell the leader from all others with the fewest samples (Garivier and
Kaufmann 2016, for Gaussian rewards of unknown variances). As soon as

    min over rivals of (gap + epsilon)^2 / (2 (v_leader / n_leader + v_rival / n_rival))
        > ln((1 + ln N) / delta)

the leader gets every call, for ever. It knows no context.
"""

from __future__ import annotations

import numpy as np

from benchmarks.learning.learners import Feedback, Floats, Seen, Task

LEAST_VARIANCE = 1e-6
LEAST_GAP = 1e-3
_SHARES = np.linspace(0.0, 1.0, 202)[1:-1]


class TrackAndStop:
    """Best-arm identification; defaults are those of TensorZero.

    Args:
        task: What is known before the first call.
        delta: Chance to end with a wrong one.
        epsilon: How far below the best the winner may be.
        min_samples: Rewards of each variant before anything is computed.
    """

    def __init__(
        self, task: Task, delta: float = 0.05, epsilon: float = 0.0, min_samples: int = 10
    ) -> None:
        k = len(task.variants)
        self._rng = np.random.default_rng(task.seed)
        self._delta, self._epsilon, self._min = delta, epsilon, min_samples
        self._count, self._sum, self._squares = np.zeros(k), np.zeros(k), np.zeros(k)
        self._chances: Floats | None = None
        self.winner = -1

    def choose(self, call: Seen) -> int:
        """Return the winner, or a variant drawn in proportion."""
        if self.winner >= 0:
            return self.winner
        if self._count.min() < self._min:
            return int(self._rng.integers(len(self._count)))
        if self._chances is None:
            self._plan()
            if self.winner >= 0:
                return self.winner
        assert self._chances is not None
        return int(self._rng.choice(len(self._count), p=self._chances))

    def learn(self, feedback: Feedback) -> None:
        """Count a reward; a late rating takes its predecessor's place."""
        arm, reward, before = feedback.variant, feedback.reward, feedback.revises
        self._count[arm] += before is None
        self._sum[arm] += reward - (before or 0.0)
        self._squares[arm] += reward**2 - (before or 0.0) ** 2
        self._chances = None

    def _plan(self) -> None:
        means = self._sum / self._count
        spread = self._squares - self._count * means**2
        variances = np.maximum(spread / (self._count - 1.0), LEAST_VARIANCE)
        leader = int(means.argmax())
        gaps = np.delete(means[leader] - means, leader) + self._epsilon
        errors = variances / self._count
        evidence = gaps**2 / (2.0 * (errors[leader] + np.delete(errors, leader)))
        if evidence.min() > np.log((1.0 + np.log(self._count.sum())) / self._delta):
            self.winner = leader
        self._chances = proportions(variances, np.maximum(gaps, LEAST_GAP), leader)


def proportions(variances: Floats, gaps: Floats, leader: int) -> Floats:
    """Return the shares of samples that tell the leader from all others the fastest.

    At the optimum all rivals are told from the leader at one rate; with the leader's share as the
    unit, a rival's follows from the rate, and the rate is sought on a grid.

    Args:
        variances: Of the rewards, shape (variants,).
        gaps: How far each rival is below the leader, > 0, shape (variants - 1,).
        leader: Its index.
    """
    squares, rivals = gaps**2, np.delete(variances, leader)
    rates = _SHARES[:, None] * (squares / (2.0 * variances[leader])).min()
    needed = rivals / (squares / (2.0 * rates) - variances[leader])  # (rates, rivals)
    best = int((rates[:, 0] / (1.0 + needed.sum(axis=1))).argmax())
    shares = np.insert(needed[best], leader, 1.0)
    found: Floats = shares / shares.sum()
    return found
