"""The metrics of the language servers, by provider: the list of providers bounds the label."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from apps.monitor.declarations import Declarations

FIRST_TOKEN_BUCKETS_S = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
BREAKER_STATES = ("closed", "open", "half_open")


class LlmMetrics:
    """What the gateway's requests come to.

    Args:
        declare: Makes them.
    """

    def __init__(self, declare: Declarations) -> None:
        self._requests = declare.counter(
            "tom_llm_requests_total",
            "Requests to providers, by what became of them.",
            "provider",
            "outcome",
        )
        self._first_token = declare.histogram(
            "tom_llm_first_token_seconds",
            "Time until a provider's first text.",
            FIRST_TOKEN_BUCKETS_S,
            "provider",
        )
        self._tokens = declare.counter(
            "tom_llm_tokens_total", "Tokens read and written.", "provider", "direction"
        )
        self._cost = declare.counter(
            "tom_llm_cost_total", "What they cost, in the currency's unit.", "provider"
        )
        self._adapter_missing = declare.counter(
            "tom_llm_adapter_missing_total",
            "Answers by the base model because the provider does not have the adapter.",
            "provider",
        )
        self._up = declare.gauge(
            "tom_llm_provider_up", "0 while probes say that it is down.", "provider"
        )
        self._breaker = declare.gauge(
            "tom_llm_breaker_state", "1 for the state that it is in.", "provider", "state"
        )

    def know(self, providers: Iterable[str], outcomes: Iterable[str]) -> None:
        """Begin every provider's series at 0."""
        known = list(outcomes)
        for provider in providers:
            for outcome in known:
                self._requests.labels(provider, outcome)
            for direction in ("prompt", "completion"):
                self._tokens.labels(provider, direction)
            self._first_token.labels(provider)
            self._cost.labels(provider)
            self._adapter_missing.labels(provider)

    def watch(self, provider: str, up: Callable[[], bool], breaker: Callable[[], str]) -> None:
        """Ask at every scrape how a provider is.

        Args:
            provider: Its name.
            up: Whether it is not known to be down; called from any thread, must not block.
            breaker: Its breaker's state, one of `BREAKER_STATES`; the same.
        """
        self._up.labels(provider).set_function(lambda: float(up()))
        for state in BREAKER_STATES:
            self._breaker.labels(provider, state).set_function(_is(state, breaker))

    def request(
        self,
        provider: str,
        outcome: str,
        *,
        prompt_tokens: int,
        completion_tokens: int,
        cost_micros: int,
        first_token_ms: float | None,
        adapter_missing: bool,
    ) -> None:
        """Count a request that has ended."""
        self._requests.labels(provider, outcome).inc()
        self._tokens.labels(provider, "prompt").inc(prompt_tokens)
        self._tokens.labels(provider, "completion").inc(completion_tokens)
        self._cost.labels(provider).inc(cost_micros / 1e6)
        if first_token_ms is not None:
            self._first_token.labels(provider).observe(first_token_ms / 1000)
        if adapter_missing:
            self._adapter_missing.labels(provider).inc()


def _is(state: str, breaker: Callable[[], str]) -> Callable[[], float]:
    return lambda: float(breaker() == state)
