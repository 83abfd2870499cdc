"""How fast somebody sends, for whoever bounds it; pure, the time is passed in."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class TokenBucket:
    """So much at once, and so much over time.

    Args:
        per_ms: How fast it fills.
        burst: How much it holds; it begins full.
        at_ms: When it was last looked at.
    """

    per_ms: float
    burst: float
    at_ms: float = 0.0
    left: float = field(init=False)

    def __post_init__(self) -> None:
        """Fill it."""
        self.left = self.burst

    def take(self, now_ms: float, cost: float = 1.0) -> bool:
        """Take one, or as many as something costs; False when there are not so many."""
        passed_ms, self.at_ms = max(0.0, now_ms - self.at_ms), now_ms
        self.left = min(self.burst, self.left + passed_ms * self.per_ms)
        if self.left < cost:
            return False
        self.left -= cost
        return True

    @property
    def wait_ms(self) -> float:
        """How long it is, since it was last looked at, until there is one."""
        return max(0.0, 1.0 - self.left) / self.per_ms


@dataclass(slots=True)
class Lead:
    """How much more audio came than time has passed."""

    _until_ms: float = 0.0

    def ms(self, now_ms: float) -> float:
        """Return how far it is ahead of real time."""
        return max(0.0, self._until_ms - now_ms)

    def add(self, length_ms: float, now_ms: float) -> None:
        """Count audio that came."""
        self._until_ms = max(self._until_ms, now_ms) + length_ms
