"""Our own learners, by the product's pure parts and without a database."""

from __future__ import annotations

from typing import Any

import numpy as np

from apps.rl.policies import (
    LinearPolicy,
    LinearUcbPolicy,
    NigPolicy,
    Outcome,
    Policy,
    Slots,
)
from apps.rl.policies.laws import Laws
from apps.rl.policies.regression import Noise, Regression
from apps.rl.posterior import Arm
from apps.rl.simulator.scenario import SLOT_VALUES
from apps.rl.variants import GuardRules, Prior
from benchmarks.learning.learners import Feedback, Floats, Seen, Task


class Ours:
    """A policy of the product, the guard and its floor off.

    Scores are drawn; the product's probabilities are those of these draws.

    Args:
        task: What is known before the first call.
        policy: The policy, before anything is learned.
    """

    def __init__(self, task: Task, policy: Policy) -> None:
        self._rng, self._names = np.random.default_rng(task.seed), tuple(task.variants)
        self._policy = policy.knowing(slots_of(task))
        self._counted = 0
        self._counted_at: dict[int, int] = {}

    def choose(self, call: Seen) -> int:
        """Return the variant with the highest score."""
        return int(self._policy.scores(self._names, call.context, self._rng).argmax())

    def propensities(self, call: Seen) -> Floats:
        """Return the probability of each variant to be chosen."""
        return self._policy.chances(self._names, call.context)

    def learn(self, feedback: Feedback) -> None:
        """Learn the reward, or what takes its place."""
        index, age = feedback.call.index, 0
        if feedback.revises is None:
            self._counted += 1
            self._counted_at[index] = self._counted
        else:
            age = self._counted - self._counted_at.pop(index)
        variant, context = self._names[feedback.variant], feedback.call.context
        outcome = Outcome(variant, feedback.reward, context, feedback.revises, age)
        self._policy = self._policy.learned(outcome)


def slots_of(task: Task) -> Slots:
    """Return the variants' slots by name."""
    values = [value.split("=") for value in SLOT_VALUES]
    return {
        name: {values[j][0]: values[j][1] for j in np.flatnonzero(row)}
        for name, row in zip(task.variants, task.one_hot, strict=True)
    }


def nig(task: Task, **options: Any) -> Ours:
    """Return the product's default policy."""
    return Ours(task, NigPolicy(**options))


def linear(task: Task, **options: Any) -> Ours:
    """Return Thompson sampling over slots and context."""
    return Ours(task, LinearPolicy(**options))


def linear_ucb(task: Task, **options: Any) -> Ours:
    """Return the upper confidence bound over slots and context."""
    return Ours(task, LinearUcbPolicy(**options))


class Disjoint:
    """The product's regression for each variant of its own, over features that are plain numbers.

    For tasks without slots: sklearn's bundled sets as bandits. It chooses the highest upper bound,
    or, with ``optimism`` None, the highest draw.

    Args:
        task: What is known before the first call.
        optimism: Standard deviations that are added to the mean; None draws scores.
        width: Draws' standard deviations are multiplied by this.
        scale: Prior standard deviation of a feature's effect, in standard deviations of the noise.
        sd: The noise's standard deviation, before anything is seen.
        shape: How sure of that; worth ``2 * shape`` rewards.
    """

    def __init__(
        self,
        task: Task,
        optimism: float | None = 1.0,
        width: float = 1.0,
        scale: float = 1.0,
        sd: float = 0.4,
        shape: float = 3.0,
    ) -> None:
        self._rng, self._optimism, self._width = np.random.default_rng(task.seed), optimism, width
        self._noise = Noise(sd, shape)
        self._at = np.arange(task.features)
        empty = Regression.empty(np.full(task.features, scale**2))
        self._known = [empty] * len(task.variants)

    def choose(self, call: Seen) -> int:
        """Return the variant with the highest bound or draw."""
        x = call.features
        mean = np.array([known.mean @ x for known in self._known])
        noise = [known.noise(self._noise) for known in self._known]
        variance = np.array([x @ known.covariance @ x for known in self._known])
        scale = np.array([sd for sd, _ in noise]) * np.sqrt(np.maximum(variance, 1e-18))
        if self._optimism is not None:
            return int((mean + self._optimism * scale).argmax())
        degrees = np.array([d for _, d in noise])
        return int(Laws.student(mean, self._width * scale, degrees).draw(self._rng).argmax())

    def learn(self, feedback: Feedback) -> None:
        """Learn the reward with its variant's regression."""
        arm = feedback.variant
        x = feedback.call.features
        self._known[arm] = self._known[arm].observed(self._at, x, feedback.reward)


class BetaThompson:
    """The bandit of the first version: Beta posteriors, Thompson sampling, an even floor.

    A draw from each posterior is taken, whose law is the product's exact probabilities
    (apps/rl/propensity.py integrates them); the guard is off.
    """

    def __init__(self, task: Task) -> None:
        self._rng, self._prior = np.random.default_rng(task.seed), Prior()
        self._floor = GuardRules().exploration_rate
        self._arms = [Arm()] * len(task.variants)

    def choose(self, call: Seen) -> int:
        """Return the variant whose draw is the highest, or, at times, any."""
        if self._rng.random() < self._floor:
            return int(self._rng.integers(len(self._arms)))
        posteriors = np.array([arm.posterior(self._prior) for arm in self._arms])
        return int(self._rng.beta(posteriors[:, 0], posteriors[:, 1]).argmax())

    def learn(self, feedback: Feedback) -> None:
        """Add the reward to its arm."""
        self._arms[feedback.variant] = _learned(self._arms[feedback.variant], feedback)


def _learned(arm: Arm, feedback: Feedback) -> Arm:
    if feedback.revises is None:
        return arm.rewarded(feedback.reward)
    return Arm(arm.pulls, arm.success + (feedback.reward - feedback.revises) / 2.0)
