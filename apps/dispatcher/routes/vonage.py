"""The routes of Vonage: the answer webhook, events, and the call's WebSocket."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from fastapi import APIRouter, Request, Response, WebSocket
from fastapi.responses import JSONResponse

from apps.core.errors import AtCapacity, TomError
from apps.dispatcher.routes.carriers import (
    Gate,
    RestHandOver,
    asked_for,
    forbidden,
    serve_stream,
    stream_url,
    ticket_of,
)
from apps.dispatcher.routes.reception import Reception, bearer, is_local
from apps.voice.doors.carriers.media import read_json
from apps.voice.doors.carriers.signatures import is_vonages
from apps.voice.doors.carriers.tickets import TicketOffice
from apps.voice.doors.vonage import VonageDoor

CONTENT_TYPE = "audio/l16;rate=16000"
_BUSY = {
    "en": ("en-US", "All lines are busy. Please call again in a moment."),
    "de": ("de-DE", "Alle Leitungen sind belegt. Bitte rufen Sie gleich noch einmal an."),
}


def router(
    reception: Reception,
    *,
    signature_secret: str = "",
    hand_over: RestHandOver | None = None,
    public_url: str = "",
) -> APIRouter:
    """Return the routes by which Vonage brings calls.

    Args:
        reception: Where the calls go.
        signature_secret: Checks what Vonage signs; without it only this machine may call.
        hand_over: Vonage's API of calls; None where none is set.
        public_url: How the outside reaches this server.
    """
    routes = APIRouter()
    office = TicketOffice(reception.operator_token.encode(), "vonage")
    gate = Gate(office, bool(signature_secret), hand_over, bound=False, now_s=reception.now_s)

    async def told(request: Request) -> dict[str, Any]:
        """Return a webhook's fields, once its signature is checked."""
        if request.method == "POST":
            payload = await request.body()
        else:
            fields = dict(request.query_params)
            payload = json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode()
        if not signature_secret:
            if not is_local(request):
                raise forbidden("TOM_VONAGE_SIGNATURE_SECRET is not set.")
        elif not is_vonages(signature_secret, bearer(request), payload, reception.now_s()):
            raise forbidden("The webhook is not signed by Vonage.")
        data = read_json(payload)
        return {str(k): v for k, v in data.items()} if isinstance(data, dict) else {}

    @routes.api_route("/vonage/answer", methods=["GET", "POST"])
    async def answer(request: Request) -> Response:
        try:
            call = {k: v for k, v in (await told(request)).items() if isinstance(v, str)}
            wanted = asked_for(request, call.get("from", ""))
            reception.admit("vonage")
        except AtCapacity:
            return JSONResponse(_busy(wanted.language))
        except TomError as error:
            return reception.refusal(error)
        ticket = ticket_of(wanted, call=call.get("uuid", ""), called=call.get("to", "")[:40])
        endpoint = {
            "type": "websocket",
            "uri": stream_url(request, public_url, "/vonage"),
            "content-type": CONTENT_TYPE,
            "headers": {"token": gate.issue(ticket)},
        }
        return JSONResponse([{"action": "connect", "endpoint": [endpoint]}])

    @routes.api_route("/vonage/event", methods=["GET", "POST"])
    async def event() -> Response:
        return Response(status_code=204)  # an application must have such an address; TOM needs none

    @routes.websocket("/vonage")
    async def stream(websocket: WebSocket) -> None:
        accept = partial(VonageDoor.accept, admit=gate.admit)
        await serve_stream(websocket, gate, reception, accept)

    return routes


def _busy(language: str) -> list[dict[str, str]]:
    """Return what a caller hears when all lines are busy: an NCCO cannot reject a call."""
    spoken, text = _BUSY[language or "en"]
    return [{"action": "talk", "language": spoken, "text": text}]
