"""The metrics of adapters' roll-outs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from apps.monitor.declarations import Declarations


class RolloutMetrics:
    """What happens to adapters, where they stand, and how many are loaded.

    Args:
        declare: Makes them.
    """

    def __init__(self, declare: Declarations) -> None:
        self._steps = declare.counter(
            "tom_adapter_steps_total", "What this server did in adapters' roll-outs.", "act"
        )
        self._states = declare.gauge(
            "tom_adapters", "Adapters by the state of their roll-out.", "state"
        )
        self._loaded = declare.gauge(
            "tom_adapters_loaded", "Adapters that the language server has loaded."
        )

    def know_steps(self, acts: Iterable[str]) -> None:
        """Show what can happen as 0 before it does, or no alert could see it happen first."""
        for act in acts:
            self._steps.labels(act)

    def adapter_stepped(self, what: str) -> None:
        """Count what happened to an adapter."""
        self._steps.labels(what).inc()

    def adapters(self, counts: Mapping[str, int], *, loaded: int) -> None:
        """Show how many adapters are in each state, and how many are loaded."""
        for state, count in counts.items():
            self._states.labels(state).set(count)
        self._loaded.set(loaded)
