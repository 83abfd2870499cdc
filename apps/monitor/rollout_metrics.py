"""The metrics of adapters' roll-outs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from prometheus_client import Counter, Gauge


class RolloutMetrics:
    """What happens to adapters, where they stand, and how many are loaded.

    Args:
        counter: Makes a counter of a name, a text and labels.
        gauge: The same for a gauge.
    """

    def __init__(self, counter: Callable[..., Counter], gauge: Callable[..., Gauge]) -> None:
        self._steps = counter(
            "tom_adapter_steps_total", "What this server did in adapters' roll-outs.", "act"
        )
        self._states = gauge("tom_adapters", "Adapters by the state of their roll-out.", "state")
        self._loaded = gauge("tom_adapters_loaded", "Adapters that the language server has loaded.")

    def adapter_stepped(self, what: str) -> None:
        """Count what happened to an adapter."""
        self._steps.labels(what).inc()

    def adapters(self, counts: Mapping[str, int], *, loaded: int) -> None:
        """Show how many adapters are in each state, and how many are loaded."""
        for state, count in counts.items():
            self._states.labels(state).set(count)
        self._loaded.set(loaded)
