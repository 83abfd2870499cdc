"""What calls and registrations stand on: sockets, transactions, this side's address, and tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import structlog

from apps.core.addresses import is_loopback
from apps.voice.doors.sip import auth
from apps.voice.doors.sip.addresses import Peer, is_private, local_host
from apps.voice.doors.sip.dialog import Dialog
from apps.voice.doors.sip.exchange import Exchange
from apps.voice.doors.sip.message import Request, Response
from apps.voice.doors.sip.options import Account, SipOptions
from apps.voice.doors.sip.pending import Incoming, Outgoing
from apps.voice.doors.sip.transport import Flow, Transports, UdpFlow
from apps.voice.doors.sip.uri import Uri, sip_uri

log = structlog.get_logger(__name__)

METHODS = ("INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "INFO", "UPDATE", "NOTIFY")
ALLOW = ("allow", ", ".join(METHODS))
SUPPORTED = ("supported", "timer")
ACCEPT = ("accept", "application/sdp")
USER_AGENT = ("user-agent", "TOM")
_FREE_PORT_ATTEMPTS = 10


class Stack:
    """One endpoint's sockets and transactions.

    Args:
        options: How it is set up.
        handle: Takes new requests.
        acked: Takes the ACKs of 2xx.
        belongs: Tells whether a request is of a call that is going on.
    """

    def __init__(
        self,
        options: SipOptions,
        handle: Callable[[Incoming], None],
        acked: Callable[[Request], None],
        belongs: Callable[[Request], bool],
    ) -> None:
        self.options = options
        self.exchange = Exchange(handle, acked, belongs, self.advertise)
        self.transports = Transports(
            self.exchange.receive, server_tls=options.server_tls, client_tls=options.client_tls
        )
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Listen.

        Raises:
            OSError: A port cannot be had.
        """
        # A port that is free for UDP may be taken for TCP: where any will do, another is tried.
        attempts = 1 if self.options.port else _FREE_PORT_ATTEMPTS
        for left in reversed(range(attempts)):
            try:
                await self._listen()
                return
            except OSError:
                await self.transports.close()
                if not left:
                    raise

    async def _listen(self) -> None:
        port = self.options.port
        for transport in self.options.transports:
            wanted = self.options.tls_port if transport == "tls" else port
            await self.transports.listen(transport, self.options.host, wanted)
            port = port or self.transports.bound[transport][1]

    async def close(self) -> None:
        """Stop everything."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.exchange.close()
        await self.transports.close()

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run something until it ends, or the stack is closed; what fails is logged."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("sip_task_failed", task=task.get_name(), exc_info=error)

    # --- addresses

    def host_for(self, peer: str) -> str:
        """Return the address by which a peer reaches this side."""
        if self.options.public_host and not is_loopback(peer):
            return self.options.public_host
        return local_host(peer)

    def advertise(self, flow: Flow) -> Peer:
        """Return the address and port by which a flow's peer reaches this side."""
        bound = self.transports.bound.get(flow.transport, flow.local)
        return self.host_for(flow.peer[0]), bound[1]

    def contact(self, flow: Flow, user: str = "tom") -> tuple[str, str]:
        """Return the Contact header that a flow's peer is given."""
        host, port = self.advertise(flow)
        return ("contact", f"<{sip_uri(user, host, port, transport=flow.transport)}>")

    # --- requests

    async def flow_of(self, dialog: Dialog, flow: Flow) -> Flow:
        """Return the way by which a dialog's requests go.

        A connection is used on. A telephone behind NAT names an address that only its own network
        knows: it is reached where its last request came from.

        Raises:
            OSError: The peer cannot be reached.
        """
        hop = dialog.next_hop
        if not isinstance(flow, UdpFlow):
            return await self.transports.flow_to(hop) if flow.closed else flow
        hidden = is_private(hop.host) and not is_private(flow.peer[0])
        return flow if hidden else await self.transports.flow_to(hop)

    async def request(
        self, request: Request, flow: Flow, account: Account | None = None
    ) -> Response | None:
        """Send a request and return its final response; a challenge is met once, if it can be.

        Args:
            request: What to send, without Via.
            flow: How.
            account: Whose password meets a challenge.

        Returns:
            The final response, or None when the peer does not answer.
        """
        response = await self.exchange.send(request, flow).final()
        if response is None or account is None:
            return response
        again = with_credentials(request, response, account)
        return response if again is None else await self.exchange.send(again, flow).final()

    def send(self, request: Request, flow: Flow) -> Outgoing:
        """Send a request; its responses are read from what is returned."""
        return self.exchange.send(request, flow)


def with_credentials(request: Request, response: Response, account: Account) -> Request | None:
    """Return a request once more, with what its response asks for; None when it cannot be met."""
    asked = {401: ("www-authenticate", "authorization")}.get(
        response.status, ("proxy-authenticate", "proxy-authorization")
    )
    if response.status not in (401, 407):
        return None
    challenge = auth.best_challenge(response.headers.lines_of(asked[0]))
    tried = request.headers.has(asked[1])
    if challenge is None or (tried and not challenge.stale):
        return None
    proof = auth.answer(
        challenge, request.method, str(request.uri), account.login, account.password
    )
    seq = ("cseq", f"{request.seq + 1} {request.method}")
    headers = request.headers.without(asked[1], "cseq").plus(seq, (asked[1], proof))
    return replace(request, headers=headers)


def provider_uri(account: Account, user: str) -> Uri:
    """Return the URI of somebody at an account's provider."""
    registrar = account.registrar
    transport = registrar.params.get("transport", "")
    return sip_uri(
        user,
        registrar.host,
        registrar.port,
        transport=transport,
        secure=registrar.scheme == "sips",
    )
