"""Call tokens for browsers, made for an operator's own site: docs/security.md."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from apps.core.errors import TomError
from apps.dispatcher.routes.bodies import read_as
from apps.dispatcher.routes.reception import Reception, for_operators
from apps.dispatcher.trust import Grant


class TokenRequest(BaseModel):
    """What a token is asked for."""

    model_config = ConfigDict(extra="forbid", strict=True)

    profile: str = Field("", max_length=40)
    language: str = Field("", max_length=2)
    observe: bool = False
    seconds: int = Field(300, ge=10, le=86_400)


def router(reception: Reception) -> APIRouter:
    """Return the route that makes call tokens, /v1/token."""
    routes = APIRouter()

    @routes.post("/v1/token")
    async def token(request: Request) -> Response:
        try:
            return await _answer(reception, request)
        except TomError as error:
            return reception.refusal(error)

    return routes


async def _answer(reception: Reception, request: Request) -> Response:
    if not reception.is_operator(request):
        raise for_operators()
    wanted = read_as(TokenRequest, await request.body() or b"{}")
    reception.switchboard.check(wanted.profile, wanted.language)
    grant = Grant(
        int(reception.now_s()) + wanted.seconds, wanted.profile, wanted.language, wanted.observe
    )
    made = {"token": reception.sign(grant), "expires_s": grant.expires_s}
    return JSONResponse(made, status_code=201, headers={"Cache-Control": "no-store"})
