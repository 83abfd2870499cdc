"""The routes of Twilio: the voice webhook, and the call's media stream."""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter, Request, Response, WebSocket

from apps.core.errors import AtCapacity, TomError
from apps.dispatcher.routes.carriers import (
    Gate,
    RestHandOver,
    asked_for,
    external_url,
    forbidden,
    read_form,
    serve_stream,
    stream_url,
    ticket_of,
    xml,
)
from apps.dispatcher.routes.reception import Reception, is_local
from apps.voice.doors.carriers.markup import HANG_UP, REJECT_BUSY, connect, document
from apps.voice.doors.carriers.signatures import is_twilios
from apps.voice.doors.carriers.tickets import TicketOffice
from apps.voice.doors.twilio import TwilioDoor


def router(
    reception: Reception,
    *,
    auth_token: str = "",
    hand_over: RestHandOver | None = None,
    public_url: str = "",
) -> APIRouter:
    """Return the routes by which Twilio brings calls.

    Args:
        reception: Where the calls go.
        auth_token: Checks what Twilio signs; without it only this machine may call.
        hand_over: Twilio's API of calls; None where none is set.
        public_url: How the outside reaches this server, as Twilio is told it.
    """
    routes = APIRouter()
    office = TicketOffice(reception.operator_token.encode(), "twilio")
    gate = Gate(office, bool(auth_token), hand_over, now_s=reception.now_s)

    def check(request: Request, fields: list[tuple[str, str]]) -> None:
        if not auth_token:
            if not is_local(request):
                raise forbidden("TOM_TWILIO_AUTH_TOKEN is not set.")
            return
        given = request.headers.get("x-twilio-signature", "")
        if not is_twilios(auth_token, external_url(request, public_url), fields, given):
            raise forbidden("The webhook is not signed by Twilio.")

    @routes.post("/twilio/voice")
    async def voice(request: Request) -> Response:
        try:
            form = read_form(await request.body())
            check(request, form)
            fields = dict(form)
            wanted = asked_for(request, fields.get("From", ""))
            reception.admit("twilio")
        except AtCapacity:
            return xml(document(REJECT_BUSY))
        except TomError as error:
            return reception.refusal(error)
        token = gate.issue(ticket_of(wanted, call=fields.get("CallSid", "")))
        stream = {"url": stream_url(request, public_url, "/twilio")}
        return xml(document(connect(stream, {"token": token}), HANG_UP))

    @routes.websocket("/twilio")
    async def stream(websocket: WebSocket) -> None:
        accept = partial(TwilioDoor.accept, admit=gate.admit)
        await serve_stream(websocket, gate, reception, accept)

    return routes
