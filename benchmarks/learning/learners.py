"""What a learner must be able to do to be compared, and the plain ones that it must beat.

Another library's learner is a class of this Protocol in a module of its own; ``Maker`` builds it
anew for each run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Task:
    """What a learner is told before the first call.

    Attributes:
        variants: The variants' ids; learners choose by their index.
        base: Index of the base variant.
        one_hot: Their slot values, shape (variants, slot values); none where they have no slots.
        features: Length of a call's feature vector.
        calls: How many calls there will be. No live system knows that.
        seed: For the learner's own randomness.
        low: The lowest reward that there can be; the highest is 1.
    """

    variants: Sequence[str]
    base: int
    one_hot: Floats
    features: int
    calls: int
    seed: int
    low: float = -1.0


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of a call when its variant is chosen.

    Attributes:
        index: Running number.
        subject: The caller's pseudonymous number.
        features: The context as numbers (``run.features_of``), shape (features,).
        context: The same as a live call tells it; empty where there are no calls.
    """

    index: int
    subject: int
    features: Floats
    context: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Feedback:
    """What comes back.

    Attributes:
        event: Tells events apart; the same call may send several.
        call: What was known of the call.
        variant: The one it had.
        reward: In [-1, 1].
        revises: The reward of the same call told before, which this one takes the place of
            (a late rating); None where it is the first.
    """

    event: str
    call: Seen
    variant: int
    reward: float
    revises: float | None = None


class Learner(Protocol):
    """Chooses variants and learns; it sees nothing but this."""

    def choose(self, call: Seen) -> int:
        """Return the variant's index for a call."""
        ...

    def learn(self, feedback: Feedback) -> None:
        """Take in what came back."""
        ...


Maker = Callable[[Task], Learner]


class Means:
    """Running sums by variant; a revised reward takes its predecessor's place."""

    def __init__(self, variants: int) -> None:
        self.count = np.zeros(variants)
        self.total = np.zeros(variants)

    def add(self, feedback: Feedback) -> None:
        """Count one feedback."""
        if feedback.revises is None:
            self.count[feedback.variant] += 1
        self.total[feedback.variant] += feedback.reward - (feedback.revises or 0.0)

    def best(self) -> int:
        """Return the variant with the highest mean; one never seen comes first."""
        seen = np.where(self.count > 0, self.total / np.maximum(self.count, 1), np.inf)
        return int(seen.argmax())


class Uniform:
    """Every variant with the same probability, for ever."""

    def __init__(self, task: Task) -> None:
        self._variants, self._rng = len(task.variants), np.random.default_rng(task.seed)

    def choose(self, call: Seen) -> int:
        """Return any variant."""
        return int(self._rng.integers(self._variants))

    def learn(self, feedback: Feedback) -> None:
        """Learn nothing."""


class EpsilonGreedy:
    """The best so far, and one time in ten any."""

    def __init__(self, task: Task, epsilon: float = 0.1) -> None:
        self._epsilon, self._rng = epsilon, np.random.default_rng(task.seed)
        self._means = Means(len(task.variants))

    def choose(self, call: Seen) -> int:
        """Return the best variant, or any."""
        if self._rng.random() < self._epsilon:
            return int(self._rng.integers(len(self._means.count)))
        return self._means.best()

    def learn(self, feedback: Feedback) -> None:
        """Count the reward."""
        self._means.add(feedback)


class TestThenCommit:
    """An A/B test: evenly for a while, then the best one for ever."""

    def __init__(self, task: Task, share: float = 0.2) -> None:
        self._until = int(share * task.calls)
        self._means, self._committed = Means(len(task.variants)), -1

    def choose(self, call: Seen) -> int:
        """Return the next variant in turn, or the winner."""
        if call.index < self._until:
            return call.index % len(self._means.count)
        if self._committed < 0:
            self._committed = self._means.best()
        return self._committed

    def learn(self, feedback: Feedback) -> None:
        """Count the reward."""
        self._means.add(feedback)
