"""The API of outgoing calls, /v1/calls, for operators: docs/doors/outgoing.md."""

from __future__ import annotations

from datetime import datetime
from email.utils import format_datetime

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from apps.core.errors import ProtocolError, StoreError, TomError
from apps.dispatcher.outgoing.calls import OutgoingCalls
from apps.dispatcher.outgoing.decide import OutgoingRequest
from apps.dispatcher.outgoing.status import Refused
from apps.dispatcher.routes.bodies import read_as
from apps.dispatcher.routes.reception import Reception, for_operators

MAX_KEY = 200
_STATUS = {
    "bad_number": 422,
    "unknown_purpose": 422,
    "no_dialer": 422,
    "unknown_time_zone": 422,
    "number_not_allowed": 403,
    "do_not_call": 403,
    "no_consent": 403,
    "outside_hours": 409,
    "already_calling": 409,
    "key_reused": 409,
    "too_many_attempts": 429,
    "draining": 503,
    "busy": 503,
}
_RETRY_AFTER_S = {"draining": 30, "busy": 5}


class CallOrder(BaseModel):
    """What a call is asked for by; see `OutgoingRequest`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    to: str = Field(max_length=400)
    profile: str = Field("", max_length=40)
    language: str = Field("", max_length=2)
    purpose: str = Field("", max_length=40)
    via: str = Field("", max_length=20)
    timezone: str = Field("", max_length=60)


def router(reception: Reception, calls: OutgoingCalls) -> APIRouter:
    """Return the routes by which operators make calls.

    Args:
        reception: Knows who is an operator.
        calls: The outgoing calls.
    """
    routes = APIRouter()

    @routes.post("/v1/calls")
    async def place(request: Request) -> Response:
        try:
            _only_operators(reception, request)
            order = read_as(CallOrder, await request.body())
            key = request.headers.get("idempotency-key", "")
            if len(key) > MAX_KEY:
                raise ProtocolError("The idempotency key is too long.", code="bad_message")
            status = await calls.place(OutgoingRequest(**order.model_dump()), key)
        except TomError as error:
            return _refusal(reception, error)
        where = {"Location": f"/v1/calls/{status.call}"}
        return JSONResponse(status.as_dict(), status_code=202, headers=where)

    @routes.get("/v1/calls/{call_id}")
    async def show(request: Request, call_id: str) -> Response:
        try:
            _only_operators(reception, request)
            return JSONResponse((await calls.status(call_id)).as_dict())
        except TomError as error:
            return _refusal(reception, error)

    @routes.delete("/v1/calls/{call_id}")
    async def cancel(request: Request, call_id: str) -> Response:
        try:
            _only_operators(reception, request)
            return JSONResponse((await calls.cancel(call_id)).as_dict(), status_code=202)
        except TomError as error:
            return _refusal(reception, error)

    return routes


def _only_operators(reception: Reception, request: Request) -> None:
    if not reception.is_operator(request):
        raise for_operators()


def _refusal(reception: Reception, error: TomError) -> Response:
    status = 503 if isinstance(error, StoreError) else _STATUS.get(error.code)
    if status is None:
        return reception.refusal(error)
    headers = {}
    later: datetime | None = error.not_before if isinstance(error, Refused) else None
    if later is not None:
        headers["Retry-After"] = format_datetime(later, usegmt=True)
    elif error.code in _RETRY_AFTER_S:
        headers["Retry-After"] = str(_RETRY_AFTER_S[error.code])
    body = {"error": error.as_dict()}
    return JSONResponse(body, status_code=status, headers=headers)
