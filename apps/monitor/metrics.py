"""Every metric of TOM, with its labels and buckets; docs/metrics.md describes them for operators.

Labels are bounded: a policy variant (the variants' file bounds them), a stage, an engine, a role,
a door, a reason, a provider, a domain. An id, a number or a word that somebody said is never a
label.

Names that start with ``rl_`` are seed 004's. Two of its gauges end in ``_total``, which OpenMetrics
keeps for counters; hence the exposition is always Prometheus' own text format.
"""

from __future__ import annotations

from functools import cache

from prometheus_client import ProcessCollector, disable_created_metrics, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from apps.monitor.adapter_metrics import AdapterMetrics
from apps.monitor.call_metrics import CallMetrics
from apps.monitor.declarations import Declarations
from apps.monitor.learning_metrics import LearningMetrics
from apps.monitor.llm_metrics import LlmMetrics
from apps.monitor.machinery_metrics import MachineryMetrics
from apps.monitor.retrieval_metrics import RetrievalMetrics
from apps.monitor.rollout_metrics import RolloutMetrics

# A *_created series beside every counter and histogram says nothing that anybody asks for here.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library leaves it untyped


class Metrics(LearningMetrics, CallMetrics, MachineryMetrics):
    """The metrics of one server, in a registry of their own.

    Every method may be called from any thread, and none raises for a value that it is given.

    Attributes:
        registry: Where they are.
        declared: What is known about each.
        llm: Of the language servers.
        adapters: Of routing, and of what adapters learn from.
        rollout: Of adapters' roll-outs.
        retrieval: Of looking things up.
    """

    def __init__(self) -> None:
        declare = Declarations()
        self.registry, self.declared = declare.registry, declare.declared
        self._declare_learning(declare)
        self._declare_calls(declare)
        self._declare_machinery(declare)
        self.llm = LlmMetrics(declare)
        self.adapters = AdapterMetrics(declare)
        self.rollout = RolloutMetrics(declare)
        self.retrieval = RetrievalMetrics(declare)
        ProcessCollector(registry=self.registry)

    def exposition(self) -> tuple[bytes, str]:
        """Return everything in Prometheus' text format, and its content type."""
        return generate_latest(self.registry), CONTENT_TYPE_PLAIN_0_0_4


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
