"""SIP transactions as a pure state machine (RFC 3261 section 17, with RFC 6026's Accepted state).

`step` takes a transaction, something that happened and the time, and returns the transaction as it
is then and what is to be done. A server's 2xx is repeated here, too, until its ACK comes: RFC 3261
gives that to the layer above, but it is the same clockwork.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from apps.voice.doors.sip.dialog import ack_of_failure
from apps.voice.doors.sip.message import Request, Response

T1_MS = 500.0
T2_MS = 4000.0
T4_MS = 5000.0
GIVE_UP_MS = 64 * T1_MS
MAGIC = "z9hG4bK"

Key = tuple[str, ...]


class Role(Enum):
    """Which of the four machines it is."""

    INVITE_CLIENT = "invite client"
    CLIENT = "client"
    INVITE_SERVER = "invite server"
    SERVER = "server"


class State(Enum):
    """Where a transaction stands."""

    TRYING = "trying"
    PROCEEDING = "proceeding"
    COMPLETED = "completed"
    CONFIRMED = "confirmed"
    ACCEPTED = "accepted"
    TERMINATED = "terminated"


@dataclass(frozen=True, slots=True)
class Heard:
    """A message of this transaction came from the peer."""

    message: Request | Response


@dataclass(frozen=True, slots=True)
class Answer:
    """Whoever handles the request answers it."""

    response: Response


@dataclass(frozen=True, slots=True)
class Acked:
    """The ACK of a 2xx came, which is no part of its transaction."""


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


@dataclass(frozen=True, slots=True)
class Broken:
    """The transport cannot deliver."""


Event = Heard | Answer | Acked | Tick | Broken


@dataclass(frozen=True, slots=True)
class Send:
    """Send a message to the peer."""

    message: Request | Response


@dataclass(frozen=True, slots=True)
class Tell:
    """Hand a response to whoever made the request."""

    response: Response


@dataclass(frozen=True, slots=True)
class Expired:
    """The peer never answered, or never acknowledged."""


Effect = Send | Tell | Expired
Step = tuple["Transaction", tuple[Effect, ...]]


@dataclass(frozen=True, slots=True)
class Transaction:
    """One request and its responses.

    Attributes:
        role: Which machine it is.
        request: The request.
        reliable: Whether the transport repeats by itself (TCP, TLS).
        state: Where it stands.
        last: What is sent again when it has to be; None before a server's first response.
        repeat_ms: When it is sent again, or None.
        interval_ms: How long after that it is sent once more.
        until_ms: When the state ends by itself, or None.
    """

    role: Role
    request: Request
    reliable: bool
    state: State
    last: Request | Response | None = None
    repeat_ms: float | None = None
    interval_ms: float = T1_MS
    until_ms: float | None = None

    @property
    def next_ms(self) -> float | None:
        """When the next `Tick` is due."""
        times = [at for at in (self.repeat_ms, self.until_ms) if at is not None]
        return min(times, default=None)

    @property
    def ended(self) -> bool:
        """Whether it can be forgotten."""
        return self.state is State.TERMINATED


def client(request: Request, reliable: bool, now_ms: float) -> Step:
    """Begin a client's transaction."""
    role = Role.INVITE_CLIENT if request.method == "INVITE" else Role.CLIENT
    repeat_ms = None if reliable else now_ms + T1_MS
    tx = Transaction(
        role,
        request,
        reliable,
        State.TRYING,
        last=request,
        repeat_ms=repeat_ms,
        until_ms=now_ms + GIVE_UP_MS,
    )
    return tx, (Send(request),)


def server(request: Request, reliable: bool) -> Transaction:
    """Begin a server's transaction; its request is to be handled."""
    role = Role.INVITE_SERVER if request.method == "INVITE" else Role.SERVER
    return Transaction(role, request, reliable, State.TRYING)


def client_key(message: Request | Response) -> Key:
    """Return by what a client finds a response's transaction."""
    return (message.via.branch, message.seq_method)


def server_key(request: Request, method: str | None = None) -> Key:
    """Return by what a server finds a request's transaction; an ACK's is that of its INVITE."""
    via = request.via
    named = method or ("INVITE" if request.method == "ACK" else request.method)
    where = f"{via.host.lower()}:{via.port or 5060}"
    if via.branch.startswith(MAGIC) and len(via.branch) > len(MAGIC):
        return (via.branch, where, named)
    return (request.call_id, request.sender.tag, str(request.seq), where, named)


def step(tx: Transaction, event: Event, now_ms: float) -> Step:
    """Apply one event."""
    if tx.ended:
        return tx, ()
    match event:
        case Tick():
            return _tick(tx, now_ms)
        case Broken():
            return _ended(tx), (Expired(),) if _unanswered(tx) else ()
        case Heard(message=Response() as response):
            return _on_response(tx, response, now_ms)
        case Heard(message=Request() as request):
            return _on_request(tx, request, now_ms)
        case Answer(response=response):
            return _on_answer(tx, response, now_ms)
        case Acked() if tx.role is Role.INVITE_SERVER and tx.state is State.ACCEPTED:
            return replace(tx, repeat_ms=None), ()
    return tx, ()


def _ended(tx: Transaction) -> Transaction:
    return replace(tx, state=State.TERMINATED, repeat_ms=None, until_ms=None)


def _linger(tx: Transaction, state: State, wait_ms: float, now_ms: float) -> Transaction:
    """Stay for what the peer may repeat; nothing is repeated over a reliable transport."""
    if tx.reliable and state is not State.ACCEPTED:
        return _ended(tx)
    return replace(tx, state=state, repeat_ms=None, until_ms=now_ms + wait_ms)


def _tick(tx: Transaction, now_ms: float) -> Step:
    if tx.until_ms is not None and now_ms >= tx.until_ms:
        return _ended(tx), (Expired(),) if _unanswered(tx) else ()
    if tx.repeat_ms is None or now_ms < tx.repeat_ms or tx.last is None:
        return tx, ()
    # An INVITE's client is the only one that goes on doubling.
    calling = tx.role is Role.INVITE_CLIENT
    longer = tx.interval_ms * 2 if calling else min(tx.interval_ms * 2, T2_MS)
    return replace(tx, interval_ms=longer, repeat_ms=now_ms + longer), (Send(tx.last),)


def _unanswered(tx: Transaction) -> bool:
    """Tell whether the end of its state means that the peer is not there."""
    match tx.role:
        case Role.INVITE_CLIENT | Role.CLIENT:
            return tx.state in (State.TRYING, State.PROCEEDING)
        case Role.INVITE_SERVER:
            accepted = tx.state is State.ACCEPTED and tx.repeat_ms is not None
            return accepted or tx.state is State.COMPLETED
    return False


# --- client


def _on_response(tx: Transaction, response: Response, now_ms: float) -> Step:
    if tx.role is Role.INVITE_CLIENT:
        return _on_invite_response(tx, response, now_ms)
    if tx.role is not Role.CLIENT or tx.state not in (State.TRYING, State.PROCEEDING):
        return tx, ()
    if response.is_final:
        return _linger(tx, State.COMPLETED, T4_MS, now_ms), (Tell(response),)
    return replace(tx, state=State.PROCEEDING, interval_ms=T2_MS), (Tell(response),)


def _on_invite_response(tx: Transaction, response: Response, now_ms: float) -> Step:
    waiting = tx.state in (State.TRYING, State.PROCEEDING)
    if response.is_success:
        if waiting:
            return _linger(tx, State.ACCEPTED, GIVE_UP_MS, now_ms), (Tell(response),)
        # Repeated, because its ACK was lost, or another branch of a fork.
        return tx, (Tell(response),) if tx.state is State.ACCEPTED else ()
    if response.is_final:
        ack = Send(ack_of_failure(tx.request, response))
        if waiting:
            return _linger(tx, State.COMPLETED, GIVE_UP_MS, now_ms), (ack, Tell(response))
        return tx, (ack,) if tx.state is State.COMPLETED else ()
    if not waiting:
        return tx, ()
    return replace(tx, state=State.PROCEEDING, repeat_ms=None, until_ms=None), (Tell(response),)


# --- server


def _on_request(tx: Transaction, request: Request, now_ms: float) -> Step:
    if tx.role is Role.INVITE_SERVER:
        return _on_invite(tx, request, now_ms)
    if tx.role is Role.SERVER and tx.last is not None:
        return tx, (Send(tx.last),)
    return tx, ()


def _on_invite(tx: Transaction, request: Request, now_ms: float) -> Step:
    if request.method == "ACK":
        if tx.state is State.COMPLETED:
            return _linger(tx, State.CONFIRMED, T4_MS, now_ms), ()
        return tx, ()
    repeats = tx.state in (State.PROCEEDING, State.COMPLETED)
    return tx, (Send(tx.last),) if repeats and tx.last is not None else ()


def _on_answer(tx: Transaction, response: Response, now_ms: float) -> Step:
    if tx.role not in (Role.INVITE_SERVER, Role.SERVER):
        return tx, ()
    if tx.state not in (State.TRYING, State.PROCEEDING):
        return tx, ()
    tx = replace(tx, last=response)
    if not response.is_final:
        return replace(tx, state=State.PROCEEDING), (Send(response),)
    if tx.role is Role.SERVER:
        return _linger(tx, State.COMPLETED, GIVE_UP_MS, now_ms), (Send(response),)
    state = State.ACCEPTED if response.is_success else State.COMPLETED
    repeats = response.is_success or not tx.reliable
    repeat_ms = now_ms + T1_MS if repeats else None
    until_ms = now_ms + GIVE_UP_MS
    tx = replace(tx, state=state, interval_ms=T1_MS, repeat_ms=repeat_ms, until_ms=until_ms)
    return tx, (Send(response),)
