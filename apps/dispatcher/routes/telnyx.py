"""The routes of Telnyx: the TeXML webhook, and the call's media stream."""

from __future__ import annotations

from functools import partial
from urllib.parse import quote

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from fastapi import APIRouter, Request, Response, WebSocket

from apps.core.errors import AtCapacity, TomError
from apps.dispatcher.routes.carriers import (
    Gate,
    RestHandOver,
    asked_for,
    forbidden,
    read_form,
    serve_stream,
    stream_url,
    ticket_of,
    xml,
)
from apps.dispatcher.routes.reception import Reception, is_local
from apps.voice.doors.carriers.markup import HANG_UP, REJECT_BUSY, connect, document
from apps.voice.doors.carriers.signatures import is_telnyx
from apps.voice.doors.carriers.tickets import TicketOffice
from apps.voice.doors.telnyx import TelnyxDoor

TOKEN_HEADER = "x-telnyx-streaming-auth-token"  # noqa: S105 - its name
_STREAM = {
    "track": "inbound_track",
    "codec": "PCMU",
    "bidirectionalMode": "rtp",
    "bidirectionalCodec": "PCMU",
}


def router(
    reception: Reception,
    *,
    public_key: Ed25519PublicKey | None = None,
    hand_over: RestHandOver | None = None,
    public_url: str = "",
) -> APIRouter:
    """Return the routes by which Telnyx brings calls.

    Args:
        reception: Where the calls go.
        public_key: Checks what Telnyx signs; without it only this machine may call.
        hand_over: Telnyx' API of calls; None where none is set.
        public_url: How the outside reaches this server.
    """
    routes = APIRouter()
    office = TicketOffice(reception.operator_token.encode(), "telnyx")
    gate = Gate(office, public_key is not None, hand_over, bound=False, now_s=reception.now_s)

    def check(request: Request, body: bytes) -> None:
        if public_key is None:
            if not is_local(request):
                raise forbidden("TOM_TELNYX_PUBLIC_KEY is not set.")
            return
        signature = request.headers.get("telnyx-signature-ed25519", "")
        timestamp = request.headers.get("telnyx-timestamp", "")
        if not is_telnyx(public_key, signature, timestamp, body, reception.now_s()):
            raise forbidden("The webhook is not signed by Telnyx.")

    @routes.post("/telnyx/voice")
    async def voice(request: Request) -> Response:
        try:
            body = await request.body()
            check(request, body)
            fields = dict(read_form(body))
            wanted = asked_for(request, fields.get("From", ""))
            reception.admit("telnyx")
        except AtCapacity:
            return xml(document(REJECT_BUSY))
        except TomError as error:
            return reception.refusal(error)
        call, account = fields.get("CallSid", ""), fields.get("AccountSid", "")
        token = gate.issue(ticket_of(wanted, call=call, account=account))
        url = f"{stream_url(request, public_url, '/telnyx')}?token={quote(token)}"
        return xml(document(connect({"url": url, **_STREAM}, {}), HANG_UP))

    @routes.websocket("/telnyx")
    async def stream(websocket: WebSocket) -> None:
        token = websocket.query_params.get("token") or websocket.headers.get(TOKEN_HEADER, "")
        admit = partial(gate.admit, token=token)
        await serve_stream(websocket, gate, reception, partial(TelnyxDoor.accept, admit=admit))

    return routes
