"""The route of the OpenAI Realtime protocol: docs/doors/realtime.md."""

from __future__ import annotations

import hmac

from fastapi import APIRouter, WebSocket

from apps.core.errors import AtCapacity, ProtocolError, TomError
from apps.dispatcher.routes.reception import Reception, bearer, is_local
from apps.dispatcher.routes.socket import StarletteSocket
from apps.voice.doors.base import CallRequest
from apps.voice.doors.peer import Socket, refuse
from apps.voice.doors.realtime.door import RealtimeDoor, error_event
from apps.voice.doors.realtime.messages import Refused
from apps.voice.doors.realtime.session import read_language

SUBPROTOCOL = "realtime"
KEY_SUBPROTOCOL = "openai-insecure-api-key."
DEFAULT_MODELS = ("", "tom")


def router(reception: Reception, key: str = "") -> APIRouter:
    """Return the route of Realtime sessions, /v1/realtime.

    Args:
        reception: Shared by all doors.
        key: Lets clients of other machines in; empty for none but the operator token.
    """
    routes = APIRouter()

    @routes.websocket("/v1/realtime")
    async def realtime(websocket: WebSocket) -> None:
        given = sent_key(websocket)
        grant = reception.grant(given)
        if grant is None and not may_call(reception, websocket, given, key):
            await websocket.close(1008, "invalid API key")  # before accepting: HTTP 403
            return
        offered = websocket.scope.get("subprotocols", [])
        await websocket.accept(SUBPROTOCOL if SUBPROTOCOL in offered else None)
        socket = StarletteSocket(websocket)
        try:
            with reception.line(RealtimeDoor.name, websocket):
                await reception.serve(socket, _accept(reception, socket, websocket, given))
        except AtCapacity as error:
            await refuse(socket, error, error_event(error))

    return routes


async def _accept(
    reception: Reception, socket: Socket, websocket: WebSocket, given: str
) -> RealtimeDoor:
    """Open a session that the call will be taken for; a refusal is told in the protocol's form."""
    model = websocket.query_params.get("model", "")
    try:
        request = read_request(reception, model, websocket.query_params.get("language", ""))
        if (grant := reception.grant(given)) is not None:
            profile, language = grant.narrow(request.profile, request.language)
            request = CallRequest(profile, language)
        door = await RealtimeDoor.accept(socket, request, model or "tom")
        reception.switchboard.options(door)
    except TomError as error:
        await refuse(socket, error, error_event(error))
        raise
    return door


def read_request(reception: Reception, model: str, language: str) -> CallRequest:
    """Return whom a client calls: a profile by its name, or the default one.

    Raises:
        ProtocolError: There is no such profile, or no such language.
    """
    profiles = reception.switchboard.services.profiles
    if model not in profiles and model not in DEFAULT_MODELS and not model.startswith("gpt-"):
        raise Refused(
            f"There is no model {model[:40]!r}: name a profile ({', '.join(sorted(profiles))}).",
            code="model_not_found",
            param="model",
        )
    if language and (language := read_language(language) or "") == "":
        raise ProtocolError("Languages are de and en.", code="unsupported_language")
    return CallRequest(model if model in profiles else "", language)


def sent_key(websocket: WebSocket) -> str:
    """Return the key that a client sent: in the Authorization header, or as a subprotocol."""
    for offered in websocket.scope.get("subprotocols", []):
        if offered.startswith(KEY_SUBPROTOCOL):
            return str(offered.removeprefix(KEY_SUBPROTOCOL))
    return bearer(websocket)


def may_call(reception: Reception, websocket: WebSocket, given: str, key: str) -> bool:
    """Tell whether a client may call: from this machine, by the key, or by the operator token."""
    by_key = bool(key) and hmac.compare_digest(given.encode(), key.encode())
    return by_key or is_local(websocket) or reception.is_operator(websocket, given)
