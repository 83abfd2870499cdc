"""The routes of the OpenAI Realtime protocol: docs/doors/realtime.md."""

from __future__ import annotations

import hmac
import secrets
from typing import Any, Literal

import structlog
from fastapi import APIRouter, WebSocket
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field, ValidationError
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from apps.core.errors import ProtocolError, TomError
from apps.dispatcher.routes.reception import Reception, bearer, fault
from apps.dispatcher.routes.socket import StarletteSocket
from apps.dispatcher.trust import Grant
from apps.voice.doors.base import CallRequest
from apps.voice.doors.peer import Socket, refuse
from apps.voice.doors.realtime.door import RealtimeDoor, error_event
from apps.voice.doors.realtime.messages import Refused, invalid
from apps.voice.doors.realtime.session import Session, read_language, update

log = structlog.get_logger(__name__)

SUBPROTOCOL = "realtime"
KEY_SUBPROTOCOL = "openai-insecure-api-key."
DEFAULT_MODELS = ("", "tom")


def router(reception: Reception, key: str = "") -> APIRouter:
    """Return the routes of Realtime sessions, under /v1/realtime.

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
        await _serve(reception, StarletteSocket(websocket), websocket, grant)

    @routes.post("/v1/realtime/client_secrets")
    async def client_secrets(request: Request) -> Response:
        try:
            if not may_call(reception, request, bearer(request), key):
                raise Refused("The API key is not right.", code="invalid_api_key")
            made = make_secret(reception, await request.body())
        except TomError as error:
            status = 401 if error.code == "invalid_api_key" else 400
            return JSONResponse({"error": error_event(error)["error"]}, status)
        return JSONResponse(made, headers={"Cache-Control": "no-store"})

    return routes


class _Lifetime(BaseModel):
    anchor: Literal["created_at"] = "created_at"
    seconds: int = Field(600, ge=10, le=7200)


class _SecretRequest(BaseModel):
    expires_after: _Lifetime = _Lifetime()
    session: dict[str, Any] = {}


def make_secret(reception: Reception, body: bytes) -> dict[str, Any]:
    """Return a client secret: a call token that a browser may hold in the key's place.

    Raises:
        TomError: It asks for what cannot be.
    """
    try:
        wanted = _SecretRequest.model_validate_json(body or b"{}")
    except ValidationError as error:
        raise invalid(error) from None
    model = wanted.session.get("model", "")
    request = read_request(reception, model if isinstance(model, str) else "?", "")
    session = update(Session("", model or DEFAULT_MODELS[-1]), wanted.session)
    expires_s = int(reception.now_s()) + wanted.expires_after.seconds
    grant = Grant(expires_s, request.profile, session.language)
    shown = session.as_dict() | {"id": f"sess_{secrets.token_hex(6)}", "expires_at": expires_s}
    return {"value": reception.sign(grant), "expires_at": expires_s, "session": shown}


async def _serve(
    reception: Reception, socket: Socket, websocket: WebSocket, grant: Grant | None
) -> None:
    """Serve one session to its end; whatever goes wrong in it stays in it."""
    model = websocket.query_params.get("model", "")
    switchboard, name = reception.switchboard, RealtimeDoor.name
    try:
        request = read_request(reception, model, websocket.query_params.get("language", ""))
        if grant is not None:
            request = CallRequest(*grant.narrow(request.profile, request.language))
        with reception.line(name, websocket), switchboard.reserve(name) as call_id:
            door = await RealtimeDoor.accept(socket, request, model or DEFAULT_MODELS[-1])
            await switchboard.take(door, reserved=call_id)
    except TomError as error:
        await refuse(socket, error, error_event(error))
    except Exception:
        log.exception("call_crashed")
        await refuse(socket, fault(), error_event(fault(), "server_error"))


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


def may_call(reception: Reception, peer: HTTPConnection, given: str, key: str) -> bool:
    """Tell whether a client may call: from this machine, by the key, or by the operator token."""
    by_key = bool(key) and hmac.compare_digest(given.encode(), key.encode())
    return by_key or reception.is_operator(peer, given)
