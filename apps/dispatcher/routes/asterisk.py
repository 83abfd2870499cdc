"""The routes of an Asterisk: chan_websocket's connection, and what its dialplan asks."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Awaitable, Callable
from uuid import UUID

from fastapi import APIRouter, Request, Response, WebSocket
from fastapi.responses import PlainTextResponse
from starlette.requests import HTTPConnection

from apps.core.errors import AtCapacity, ProtocolError, TomError
from apps.dispatcher.routes.carriers import forbidden, read_form
from apps.dispatcher.routes.reception import Reception, is_local
from apps.dispatcher.routes.socket import StarletteSocket
from apps.voice.doors.asterisk.desk import Desk
from apps.voice.doors.asterisk.websocket import AsteriskDoor
from apps.voice.doors.base import CallRequest
from apps.voice.doors.carriers.requests import caller_of, read_request

SUBPROTOCOL = "media"
_HIDDEN = ("anonymous", "restricted", "unavailable", "unknown", "private", "withheld")


def router(reception: Reception, desk: Desk, *, password: str = "") -> APIRouter:
    """Return the routes by which an Asterisk brings calls.

    Args:
        reception: Where the calls go.
        desk: What its dialplan said of its calls, and asks of them.
        password: Opens them to other machines; without it only this machine may call.
    """
    routes = APIRouter()

    def check(peer: HTTPConnection) -> None:
        known = _has_password(peer, password) if password else is_local(peer)
        if peer.headers.get("origin") is not None or not known:
            raise forbidden("This Asterisk is not known here.")

    def hand_over(call: UUID) -> Callable[[str, str], Awaitable[None]]:
        async def leave_word(target: str, summary: str) -> None:
            desk.hand_over(call, target, reception.now_s())

        return leave_word

    @routes.post("/asterisk/calls/{call}")
    async def announce(call: UUID, request: Request) -> Response:
        try:
            check(request)
            form = dict(read_form(await request.body()))
            wanted = _request(form)
            reception.admit("audiosocket" if form.get("door") == "audiosocket" else "asterisk")
            desk.announce(call, wanted, reception.now_s())
        except AtCapacity:
            return PlainTextResponse("busy")  # a dialplan reads words more easily than statuses
        except TomError as error:
            return reception.refusal(error)
        return PlainTextResponse("ok")

    @routes.get("/asterisk/calls/{call}/handover")
    async def handed_over(call: UUID, request: Request) -> Response:
        try:
            check(request)
        except TomError as error:
            return reception.refusal(error)
        return PlainTextResponse(desk.handed_over(call, reception.now_s()))

    @routes.websocket("/asterisk")
    async def channel(websocket: WebSocket) -> None:
        try:
            check(websocket)
            call, wanted = _asked(websocket)
        except ProtocolError:
            await websocket.close(1008, "forbidden")  # before accepting: HTTP 403
            return
        offered = websocket.scope.get("subprotocols", [])
        await websocket.accept(SUBPROTOCOL if SUBPROTOCOL in offered else None)
        socket = StarletteSocket(websocket)
        if call is not None:
            wanted = desk.claim(call, reception.now_s()) or wanted
        handing = hand_over(call) if call is not None else None
        await reception.serve(socket, AsteriskDoor.accept(socket, wanted, handing))

    return routes


def _asked(websocket: WebSocket) -> tuple[UUID | None, CallRequest]:
    """Return a channel's call and whom it is for, by the URI's parameters (``v(...)``)."""
    given = dict(websocket.query_params)
    try:
        call = UUID(given["call"]) if given.get("call") else None
    except ValueError:
        raise ProtocolError("The call's id is no UUID.", code="bad_message") from None
    return call, _request(given)


def _request(given: dict[str, str]) -> CallRequest:
    """Return whom a call is for; a caller may be a number or a name of the exchange's own."""
    caller = given.get("caller", "")
    known = "" if caller.lower() in _HIDDEN else caller
    return read_request({**given, "caller": caller_of(caller) or known, "answers": ""})


def _has_password(peer: HTTPConnection, password: str) -> bool:
    """Tell whether a peer knows the password, whatever user it names."""
    scheme, _, given = peer.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return False
    try:
        told = base64.b64decode(given, validate=True)
    except (binascii.Error, ValueError):
        return False
    return hmac.compare_digest(told.partition(b":")[2], password.encode())
