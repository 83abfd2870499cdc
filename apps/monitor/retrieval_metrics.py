"""The metrics of looking things up."""

from __future__ import annotations

from collections.abc import Mapping

from apps.monitor.declarations import Declarations

RETRIEVAL_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0)
OUTCOMES = ("none", "complete", "words_alone", "vector_alone", "late", "failed")
STAGES = ("meaning", "entries", "words", "vector", "load", "second", "total")


class RetrievalMetrics:
    """How long looking things up takes, and how often not all of it came in time.

    Args:
        declare: Makes them.
    """

    def __init__(self, declare: Declarations) -> None:
        self._retrievals = declare.counter(
            "tom_retrievals_total", "Retrievals, by how much came in time.", "outcome"
        )
        self._seconds = declare.histogram(
            "tom_retrieval_seconds", "Time of a retrieval by stage.", RETRIEVAL_BUCKETS_S, "stage"
        )
        self._lost = declare.counter(
            "tom_retrieval_log_lost_total", "Retrievals that could not be logged."
        )
        for outcome in OUTCOMES:
            self._retrievals.labels(outcome)
        for stage in STAGES:
            self._seconds.labels(stage)

    def retrieved(self, outcome: str, ms: Mapping[str, float]) -> None:
        """Count a retrieval, with each stage's time in milliseconds."""
        if outcome in OUTCOMES:
            self._retrievals.labels(outcome).inc()
        for stage in STAGES:
            if stage in ms:
                self._seconds.labels(stage).observe(ms[stage] / 1000)

    def not_logged(self, count: int) -> None:
        """Count retrievals that are in no log."""
        self._lost.inc(count)
