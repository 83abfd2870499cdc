"""Declares metrics, and remembers what was declared: for the documents, and for the tests."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from apps.monitor.metric_info import MetricInfo


class Declarations:
    """The metrics of one registry.

    Attributes:
        registry: Where they are.
        declared: What is known about each, in their order.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.declared: list[MetricInfo] = []

    def counter(self, name: str, text: str, *labels: str) -> Counter:
        """Return a new counter with these labels."""
        self.declared.append(MetricInfo(name, "counter", text, labels))
        return Counter(name, text, labels, registry=self.registry)

    def gauge(self, name: str, text: str, *labels: str) -> Gauge:
        """Return a new gauge with these labels."""
        self.declared.append(MetricInfo(name, "gauge", text, labels))
        return Gauge(name, text, labels, registry=self.registry)

    def histogram(
        self, name: str, text: str, buckets: tuple[float, ...], *labels: str
    ) -> Histogram:
        """Return a new histogram with these upper bounds and labels."""
        self.declared.append(MetricInfo(name, "histogram", text, labels, buckets))
        return Histogram(name, text, labels, buckets=buckets, registry=self.registry)
