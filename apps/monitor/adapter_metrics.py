"""The metrics of routing and of the continuous loop; profiles and routes bound the domains."""

from __future__ import annotations

from apps.monitor.declarations import Declarations

CONFIDENCE_BUCKETS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
ROUTING_BUCKETS_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0)
PHASES = ("heuristic", "likeness", "bandit", "none")


class AdapterMetrics:
    """What becomes of the prompts that are routed to adapters, and of what these learn from.

    Args:
        declare: Makes them.
    """

    def __init__(self, declare: Declarations) -> None:
        self._routes = declare.counter(
            "tom_adapter_routes_total", "Prompts routed, by what decided.", "phase", "domain"
        )
        self._confidence = declare.histogram(
            "tom_adapter_route_confidence", "How sure the route was.", CONFIDENCE_BUCKETS, "phase"
        )
        self._seconds = declare.histogram(
            "tom_adapter_route_seconds", "Time of a routing decision.", ROUTING_BUCKETS_S
        )
        self._updates = declare.counter(
            "tom_adapter_model_updates_total", "Trainings by the continuous loop.", "domain"
        )
        self._successful = declare.counter(
            "tom_adapter_successful_trainings_total",
            "Those of them that made an adapter.",
            "domain",
        )
        self._quality = declare.gauge(
            "tom_adapter_sample_quality",
            "Mean feedback score of the last batch's fresh samples.",
            "domain",
        )
        for phase in PHASES:
            self._confidence.labels(phase)

    def adapter_routed(self, phase: str, domain: str, confidence: float, seconds: float) -> None:
        """Count a routing decision."""
        self._routes.labels(phase, domain).inc()
        self._confidence.labels(phase).observe(confidence)
        self._seconds.observe(seconds)

    def model_update(self, domain: str, successful: bool) -> None:
        """Count a training of the continuous loop."""
        self._updates.labels(domain).inc()
        if successful:
            self._successful.labels(domain).inc()

    def sample_quality(self, domain: str, mean: float) -> None:
        """Note the mean quality of a batch's fresh samples."""
        self._quality.labels(domain).set(mean)
