"""Every metric of TOM, with its labels and buckets; docs/metrics.md describes them for operators.

Labels are bounded: a policy variant (the variants' file bounds them), a stage, an engine, a role,
a door, a reason. An id, a number or a word that somebody said is never a label.

Names that start with ``rl_`` are seed 004's. Two of its gauges end in ``_total``, which OpenMetrics
keeps for counters; hence the exposition is always Prometheus' own text format.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from apps.monitor.adapter_metrics import AdapterMetrics
from apps.monitor.llm_metrics import LlmMetrics
from apps.monitor.metric_info import (
    FIGURES,
    LAG_BUCKETS_S,
    PROPENSITY_BUCKETS,
    RATING_BUCKETS,
    REWARD_BUCKETS,
    SPECULATION_OUTCOMES,
    STAGES,
    TURN_BUCKETS_S,
    MetricInfo,
    Stage,
)
from apps.monitor.retrieval_metrics import RetrievalMetrics
from apps.monitor.rollout_metrics import RolloutMetrics

# A *_created series beside every counter and histogram says nothing that anybody asks for here.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library leaves it untyped


class Metrics:
    """The metrics of one server, in a registry of their own.

    Every method may be called from any thread, and none raises for a value that it is given.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.declared: list[MetricInfo] = []
        self._declare_learning()
        self._declare_calls()
        self._declare_machinery()
        self.llm = LlmMetrics(self._counter, self._gauge, self._histogram)
        self.adapters = AdapterMetrics(self._counter, self._gauge, self._histogram)
        self.rollout = RolloutMetrics(self._counter, self._gauge)
        self.retrieval = RetrievalMetrics(self._counter, self._histogram)
        ProcessCollector(registry=self.registry)
        for stage in STAGES:
            self._turn_latency.labels(stage)
        for covered in ("yes", "no"):
            self._questions.labels(covered)
        for kind in FIGURES:
            self._violations.labels(kind)
        for outcome in SPECULATION_OUTCOMES:
            self._speculations.labels(outcome)

    def _declare_learning(self) -> None:
        self._feedback = self._counter(
            "rl_feedback_total", "Feedback events stored.", "policy_variant"
        )
        self._reward = self._histogram(
            "rl_reward_distribution", "Rewards of ended calls.", REWARD_BUCKETS, "policy_variant"
        )
        # Rewards may be negative, so their sum may fall, which no counter may: hence two sums.
        self._reward_gained = self._counter(
            "rl_reward_gained_total", "Sum of the positive rewards.", "policy_variant"
        )
        self._reward_lost = self._counter(
            "rl_reward_lost_total", "Sum of the negative rewards, sign dropped.", "policy_variant"
        )
        self._rating = self._histogram(
            "rl_user_rating_distribution",
            "Ratings that callers gave, 1 to 5.",
            RATING_BUCKETS,
            "policy_variant",
        )
        self._pulls = self._counter(
            "rl_policy_pulls_total", "Calls for which a variant was chosen.", "policy_variant"
        )
        self._success_rate = self._gauge(
            "rl_policy_success_rate",
            "Mean of a variant's posterior, alpha / (alpha + beta).",
            "policy_variant",
        )
        self._exploration = self._gauge(
            "rl_bandit_exploration_rate",
            "Share of choices that do not go to the variant with the best posterior mean.",
        )
        self._active = self._gauge("rl_active_variants_total", "Variants that calls may get.")
        self._blacklisted = self._gauge(
            "rl_blacklisted_variants_total", "Variants that no call gets any more."
        )
        self._guard_acts = self._counter(
            "rl_guard_acts_total", "What the deploy guard did by itself.", "act"
        )
        self._stages = self._gauge("rl_variants", "Variants by the stage of their life.", "stage")
        self._guard_alarm = self._gauge(
            "rl_guard_alarm", "1 while the base variant serves alone, or an alarm stands.", "alarm"
        )
        self._ratings_missing = self._counter(
            "tom_ratings_missing_total", "Rewarded calls without a rating.", "policy_variant"
        )
        self._feedback_held = self._counter(
            "rl_feedback_held_total", "Feedback events that do not count, by reason.", "reason"
        )
        self._ratings_late = self._counter(
            "tom_ratings_late_total", "Ratings that came after their call's end.", "policy_variant"
        )
        self._shadow = self._counter(
            "rl_shadow_answers_total", "Answers made in the shadow and never played.", "outcome"
        )
        self._propensity = self._histogram(
            "tom_choice_propensity",
            "Probability, after the guard, with which the chosen variant was chosen.",
            PROPENSITY_BUCKETS,
        )

    def _declare_calls(self) -> None:
        self._live_calls = self._gauge("tom_live_calls", "Calls going on now.")
        self._door_calls = self._gauge("tom_door_calls", "Calls going on now, by door.", "door")
        self._calls = self._counter("tom_calls_total", "Calls that ended.", "door", "reason")
        self._refused = self._counter(
            "tom_calls_refused_total", "Calls that were not taken.", "door", "reason"
        )
        self._turn_latency = self._histogram(
            "tom_turn_latency_seconds",
            "Time of a turn by stage, from the caller's last sound to the assistant's first.",
            TURN_BUCKETS_S,
            "stage",
        )
        self._questions = self._counter(
            "tom_questions_total", "Questions looked up in the knowledge base.", "covered"
        )
        self._violations = self._counter(
            "tom_grounding_violations_total",
            "Figures of a generator that stood in no source; none was spoken.",
            "kind",
        )
        self._barge_ins = self._counter(
            "tom_barge_ins_total", "Times that a caller talked over the assistant."
        )
        self._no_input = self._counter(
            "tom_no_input_total", "Times that a silent caller was asked again."
        )
        self._handovers = self._counter("tom_handovers_total", "Calls handed over to a person.")
        self._speculations = self._counter(
            "tom_speculations_total",
            "Answers begun before the caller had surely finished, by what became of them.",
            "outcome",
        )
        self._won = self._histogram(
            "tom_speculation_won_seconds",
            "Time that a used one spared its caller.",
            TURN_BUCKETS_S,
        )
        self._outgoing = self._counter(
            "tom_outgoing_attempts_total",
            "Attempts at outgoing calls, by what became of them.",
            "outcome",
        )
        self._fillers = self._counter(
            "tom_fillers_total", "Times that a caller was asked for a moment's patience."
        )

    def _declare_machinery(self) -> None:
        self._engine_up = self._gauge(
            "tom_engine_up",
            "1 while an engine serves its role, 0 while it cannot.",
            "role",
            "engine",
        )
        self._engine_restarts = self._counter(
            "tom_engine_restarts_total", "Engine processes restarted.", "engine"
        )
        self._fallbacks = self._counter(
            "tom_fallbacks_total", "Answers that another engine than the chosen one gave.", "role"
        )
        self._lag = self._histogram(
            "tom_event_loop_lag_seconds",
            "How much later than due the event loop woke a task.",
            LAG_BUCKETS_S,
        )
        self._lag_peak = self._gauge(
            "tom_event_loop_lag_peak_seconds", "The longest such delay of the last 15 seconds."
        )
        self._late_events = self._counter(
            "tom_late_events_dropped_total", "Events of a cancelled turn that came too late."
        )
        self._illegal_events = self._counter(
            "tom_illegal_events_total", "Events that a call's state did not allow."
        )
        self._log_overflow = self._counter(
            "tom_event_log_overflow_total", "Call-log records lost because the writer lagged."
        )

    # --- learning

    def know_variants(self, policy_variants: Iterable[str]) -> None:
        """Begin every variant's series at 0: PromQL cannot see a step that starts a series."""
        for variant in policy_variants:
            for metric in (self._feedback, self._pulls, self._ratings_missing, self._rating):
                metric.labels(variant)
            for metric in (self._reward, self._reward_gained, self._reward_lost):
                metric.labels(variant)
            self._ratings_late.labels(variant)

    def feedback_stored(self, policy_variant: str) -> None:
        """Count a feedback event."""
        self._feedback.labels(policy_variant).inc()

    def rewarded(self, policy_variant: str, reward: float, rating: int | None) -> None:
        """Observe an ended call's reward, and its rating or that there is none."""
        self._reward.labels(policy_variant).observe(reward)
        self._reward_gained.labels(policy_variant).inc(max(reward, 0.0))
        self._reward_lost.labels(policy_variant).inc(max(-reward, 0.0))
        if rating is None:
            self._ratings_missing.labels(policy_variant).inc()
        else:
            self.rated(policy_variant, rating)

    def feedback_held(self, reason: str) -> None:
        """Count a feedback event that does not count for the policies."""
        self._feedback_held.labels(reason).inc()

    def shadow_answered(self, passed: bool) -> None:
        """Count an answer that was made in the shadow."""
        self._shadow.labels("passed" if passed else "failed").inc()

    def rated_late(self, policy_variant: str, rating: int) -> None:
        """Observe a rating of a call whose reward was observed without one."""
        self._ratings_late.labels(policy_variant).inc()
        self.rated(policy_variant, rating)

    def rated(self, policy_variant: str, rating: int) -> None:
        """Observe a caller's rating, 1 to 5."""
        self._rating.labels(policy_variant).observe(rating)

    def policy_chosen(self, policy_variant: str, propensity: float) -> None:
        """Count a choice, and observe the probability with which it was made."""
        self._pulls.labels(policy_variant).inc()
        self._propensity.observe(propensity)

    def success_rate(self, policy_variant: str, rate: float) -> None:
        """Set the mean of a variant's posterior."""
        self._success_rate.labels(policy_variant).set(rate)

    def exploration_rate(self, rate: float) -> None:
        """Set the share of choices that explore."""
        self._exploration.set(rate)

    def variants(self, *, active: int, blacklisted: int) -> None:
        """Set how many variants calls may get, and how many they may not."""
        self._active.set(active)
        self._blacklisted.set(blacklisted)

    def know_acts(self, acts: Iterable[str]) -> None:
        """Begin the series of every act of the deploy guard at 0."""
        for act in acts:
            self._guard_acts.labels(act)

    def guard_acted(self, act: str) -> None:
        """Count what the deploy guard did by itself."""
        self._guard_acts.labels(act).inc()

    def stages(self, counts: Mapping[str, int]) -> None:
        """Set how many variants are in each stage."""
        for stage, count in counts.items():
            self._stages.labels(stage).set(count)

    def alarms(self, standing: Mapping[str, bool]) -> None:
        """Set for each of the guard's alarms whether it stands."""
        for alarm, stands in standing.items():
            self._guard_alarm.labels(alarm).set(stands)

    # --- calls

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

    # --- machinery

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

    # --- reading

    def exposition(self) -> tuple[bytes, str]:
        """Return everything in Prometheus' text format, and its content type."""
        return generate_latest(self.registry), CONTENT_TYPE_PLAIN_0_0_4

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        self.declared.append(MetricInfo(name, "counter", text, labels))
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        self.declared.append(MetricInfo(name, "gauge", text, labels))
        return Gauge(name, text, labels, registry=self.registry)

    def _histogram(
        self, name: str, text: str, buckets: tuple[float, ...], *labels: str
    ) -> Histogram:
        self.declared.append(MetricInfo(name, "histogram", text, labels, buckets))
        return Histogram(name, text, labels, buckets=buckets, registry=self.registry)


@cache
def default_metrics() -> Metrics:
    """Return the process's own metrics: what the server serves and the functions below change."""
    return Metrics()


def record_feedback(policy_variant: str) -> None:
    """Count a feedback event in the process's own metrics."""
    default_metrics().feedback_stored(policy_variant)


def record_reward(policy_variant: str, reward: float, rating: int | None = None) -> None:
    """Observe a reward, and its rating or that there is none, in the process's own metrics."""
    default_metrics().rewarded(policy_variant, reward, rating)


def record_policy_pull(policy_variant: str, propensity: float = 1.0) -> None:
    """Count a choice of a variant in the process's own metrics."""
    default_metrics().policy_chosen(policy_variant, propensity)


def update_policy_success_rate(policy_variant: str, rate: float) -> None:
    """Set a variant's success rate in the process's own metrics."""
    default_metrics().success_rate(policy_variant, rate)


def update_exploration_rate(rate: float) -> None:
    """Set the exploration rate in the process's own metrics."""
    default_metrics().exploration_rate(rate)


def update_variant_counts(*, active: int, blacklisted: int) -> None:
    """Set how many variants are active and blacklisted in the process's own metrics."""
    default_metrics().variants(active=active, blacklisted=blacklisted)


def metrics_text() -> bytes:
    """Return the process's own metrics in Prometheus' text format."""
    return default_metrics().exposition()[0]
