"""What the routes of all carriers need: external addresses, forms, tickets, and streams."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from urllib.parse import parse_qsl

from fastapi import Response, WebSocket
from starlette.requests import HTTPConnection

from apps.core.errors import ProtocolError
from apps.dispatcher.routes.reception import Reception, is_local
from apps.dispatcher.routes.socket import StarletteSocket
from apps.voice.doors.base import CallRequest, Door
from apps.voice.doors.carriers.messages import Admitted, StreamStart
from apps.voice.doors.carriers.requests import caller_of, read_request, read_token
from apps.voice.doors.carriers.tickets import Ticket, TicketOffice
from apps.voice.doors.peer import Socket

MAX_FIELDS = 200

RestHandOver = Callable[[Ticket, str, str], Awaitable[None]]
"""Hands the call of a ticket over to a target, with a summary; raises TransferFailed."""


def external_url(peer: HTTPConnection, public_url: str, path: str | None = None) -> str:
    """Return the address by which the outside reaches a path here.

    Args:
        peer: The request; its own host stands in where no public URL is set.
        public_url: TOM_PUBLIC_URL.
        path: The path; the request's own, with its query, when None.
    """
    base = public_url.rstrip("/") or f"{peer.url.scheme}://{peer.url.netloc}"
    if path is not None:
        return base + path
    query = peer.url.query
    return f"{base}{peer.url.path}{'?' if query else ''}{query}"


def stream_url(peer: HTTPConnection, public_url: str, path: str) -> str:
    """Return the external address of a WebSocket here."""
    return external_url(peer, public_url, path).replace("http", "ws", 1)


def read_form(body: bytes) -> list[tuple[str, str]]:
    """Return a form's fields.

    Raises:
        ProtocolError: It is none; code ``bad_message``.
    """
    try:
        text = body.decode("utf-8")
        return parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        raise ProtocolError("A webhook's body is no form.", code="bad_message") from None


def asked_for(peer: HTTPConnection, caller: str) -> CallRequest:
    """Return what a webhook's call asks for, by the query that the operator gave its address.

    Raises:
        ProtocolError: The query is not right; code ``bad_message``.
    """
    return read_request({**peer.query_params, "caller": caller_of(caller), "answers": ""})


def xml(document: str) -> Response:
    """Return TwiML or TeXML as an answer."""
    return Response(document, media_type="application/xml")


@dataclass(frozen=True, slots=True)
class Gate:
    """Tells which streams of one carrier are calls.

    Args:
        office: Issues and redeems the carrier's tickets.
        guarded: Whether a stream needs one; without, only this machine's own are let in.
        hand_over: Hands a call over; None where no API is set.
        bound: Whether a stream names its call by the same id as the webhook did.
        now_s: Tells the Unix time.
    """

    office: TicketOffice
    guarded: bool
    hand_over: RestHandOver | None = None
    bound: bool = True
    now_s: Callable[[], float] = time.time

    def lets_in(self, peer: HTTPConnection) -> bool:
        """Tell whether a connection may be opened at all: no browser's, and see `guarded`."""
        return peer.headers.get("origin") is None and (self.guarded or is_local(peer))

    def issue(self, ticket: Ticket) -> str:
        """Return a ticket for a stream that is to come."""
        return self.office.issue(ticket, self.now_s())

    def admit(self, start: StreamStart, token: str = "") -> Admitted:
        """Return what a stream is.

        Args:
            start: Its beginning.
            token: Its ticket, where that is not among the stream's parameters.

        Raises:
            ProtocolError: It is no call; code ``forbidden`` or ``bad_message``.
        """
        request, ticket = read_request(start.parameters), Ticket(start.call)
        token = token or read_token(start.parameters)
        # A stream that answers a call dialled here brings a token that serves as its ticket.
        if not request.answers and (self.guarded or token):
            ticket = self.office.redeem(token, self.now_s())
            if self.bound and ticket.call != start.call:
                raise ProtocolError("A stream's ticket is another call's.", code="forbidden")
            request = ticket.request
        hand_over = partial(self.hand_over, ticket) if self.hand_over is not None else None
        return Admitted(request, hand_over)


async def serve_stream(
    websocket: WebSocket,
    gate: Gate,
    reception: Reception,
    accept: Callable[[Socket], Awaitable[Door]],
) -> None:
    """Serve a carrier's stream to its end.

    Args:
        websocket: The connection, not accepted yet.
        gate: Tells whether it may be opened at all.
        reception: Where its call goes.
        accept: Reads what the stream is.
    """
    if not gate.lets_in(websocket):
        await websocket.close(1008, "forbidden")  # before accepting: HTTP 403
        return
    await websocket.accept()
    socket = StarletteSocket(websocket)
    await reception.serve(socket, accept(socket))


def ticket_of(request: CallRequest, *, call: str, account: str = "", called: str = "") -> Ticket:
    """Return the ticket of a call that a webhook told of."""
    return Ticket(call, account, called, request.profile, request.language, request.caller)


def forbidden(why: str) -> ProtocolError:
    """Return the refusal of a webhook that is not signed right."""
    return ProtocolError(why, code="forbidden")
