"""A circuit breaker, pure: it is told what happened and when, and tells whether to try.

After Nygard, "Release It!": a provider that keeps failing is left alone for a while (open), then
tried with a single request (half-open), and used again once that has succeeded (closed).
`TRANSITIONS` is the whole machine; a signal that does not fit raises and changes nothing. What
happens to a request that was let through before the state last changed says nothing about the
state since: it is known by its ticket and passed over.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType


class State(StrEnum):
    """Whether requests are let through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Signal(StrEnum):
    """What moves the breaker."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TRIPPED = "tripped"
    """A failure with which too many of the latest requests have failed."""
    COOLED = "cooled"
    """It has been open for long enough."""


TRANSITIONS = MappingProxyType(
    {
        (State.CLOSED, Signal.SUCCEEDED): State.CLOSED,
        (State.CLOSED, Signal.FAILED): State.CLOSED,
        (State.CLOSED, Signal.TRIPPED): State.OPEN,
        (State.OPEN, Signal.COOLED): State.HALF_OPEN,
        (State.HALF_OPEN, Signal.SUCCEEDED): State.CLOSED,
        (State.HALF_OPEN, Signal.FAILED): State.OPEN,
    }
)


class IllegalSignal(Exception):
    """A signal that the breaker's state does not allow; nothing has changed."""


@dataclass(frozen=True, slots=True)
class Policy:
    """When a breaker trips, and how long it stays open.

    Attributes:
        window_s: How long a request's outcome counts.
        most: So many outcomes count at most, the latest.
        min_failures: Fewer failures than these never trip it.
        failing_share: From this share of failures on it trips.
        cooling_s: How long it is open the first time; each failed trial doubles that.
        longest_cooling_s: The most that comes of doubling.
    """

    window_s: float = 30.0
    most: int = 20
    min_failures: int = 3
    failing_share: float = 0.5
    cooling_s: float = 5.0
    longest_cooling_s: float = 120.0


@dataclass(frozen=True, slots=True)
class Breaker:
    """The state of one breaker.

    Attributes:
        state: Whether requests are let through.
        epoch: How often the state has changed; a ticket names the epoch that it was given in.
        latest: When the latest requests ended, and whether they succeeded; while it is closed.
        opened_s: When it opened last.
        trips: How often it has opened since it was last closed.
        trying: Whether the one trial of a half-open breaker is under way.
    """

    state: State = State.CLOSED
    epoch: int = 0
    latest: tuple[tuple[float, bool], ...] = ()
    opened_s: float = 0.0
    trips: int = 0
    trying: bool = False


def cooling_s(breaker: Breaker, policy: Policy) -> float:
    """Return how long a breaker stays open after it has opened as often as this one."""
    # Beyond 2 ** 30 the doubling says nothing more, and must not overflow.
    return min(policy.cooling_s * 2.0 ** min(breaker.trips - 1, 30), policy.longest_cooling_s)


def opens_again_s(breaker: Breaker, policy: Policy) -> float | None:
    """Return when an open breaker lets a trial through; None for one that is not open."""
    if breaker.state is not State.OPEN:
        return None
    return breaker.opened_s + cooling_s(breaker, policy)


def would_admit(breaker: Breaker, now_s: float, policy: Policy) -> bool:
    """Tell whether `admit` would let a request through."""
    match breaker.state:
        case State.CLOSED:
            return True
        case State.OPEN:
            return now_s >= breaker.opened_s + cooling_s(breaker, policy)
        case State.HALF_OPEN:
            return not breaker.trying


def admit(breaker: Breaker, now_s: float, policy: Policy) -> tuple[Breaker, int] | None:
    """Let a request through, if it may: returns the state after that and the request's ticket.

    Every request that was let through is to be ended by `ended` or `abandoned`.
    """
    if not would_admit(breaker, now_s, policy):
        return None
    if breaker.state is State.OPEN:
        breaker = _moved(breaker, Signal.COOLED, now_s)
    if breaker.state is State.HALF_OPEN:
        breaker = replace(breaker, trying=True)
    return breaker, breaker.epoch


def ended(breaker: Breaker, ticket: int, *, ok: bool, now_s: float, policy: Policy) -> Breaker:
    """Return the state after a request has succeeded or failed."""
    if ticket != breaker.epoch:
        return breaker
    if breaker.state is State.HALF_OPEN:
        return _moved(breaker, Signal.SUCCEEDED if ok else Signal.FAILED, now_s)
    recent = [entry for entry in breaker.latest if entry[0] > now_s - policy.window_s]
    latest = (*recent, (now_s, ok))[-policy.most :]
    failures = sum(not well for _, well in latest)
    tripped = (
        not ok
        and failures >= policy.min_failures
        and failures >= policy.failing_share * len(latest)
    )
    signal = Signal.TRIPPED if tripped else Signal.SUCCEEDED if ok else Signal.FAILED
    return _moved(replace(breaker, latest=latest), signal, now_s)


def abandoned(breaker: Breaker, ticket: int) -> Breaker:
    """Return the state after a request of which nobody waited to see what becomes of it."""
    return replace(breaker, trying=False) if ticket == breaker.epoch else breaker


def moved_to(state: State, signal: Signal) -> State:
    """Return the state after a signal.

    Raises:
        IllegalSignal: The state does not allow it.
    """
    try:
        return TRANSITIONS[state, signal]
    except KeyError:
        raise IllegalSignal(f"{signal.value} while {state.value}") from None


def _moved(breaker: Breaker, signal: Signal, now_s: float) -> Breaker:
    after = moved_to(breaker.state, signal)
    if after is breaker.state:
        return breaker
    if after is State.CLOSED:
        return Breaker(epoch=breaker.epoch + 1)
    opening = after is State.OPEN
    return replace(
        breaker,
        state=after,
        epoch=breaker.epoch + 1,
        latest=(),
        opened_s=now_s if opening else breaker.opened_s,
        trips=breaker.trips + opening,
        trying=False,
    )
