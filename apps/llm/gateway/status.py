"""What a gateway tells operators of its providers: nothing secret, nothing of any caller."""

from __future__ import annotations

from apps.llm.gateway.board import why_not
from apps.llm.gateway.breaker import opens_again_s
from apps.llm.gateway.gateway import Gateway
from apps.llm.gateway.provider import Kind, Provider


def describe(gateway: Gateway, now_s: float) -> list[dict[str, object]]:
    """Return every provider as JSON: those that are asked in their order, then the others.

    Args:
        gateway: Whose.
        now_s: The event loop's time.
    """
    order = gateway.order()
    off = [provider for provider in gateway.providers if provider not in order]
    told = [_told(gateway, provider, now_s) | {"asked": True} for provider in order]
    return told + [_told(gateway, provider, now_s) | {"asked": False} for provider in off]


def _told(gateway: Gateway, provider: Provider, now_s: float) -> dict[str, object]:
    if provider.kind is Kind.EMBEDDED:
        return {"name": provider.name, "kind": provider.kind.value, "up": True, "why_not": None}
    seat = gateway.seat(provider.name)
    why = why_not(seat, provider, now_s, gateway.policy)
    opens_s = opens_again_s(seat.breaker, gateway.policy)
    return {
        "name": provider.name,
        "kind": provider.kind.value,
        "host": provider.host,
        "model": provider.model,
        "up": seat.up,
        "trouble": seat.trouble,
        "breaker": seat.breaker.state.value,
        "opens_in_s": None if opens_s is None else round(max(opens_s - now_s, 0.0), 1),
        "in_flight": seat.in_flight,
        "max_concurrent": provider.max_concurrent,
        "why_not": None if why is None else why.value,
        "first_token_s": provider.first_token_s,
        "total_s": provider.total_s,
        "price_prompt": provider.price.prompt,
        "price_completion": provider.price.completion,
    }
