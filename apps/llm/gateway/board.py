"""What is known of each provider, and which one is asked next: pure, the time is passed in.

A board is a mapping of seats, one for each server. A request takes a seat (`begin`) and leaves it
(`end`) with what became of it; a probe says whether the server is well (`probed`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from apps.llm.gateway import breaker as breakers
from apps.llm.gateway.breaker import Breaker, Policy
from apps.llm.gateway.provider import Kind, Provider
from apps.llm.usage import Outcome

MISSES = 2
"""So many probes in a row must fail before a server counts as down."""

CAPACITY_WAIT_S = 1.0
LONGEST_WAIT_S = 60.0
"""How long a server at capacity is left alone: where it does not say, and at most if it does."""


class Why(StrEnum):
    """Why a provider is not asked now."""

    DOWN = "down"
    BREAKER = "breaker"
    AT_CAPACITY = "at_capacity"
    FULL = "full"
    """As many requests are under way as it may have at once."""


@dataclass(frozen=True, slots=True)
class Seat:
    """What is known of one server.

    Attributes:
        breaker: Whether its requests succeed.
        in_flight: Requests under way.
        not_before_s: It said that it has no room until then.
        misses: Probes in a row that failed.
        up: What the probes say; None while there was none.
        trouble: Why the latest probe failed, as an error's code; empty when it did not.
    """

    breaker: Breaker = field(default_factory=Breaker)
    in_flight: int = 0
    not_before_s: float = float("-inf")
    misses: int = 0
    up: bool | None = None
    trouble: str = ""


Board = Mapping[str, Seat]


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which provider is asked next.

    Attributes:
        provider: That one.
        passed_over: The providers before it that are not asked now, and why.
    """

    provider: Provider
    passed_over: Mapping[str, Why]


def why_not(seat: Seat, provider: Provider, now_s: float, policy: Policy) -> Why | None:
    """Return why a server is not asked now; None when it may be."""
    if seat.up is False:
        return Why.DOWN
    if now_s < seat.not_before_s:
        return Why.AT_CAPACITY
    if provider.max_concurrent and seat.in_flight >= provider.max_concurrent:
        return Why.FULL
    if not breakers.would_admit(seat.breaker, now_s, policy):
        return Why.BREAKER
    return None


def choose(
    order: Sequence[Provider],
    board: Board,
    tried: Collection[str],
    now_s: float,
    policy: Policy,
) -> Chosen:
    """Return the provider that is asked next.

    Args:
        order: All that may be asked, in order; the embedded answerer, which always can, is last.
        board: What is known of them.
        tried: Those that have failed this request already.
        now_s: When.
        policy: The breakers'.
    """
    passed: dict[str, Why] = {}
    for provider in order:
        if provider.kind is Kind.EMBEDDED:
            return Chosen(provider, passed)
        if provider.name in tried:
            continue
        why = why_not(board[provider.name], provider, now_s, policy)
        if why is None:
            return Chosen(provider, passed)
        passed[provider.name] = why
    raise ValueError("the embedded answerer is missing")


def begin(seat: Seat, now_s: float, policy: Policy) -> tuple[Seat, int]:
    """Return the seat with one request more under way, and that request's ticket.

    Raises:
        ValueError: The breaker lets none through; `why_not` tells.
    """
    admitted = breakers.admit(seat.breaker, now_s, policy)
    if admitted is None:
        raise ValueError("the breaker is open")
    breaker, ticket = admitted
    return replace(seat, breaker=breaker, in_flight=seat.in_flight + 1), ticket


def end(
    seat: Seat,
    ticket: int,
    outcome: Outcome,
    now_s: float,
    policy: Policy,
    *,
    spoke: bool = False,
    retry_after_s: float | None = None,
) -> Seat:
    """Return the seat after a request.

    Args:
        seat: Before.
        ticket: The request's.
        outcome: What became of it.
        now_s: When.
        policy: The breakers'.
        spoke: Whether it had brought text; one that was stopped after that has succeeded.
        retry_after_s: For one at capacity, when it says that there will be room.
    """
    seat = replace(seat, in_flight=seat.in_flight - 1)
    match outcome:
        case Outcome.AT_CAPACITY:
            wait_s = CAPACITY_WAIT_S if retry_after_s is None else retry_after_s
            until_s = now_s + min(max(wait_s, 0.0), LONGEST_WAIT_S)
            seat = replace(seat, not_before_s=max(seat.not_before_s, until_s))
            return replace(seat, breaker=breakers.abandoned(seat.breaker, ticket))
        case Outcome.REJECTED:  # the server is well; it is the request that it will not have
            return replace(seat, breaker=breakers.abandoned(seat.breaker, ticket))
        case Outcome.STOPPED if not spoke:
            return replace(seat, breaker=breakers.abandoned(seat.breaker, ticket))
    ok = outcome in (Outcome.ANSWERED, Outcome.STOPPED)
    return replace(
        seat, breaker=breakers.ended(seat.breaker, ticket, ok=ok, now_s=now_s, policy=policy)
    )


def probed(seat: Seat, trouble: str) -> Seat:
    """Return the seat after a probe.

    A server that is down is left alone without anybody's waiting for it, and asked again as soon
    as a probe succeeds. What the breaker knows stays: a server may list its models and answer
    nothing.

    Args:
        seat: Before.
        trouble: Why the probe failed, as an error's code; empty when the server is well.
    """
    if not trouble:
        return replace(seat, misses=0, up=True, trouble="")
    misses = seat.misses + 1
    return replace(seat, misses=misses, trouble=trouble, up=False if misses >= MISSES else seat.up)
