"""The language servers of the settings: which there are, and the gateway to them."""

from __future__ import annotations

import os
from dataclasses import dataclass

from dotenv import dotenv_values

from apps.core.errors import ConfigError
from apps.llm.answer import GroundedAnswerer
from apps.llm.gateway.gateway import Gateway, Observer
from apps.llm.gateway.listed import one_server, read_providers
from apps.llm.gateway.provider import Kind, Provider
from apps.llm.openai import OpenAiGenerator
from apps.llm.usage import Outcome, Usage
from apps.monitor.metrics import Metrics
from apps.settings import Settings


def settings_providers(settings: Settings) -> tuple[Provider, ...]:
    """Return the providers of the settings, in order, the embedded answerer last.

    Raises:
        ConfigError: The list cannot be used, or there is no server at all.
    """
    if settings.llm_providers:
        return read_providers(
            settings.llm_providers, _key_of, first_token_s=settings.llm_first_token_s
        )
    if not settings.llm_url:
        raise ConfigError(
            "The engine needs TOM_LLM_URL, which is not set.",
            hint="Set TOM_LLM_URL, or TOM_LLM_PROVIDERS.",
        )
    return one_server(
        settings.llm_url, settings.llm_model, settings.llm_api_key, settings.llm_first_token_s
    )


def _key_of(name: str) -> str | None:
    """Return a variable of the environment or, as for the settings, of ``.env``."""
    return os.environ.get(name) or dotenv_values(".env").get(name) or None


def client_of(provider: Provider) -> OpenAiGenerator:
    """Return a client of a server."""
    return OpenAiGenerator(
        provider.url,
        model=provider.model,
        api_key=provider.api_key,
        first_token_s=provider.first_token_s,
        total_s=provider.total_s,
        adapters=provider.kind.serves_adapters,
        running_usage=provider.kind.counts_as_it_goes,
    )


def make_gateway(settings: Settings, observer: Observer | None = None) -> Gateway:
    """Return the gateway to the settings' providers.

    Raises:
        ConfigError: The list of providers cannot be used.
    """
    providers = settings_providers(settings)
    servers = {p.name: client_of(p) for p in providers if p.kind is not Kind.EMBEDDED}
    return Gateway(
        providers,
        GroundedAnswerer(),
        servers,
        patience_s=settings.llm_patience_s,
        observer=observer,
    )


@dataclass(frozen=True, slots=True)
class GatewayMetrics:
    """Counts a gateway's requests in the server's metrics."""

    metrics: Metrics

    def used(self, usage: Usage) -> None:
        """Count a request that has ended."""
        self.metrics.llm.request(
            usage.provider,
            usage.outcome.value,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            cost_micros=usage.cost_micros,
            first_token_ms=usage.first_token_ms,
            adapter_missing=usage.adapter_missing,
        )

    def fell_back(self) -> None:
        """Count an answer by another provider than the first."""
        self.metrics.fell_back("llm")

    def show(self, gateway: Gateway) -> None:
        """Show every provider of a gateway, from its first scrape on."""
        names = [provider.name for provider in gateway.providers]
        self.metrics.llm.know(names, [outcome.value for outcome in Outcome])
        for provider in gateway.providers:
            if provider.kind is not Kind.EMBEDDED:
                self._watch(gateway, provider.name)

    def _watch(self, gateway: Gateway, name: str) -> None:
        self.metrics.llm.watch(
            name,
            up=lambda: gateway.seat(name).up is not False,
            breaker=lambda: gateway.seat(name).breaker.state.value,
        )
