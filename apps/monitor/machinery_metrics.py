"""The metrics of what calls run on: engines, the event loop, the event log."""

from __future__ import annotations

from collections.abc import Callable

from apps.monitor.declarations import Declarations
from apps.monitor.metric_info import LAG_BUCKETS_S


class MachineryMetrics:
    """How the server itself fares."""

    def _declare_machinery(self, declare: Declarations) -> None:
        self._engine_up = declare.gauge(
            "tom_engine_up",
            "1 while an engine serves its role, 0 while it cannot.",
            "role",
            "engine",
        )
        self._engine_restarts = declare.counter(
            "tom_engine_restarts_total", "Engine processes restarted.", "engine"
        )
        self._fallbacks = declare.counter(
            "tom_fallbacks_total", "Answers that another engine than the chosen one gave.", "role"
        )
        self._lag = declare.histogram(
            "tom_event_loop_lag_seconds",
            "How much later than due the event loop woke a task.",
            LAG_BUCKETS_S,
        )
        self._lag_peak = declare.gauge(
            "tom_event_loop_lag_peak_seconds", "The longest such delay of the last 15 seconds."
        )
        self._late_events = declare.counter(
            "tom_late_events_dropped_total", "Events of a cancelled turn that came too late."
        )
        self._illegal_events = declare.counter(
            "tom_illegal_events_total", "Events that a call's state did not allow."
        )
        self._log_overflow = declare.counter(
            "tom_event_log_overflow_total", "Call-log records lost because the writer lagged."
        )

    def watch_engine(self, role: str, engine: str, serves: Callable[[], bool]) -> None:
        """Ask at every scrape whether an engine serves its role (``stt.en``, ``llm``, ...).

        Args:
            role: What it is for.
            engine: Its name.
            serves: Called from any thread; must not block.
        """
        self._engine_up.labels(role, engine).set_function(lambda: float(serves()))
        self._engine_restarts.labels(engine)

    def engine_restarted(self, engine: str) -> None:
        """Count an engine process that had to be restarted."""
        self._engine_restarts.labels(engine).inc()

    def fell_back(self, role: str) -> None:
        """Count an answer that the engine of second choice gave."""
        self._fallbacks.labels(role).inc()

    def loop_lag(self, lag_s: float, peak_s: float) -> None:
        """Observe the event loop's lag, and the peak of the last seconds (see ``lag.py``)."""
        self._lag.observe(lag_s)
        self._lag_peak.set(peak_s)

    def late_event_dropped(self) -> None:
        """Count an event of a cancelled turn."""
        self._late_events.inc()

    def illegal_event(self) -> None:
        """Count an event that did not fit its call's state."""
        self._illegal_events.inc()

    def log_overflowed(self, records: int = 1) -> None:
        """Count call-log records that were lost."""
        self._log_overflow.inc(records)
