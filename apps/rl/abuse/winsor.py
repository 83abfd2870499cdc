"""Winsorising: a reward far away from what is usual for its variant counts as one less far away."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

_NORMAL = 1.4826
"""Median absolute deviation of a normal distribution to its standard deviation."""
LEAST_SCALE = 0.1
"""Rewards that hardly differ say little about how far another one may lie."""


def centre_and_scale(rewards: Sequence[float]) -> tuple[float, float]:
    """Return the median, and the standard deviation by the median absolute deviation from it.

    Of what comes in, less than half can be false without moving either at will.

    Args:
        rewards: At least one.
    """
    centre = median(rewards)
    spread = _NORMAL * median(abs(reward - centre) for reward in rewards)
    return centre, max(spread, LEAST_SCALE)


def winsorised(reward: float, latest: Sequence[float], deviations: float, least: int) -> float:
    """Return the reward as it counts.

    Args:
        reward: In [-1, 1].
        latest: The variant's latest rewards, as they count.
        deviations: How many robust standard deviations it may lie from their median; 0 for any.
        least: Fewer rewards than this say nothing, and cut nothing.
    """
    if deviations == 0.0 or len(latest) < least:
        return reward
    centre, scale = centre_and_scale(latest)
    reach = deviations * scale
    return min(max(reward, centre - reach), centre + reach)
