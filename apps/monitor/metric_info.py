"""What a metric is before anything is observed: its names, its labels, its buckets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Stage = Literal["endpoint", "stt", "retrieve", "generate", "speak", "playout", "total"]
"""Where a turn's time goes, in order; ``total`` is caller's last sound to assistant's first."""

STAGES: tuple[Stage, ...] = get_args(Stage)

SPECULATION_OUTCOMES = ("used", "went_on", "other_words", "interrupted", "failed", "ended")
"""What becomes of an answer that was begun early: it is used, or why it was thrown away."""

FIGURES = (
    *("number", "time", "date", "money", "phone", "email", "web", "account", "plate", "address"),
    *("section", "leak", "coaxed", "withheld"),
)
"""What of an answer is not said: a figure that stands in no source, or part of the prompt."""

TURN_BUCKETS_S = (
    *(0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.75, 0.9),
    *(1.2, 1.5, 2.0, 3.0, 5.0),
)
"""Fine below the 0.9 s that a spoken answer may take, coarse where it is too late anyway."""

REWARD_BUCKETS = (-1.0, -0.8, -0.6, -0.4, -0.2, 0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""Over the reward's range; -0.2 (the blacklist's threshold) and 0 are edges, so both are exact."""

RATING_BUCKETS = (1.0, 2.0, 3.0, 4.0, 5.0)
PROPENSITY_BUCKETS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 1.0)
LAG_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.15, 0.3, 0.6, 1.0, 2.5)
"""20 ms is one audio frame, 80 ms four: the edges at which a caller starts to hear it."""


@dataclass(frozen=True, slots=True)
class MetricInfo:
    """What is known about a metric without a single observation.

    Attributes:
        name: As it is exposed; a histogram's series add ``_bucket``, ``_sum`` and ``_count``.
        kind: ``counter``, ``gauge`` or ``histogram``.
        help: What it measures.
        labels: The label names, in order.
        buckets: A histogram's upper bounds.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...]
    buckets: tuple[float, ...] = ()

    @property
    def series(self) -> tuple[str, ...]:
        """Return the names under which PromQL finds it.

        A histogram that takes negative values has no ``_sum``: it could fall, and PromQL would
        take that for a restart.
        """
        if self.kind != "histogram":
            return (self.name,)
        sums = () if self.buckets[0] < 0 else (f"{self.name}_sum",)
        return (f"{self.name}_bucket", *sums, f"{self.name}_count")
