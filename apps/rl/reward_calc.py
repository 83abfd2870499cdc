"""The reward of a call, r in [-1, 1], from its signals.

The formula::

    0.6 * resolution
    + 0.2 * (rating - 3) / 2
    - 0.1 * min(barge_ins, 3) / 3
    - 0.1 * min(repeats, 3) / 3
    - 0.1 * handover
    + clamp((180 - duration) / 180, -0.2, 0.2)

A signal that is not known leaves its term out, and is named as missing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from apps.core.errors import InvalidFeedback
from apps.rl.signals import Signals, check_signals


@dataclass(frozen=True, slots=True)
class RewardWeights:
    """The formula's constants.

    Attributes:
        resolution: Gain of a settled matter.
        rating: Gain of five stars, loss of one star.
        barge_ins: Loss of ``most_counted`` barge-ins or more.
        repeats: The same for repeated questions.
        handover: Loss of a handover.
        duration: Most that the length can give or take.
        target_s: The length that gives and takes nothing.
        most_counted: From here on one more makes no difference.
    """

    resolution: float = 0.6
    rating: float = 0.2
    barge_ins: float = 0.1
    repeats: float = 0.1
    handover: float = 0.1
    duration: float = 0.2
    target_s: float = 180.0
    most_counted: int = 3

    def __post_init__(self) -> None:
        """Refuse constants that cannot be.

        Raises:
            InvalidFeedback: One is negative or not finite, or a divisor is zero.
        """
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            divides = name in ("target_s", "most_counted")
            if not math.isfinite(value) or value < 0 or (divides and value == 0):
                raise InvalidFeedback(f"The reward's weight {name} cannot be {value}.")


@dataclass(frozen=True, slots=True)
class Reward:
    """A reward and how it came about.

    Attributes:
        value: The sum of the components, clamped to [-1, 1].
        components: Each term that was known, by its signal's name.
        missing: The signals that were not known, in the formula's order.
    """

    value: float
    components: Mapping[str, float]
    missing: tuple[str, ...]


class RewardCalculator:
    """Turns signals into rewards.

    Args:
        weights: The formula's constants; the formula's own by default.
    """

    def __init__(self, weights: RewardWeights | None = None) -> None:
        self.weights = weights or RewardWeights()

    def calculate(self, signals: Signals | Mapping[str, object]) -> Reward:
        """Return the reward with its components.

        Args:
            signals: Checked signals, or a mapping with their names.

        Raises:
            InvalidFeedback: A signal is unknown or impossible; it is named.
        """
        checked = signals if isinstance(signals, Signals) else check_signals(signals)
        terms = self._terms(checked)
        components = {name: term + 0.0 for name, term in terms.items() if term is not None}
        missing = tuple(name for name, term in terms.items() if term is None)
        return Reward(_clamp(math.fsum(components.values()), 1.0), components, missing)

    def _terms(self, signals: Signals) -> dict[str, float | None]:
        w = self.weights

        def counted(count: int | None, weight: float) -> float | None:
            return None if count is None else -weight * min(count, w.most_counted) / w.most_counted

        resolution, rating = signals.resolution, signals.user_rating
        handover, duration_s = signals.handover, signals.duration_sec
        return {
            "resolution": None if resolution is None else w.resolution * resolution,
            "user_rating": None if rating is None else w.rating * (rating - 3) / 2,
            "barge_in_count": counted(signals.barge_in_count, w.barge_ins),
            "repeats": counted(signals.repeats, w.repeats),
            "handover": None if handover is None else -w.handover * handover,
            "duration_sec": None
            if duration_s is None
            else _clamp((w.target_s - duration_s) / w.target_s, w.duration),
        }


def calc_reward(signals: Signals | Mapping[str, object]) -> float:
    """Return the reward of a call, in [-1, 1], with the default weights.

    Raises:
        InvalidFeedback: A signal is unknown or impossible; it is named.
    """
    return RewardCalculator().calculate(signals).value


def _clamp(value: float, limit: float) -> float:
    return max(-limit, min(limit, value)) + 0.0  # + 0.0: no negative zero
