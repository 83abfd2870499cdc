"""The metrics of calls: how many, how fast, and what happened in them."""

from __future__ import annotations

from collections.abc import Iterable

from apps.monitor.declarations import Declarations
from apps.monitor.metric_info import (
    FIGURES,
    SPECULATION_OUTCOMES,
    STAGES,
    TURN_BUCKETS_S,
    Stage,
)


class CallMetrics:
    """What callers get."""

    def _declare_calls(self, declare: Declarations) -> None:
        self._live_calls = declare.gauge("tom_live_calls", "Calls going on now.")
        self._door_calls = declare.gauge("tom_door_calls", "Calls going on now, by door.", "door")
        self._calls = declare.counter("tom_calls_total", "Calls that ended.", "door", "reason")
        self._refused = declare.counter(
            "tom_calls_refused_total", "Calls that were not taken.", "door", "reason"
        )
        self._turn_latency = declare.histogram(
            "tom_turn_latency_seconds",
            "Time of a turn by stage, from the caller's last sound to the assistant's first.",
            TURN_BUCKETS_S,
            "stage",
        )
        self._questions = declare.counter(
            "tom_questions_total", "Questions looked up in the knowledge base.", "covered"
        )
        self._violations = declare.counter(
            "tom_grounding_violations_total",
            "Figures of a generator that stood in no source; none was spoken.",
            "kind",
        )
        self._barge_ins = declare.counter(
            "tom_barge_ins_total", "Times that a caller talked over the assistant."
        )
        self._no_input = declare.counter(
            "tom_no_input_total", "Times that a silent caller was asked again."
        )
        self._handovers = declare.counter("tom_handovers_total", "Calls handed over to a person.")
        self._speculations = declare.counter(
            "tom_speculations_total",
            "Answers begun before the caller had surely finished, by what became of them.",
            "outcome",
        )
        self._won = declare.histogram(
            "tom_speculation_won_seconds",
            "Time that a used one spared its caller.",
            TURN_BUCKETS_S,
        )
        self._outgoing = declare.counter(
            "tom_outgoing_attempts_total",
            "Attempts at outgoing calls, by what became of them.",
            "outcome",
        )
        self._fillers = declare.counter(
            "tom_fillers_total", "Times that a caller was asked for a moment's patience."
        )
        for stage in STAGES:
            self._turn_latency.labels(stage)
        for covered in ("yes", "no"):
            self._questions.labels(covered)
        for kind in FIGURES:
            self._violations.labels(kind)
        for outcome in SPECULATION_OUTCOMES:
            self._speculations.labels(outcome)

    def know_calls(
        self, *, doors: Iterable[str], ends: Iterable[str], refusals: Iterable[str]
    ) -> None:
        """Begin the series of every door and reason at 0, for the same cause."""
        reasons = {self._calls: list(ends), self._refused: list(refusals)}
        for door in doors:
            self._door_calls.labels(door)
            for counter, known in reasons.items():
                for reason in known:
                    counter.labels(door, reason)

    def call_started(self, door: str) -> None:
        """Count a call in, by the door it comes through."""
        self._live_calls.inc()
        self._door_calls.labels(door).inc()

    def call_ended(self, door: str, reason: str) -> None:
        """Count a call out, by the door it came through and why it ended."""
        self._live_calls.dec()
        self._door_calls.labels(door).dec()
        self._calls.labels(door, reason).inc()

    def call_refused(self, door: str, reason: str) -> None:
        """Count a call that was not taken, e.g. ``busy`` or ``too_many_calls``."""
        self._refused.labels(door, reason).inc()

    def know_outgoing(self, results: Iterable[str]) -> None:
        """Begin the series of every result of an outgoing call at 0."""
        for result in results:
            self._outgoing.labels(result)

    def outgoing_attempt(self, result: str) -> None:
        """Count an attempt at an outgoing call, by what became of it or why it was refused."""
        self._outgoing.labels(result).inc()

    def turn_stage(self, stage: Stage, ms: float) -> None:
        """Observe how long a stage of a turn took, in milliseconds."""
        self._turn_latency.labels(stage).observe(ms / 1000.0)

    def question_asked(self, *, covered: bool) -> None:
        """Count a question, and whether the knowledge base covers it."""
        self._questions.labels("yes" if covered else "no").inc()

    def grounding_violation(self, kind: str) -> None:
        """Count a figure that stood in no source, and was not spoken: one of `FIGURES`."""
        self._violations.labels(kind).inc()

    def barge_in(self) -> None:
        """Count a caller who talked over the assistant."""
        self._barge_ins.inc()

    def no_input(self) -> None:
        """Count a prompt to a silent caller."""
        self._no_input.inc()

    def handover(self) -> None:
        """Count a call handed over to a person."""
        self._handovers.inc()

    def speculation_used(self, won_ms: float) -> None:
        """Count an answer begun early that was used, and the milliseconds that it won."""
        self._speculations.labels("used").inc()
        self._won.observe(max(won_ms, 0.0) / 1000.0)

    def speculation_wasted(self, why: str) -> None:
        """Count one that was thrown away, and why: one of `SPECULATION_OUTCOMES`."""
        self._speculations.labels(why).inc()

    def filler(self) -> None:
        """Count a caller who was asked for a moment's patience."""
        self._fillers.inc()
