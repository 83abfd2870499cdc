"""What every kind of policy is: a value that learns by becoming another one.

A policy holds its settings and what it knows. ``learned`` returns what it is after one more
outcome; nothing else changes it, so that folding on and rebuilding from the store are the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from apps.rl.policies.monitor import Monitor

Floats = NDArray[np.float64]
Context = Mapping[str, object]
Slots = Mapping[str, Mapping[str, str]]
"""Variants' slot values: by variant, by slot."""


class OtherSettings(Exception):
    """What is to be read was learned by a policy of another kind or with other settings."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A call's reward, or another reward in the place of one that was learned before.

    Attributes:
        variant: The call's.
        reward: In [-1, 1].
        context: What was known of the call at its end; see features.py.
        revises: The reward that was learned for the same call before; None for the first one.
        age: Of a revision: how many rewards were counted after that one.
    """

    variant: str
    reward: float
    context: Context = field(default_factory=dict)
    revises: float | None = None
    age: int = 0


@dataclass(frozen=True, slots=True)
class Estimate:
    """Where a variant's true mean reward lies, over the contexts seen.

    Attributes:
        mean: The posterior's, in [-1, 1].
        low: Lower end of the 95 % credible interval.
        high: Its upper end.
    """

    mean: float
    low: float
    high: float


class Policy(Protocol):
    """Learns rewards, and says which variant to try next."""

    @property
    def kind(self) -> str:
        """Return its name in the settings."""
        ...

    @property
    def monitor(self) -> Monitor:
        """Return what looks for changes."""
        ...

    @property
    def stale(self) -> bool:
        """Return whether it has learned by other slots than it knows now: start anew, then."""
        ...

    def knowing(self, slots: Slots) -> Self:
        """Return the same policy, told what the variants set."""
        ...

    def learned(self, outcome: Outcome) -> Self:
        """Return the policy after one more outcome."""
        ...

    def scores(self, names: Sequence[str], context: Context, rng: np.random.Generator) -> Floats:
        """Return a score of each named variant; the highest one is to be chosen.

        Args:
            names: At least one.
            context: What is known of the call; what is not known is neutral.
            rng: Source of randomness.
        """
        ...

    def chances(self, names: Sequence[str], context: Context) -> Floats:
        """Return the probability of each named variant to have the highest score."""
        ...

    def estimate(self, name: str) -> Estimate:
        """Return where a variant's true mean reward lies."""
        ...

    def to_json(self) -> dict[str, Any]:
        """Return what it knows, exactly; and by which settings it was learned."""
        ...

    def from_json(self, data: Mapping[str, Any]) -> Self:
        """Return a policy of these settings that knows what another one had written.

        Raises:
            OtherSettings: It was of another kind or other settings.
            ValueError: It cannot be.
            KeyError: Something is missing.
            TypeError: Something is of another type.
        """
        ...


def discount_of(half_life: float | None) -> float:
    """Return the weight by which everything earlier counts less after one more reward.

    Args:
        half_life: Rewards after which one counts half; None forgets nothing.
    """
    return 1.0 if half_life is None else float(0.5 ** (1.0 / half_life))
