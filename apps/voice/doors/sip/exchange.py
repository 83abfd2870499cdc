"""Runs SIP transactions over flows: the shell around `transaction.py`.

What a peer sends is matched to the transaction that it belongs to; new requests, and the ACKs of
2xx, which belong to none, go to the handler. Whoever sends a request gets its responses in order.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog

from apps.core.clock import loop_ms
from apps.core.errors import ProtocolError
from apps.voice.doors.sip import transaction as tx
from apps.voice.doors.sip.addresses import Peer
from apps.voice.doors.sip.dialog import response_to
from apps.voice.doors.sip.headers import BadMessage, Headers, Via
from apps.voice.doors.sip.message import Request, Response, read_message
from apps.voice.doors.sip.pending import Incoming, Outgoing
from apps.voice.doors.sip.transport import Flow, UdpFlow

MAX_TRANSACTIONS = 5000

Name = tuple[str, tx.Key]
"""A transaction's side, ``client`` or ``server``, and its key there."""

log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class _Running:
    tx: tx.Transaction
    flow: Flow
    tell: Callable[[Response], None] | None = None
    expired: Callable[[], None] | None = None
    timer: asyncio.TimerHandle | None = None


class Exchange:
    """All transactions of one endpoint.

    Args:
        handle: Takes new requests.
        acked: Takes the ACKs of 2xx.
        belongs: Tells whether a request is of a call that is going on: it is always let in.
        advertise: Says by which address a flow's peer reaches this side.
    """

    def __init__(
        self,
        handle: Callable[[Incoming], None],
        acked: Callable[[Request], None],
        belongs: Callable[[Request], bool],
        advertise: Callable[[Flow], Peer],
    ) -> None:
        self._handle, self._acked = handle, acked
        self._belongs, self._advertise = belongs, advertise
        self._running: dict[Name, _Running] = {}
        self._invites: dict[tx.Key, Incoming] = {}

    def __len__(self) -> int:
        return len(self._running)

    # --- what comes

    def receive(self, flow: Flow, data: bytes) -> None:
        """Take one message; what is not right is answered where that is possible."""
        try:
            message = read_message(data)
        except BadMessage as error:
            log.debug("sip_bad_message", reason=error.message)
            self._refuse(flow, data, error)
            return
        if isinstance(message, Response):
            self._apply(("client", tx.client_key(message)), tx.Heard(message))
        else:
            self._request(flow, message)

    def _request(self, flow: Flow, request: Request) -> None:
        via = _seen(request.via, flow)
        request = replace(request, headers=request.headers.with_first_via(str(via)))
        name = ("server", tx.server_key(request))
        if name in self._running:
            self._apply(name, tx.Heard(request))
            running = self._running.get(name)
            accepted = running is not None and running.tx.state is tx.State.ACCEPTED
            if request.method == "ACK" and accepted:  # from an implementation of RFC 2543
                self._acked(request)
            return
        if request.method == "ACK":
            self._acked(request)
            return
        back = _way_back(flow, via)
        if len(self._running) >= MAX_TRANSACTIONS and not self._belongs(request):
            back.send(response_to(request, 503, ("retry-after", "10")).encode())
            return
        self._begin(name, request, flow, back)

    def _begin(self, name: Name, request: Request, flow: Flow, back: Flow) -> None:
        running = _Running(tx.server(request, back.transport != "udp"), back)
        self._running[name] = running
        incoming = Incoming(
            request,
            flow,
            lambda response: self._apply(name, tx.Answer(response)),
            lambda response: self._answer_once(name, response),
            lambda: self._apply(name, tx.Acked()),
        )
        if request.method == "INVITE":
            self._invites[name[1]] = incoming
            running.expired = lambda: incoming.on_expired and incoming.on_expired()
        self._handle(incoming)
        if request.method == "INVITE":
            incoming.respond(100)  # nothing, where it has been answered

    def _answer_once(self, name: Name, response: Response) -> None:
        running = self._running.pop(name, None)
        self._invites.pop(name[1], None)
        if running is not None:
            running.flow.send(response.encode())

    def invite_of(self, cancel: Request) -> Incoming | None:
        """Return the INVITE that a CANCEL is about."""
        return self._invites.get(tx.server_key(cancel, "INVITE"))

    def _refuse(self, flow: Flow, data: bytes, error: BadMessage) -> None:
        """Answer a bad request as far as its headers allow; never an ACK or a response."""
        headers = error.headers
        if not headers.lines or data.lstrip().startswith((b"ACK ", b"SIP/")):
            return
        kept = [line for line in headers.lines if line[0] in _ECHOED]
        request = Request(Headers(tuple(kept)), b"", "?")
        try:
            via = _seen(request.via, flow)
            headers = request.headers.with_first_via(str(via))
            request = replace(request, headers=headers)
            echo = Response(headers, b"", error.status, error.message)
        except (ProtocolError, IndexError):
            return
        if all(headers.has(name) for name in _ECHOED):
            _way_back(flow, via).send(echo.encode())

    # --- what is sent

    def send(self, request: Request, flow: Flow) -> Outgoing:
        """Begin a request's transaction; its Via is added here."""
        request = self.with_via(request, flow)
        return self._begin_client(request, flow)

    def _begin_client(self, request: Request, flow: Flow) -> Outgoing:
        outgoing = Outgoing(request, flow)
        began, _ = tx.client(request, flow.transport != "udp", loop_ms())
        running = _Running(began, flow, outgoing.tell, lambda: outgoing.tell(None))
        name = ("client", (request.via.branch, request.method))
        self._running[name] = running
        self._schedule(name, running)
        self._send(name, running, request)
        return outgoing

    def cancel(self, outgoing: Outgoing) -> Outgoing:
        """Send the CANCEL of an INVITE that has got a provisional response."""
        invite = outgoing.request
        lines = [
            ("via", invite.headers.values("via")[0]),
            *(line for line in invite.headers.lines if line[0] in _OF_CANCEL),
            ("cseq", f"{invite.seq} CANCEL"),
        ]
        request = Request(Headers(tuple(lines)), b"", "CANCEL", invite.uri)
        return self._begin_client(request, outgoing.flow)

    def with_via(self, request: Request, flow: Flow) -> Request:
        """Return a request with this side's Via, for a transaction of its own."""
        host, port = self._advertise(flow)
        bracketed = f"[{host}]" if ":" in host else host
        branch = tx.MAGIC + secrets.token_hex(10)
        via = Via(flow.transport.upper(), bracketed, port, {"branch": branch, "rport": ""})
        lines = request.headers.without("via").lines
        return replace(request, headers=Headers((("via", str(via)), *lines)))

    def close(self) -> None:
        """Forget every transaction."""
        for running in self._running.values():
            if running.timer is not None:
                running.timer.cancel()
        self._running.clear()
        self._invites.clear()

    # --- the clockwork

    def _apply(self, name: Name, event: tx.Event) -> None:
        running = self._running.get(name)
        if running is None:
            return
        running.tx, effects = tx.step(running.tx, event, loop_ms())
        self._schedule(name, running)
        for effect in effects:
            match effect:
                case tx.Send(message=message):
                    self._send(name, running, message)
                case tx.Tell(response=response) if running.tell is not None:
                    running.tell(response)
                case tx.Expired() if running.expired is not None:
                    running.expired()

    def _send(self, name: Name, running: _Running, message: Request | Response) -> None:
        running.flow.send(message.encode())
        if running.flow.closed:  # a connection that was lost; whoever waits is told at once
            asyncio.get_running_loop().call_soon(self._apply, name, tx.Broken())

    def _schedule(self, name: Name, running: _Running) -> None:
        if running.timer is not None:
            running.timer.cancel()
            running.timer = None
        if running.tx.ended:
            if self._running.get(name) is running:
                del self._running[name]
                if name[0] == "server":
                    self._invites.pop(name[1], None)
            return
        if (due_ms := running.tx.next_ms) is not None:
            loop = asyncio.get_running_loop()
            # A timer may ring a hair early, and a tick before its time changes nothing.
            at_s = max(loop.time(), due_ms / 1000) + 0.0001
            running.timer = loop.call_at(at_s, self._apply, name, tx.Tick())


_ECHOED = ("via", "from", "to", "call-id", "cseq")
_OF_CANCEL = ("max-forwards", "route", "from", "to", "call-id")


def _seen(via: Via, flow: Flow) -> Via:
    """Return a Via with where it really came from (RFC 3261 section 18.2.1, RFC 3581)."""
    params = dict(via.params)
    host, port = flow.peer
    if "rport" in params:
        params["rport"] = str(port)
    if via.host.strip("[]") != host or "rport" in params:
        params["received"] = host
    return replace(via, params=params)


def _way_back(flow: Flow, via: Via) -> Flow:
    """Return where responses go: back by the connection, or to where a datagram's Via says."""
    if not isinstance(flow, UdpFlow) or "rport" in via.params:
        return flow
    return flow.to((flow.peer[0], via.port or 5060))
