"""What a rehearsal has come to, beside the truth that only the simulator knows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass
class Tally:
    """Counts of simulated calls.

    Attributes:
        calls: People's calls by variant.
        held: Feedback events that do not count, by reason.
        acts: What the guard did by itself, by act.
        value: Each person's call's expected reward, of its segment at its moment.
        best: The same with the variant that is best for them.
    """

    calls: Counter[str] = field(default_factory=Counter)
    held: Counter[str] = field(default_factory=Counter)
    acts: Counter[str] = field(default_factory=Counter)
    value: list[float] = field(default_factory=list)
    best: list[float] = field(default_factory=list)

    def add(self, variant: str, value: float, best: float) -> None:
        """Count a person's call."""
        self.calls[variant] += 1
        self.value.append(value)
        self.best.append(best)

    @property
    def regret(self) -> float:
        """Return the cumulative expected reward that the best variants would have had more."""
        return sum(self.best) - sum(self.value)

    def by_part(self, parts: int = 4) -> list[float]:
        """Return the mean expected reward in each part of the run, in order."""
        pieces: list[NDArray[np.float64]] = np.array_split(np.asarray(self.value), parts)
        return [float(piece.mean()) for piece in pieces if len(piece)]
