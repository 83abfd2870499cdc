"""The operators' API of the language servers, /v1/llm/providers: docs/gateway.md."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from apps.core.errors import TomError
from apps.dispatcher.providers import ProviderDesk
from apps.dispatcher.routes.bodies import read_as
from apps.dispatcher.routes.reception import Reception, for_operators


class ProviderOrder(BaseModel):
    """What an operator changes; what is not given stays as it is."""

    model_config = ConfigDict(extra="forbid", strict=True)

    first: list[str] | None = Field(None, max_length=32)
    off: list[str] | None = Field(None, max_length=32)


def router(reception: Reception, desk: ProviderDesk | None) -> APIRouter:
    """Return the routes by which operators see and change the providers.

    Args:
        reception: Knows who is an operator.
        desk: The providers; None where no server is set up.
    """
    routes = APIRouter()

    def opened(request: Request) -> ProviderDesk:
        if not reception.is_operator(request):
            raise for_operators()
        if desk is None:
            raise TomError(
                "No language server is set up: the embedded answerer speaks.",
                hint="Set TOM_LLM_URL or TOM_LLM_PROVIDERS.",
                code="no_providers",
            )
        return desk

    @routes.get("/v1/llm/providers")
    async def show(request: Request) -> Response:
        try:
            return JSONResponse(opened(request).status())
        except TomError as error:
            return _refusal(reception, error)

    @routes.patch("/v1/llm/providers")
    async def change(request: Request) -> Response:
        try:
            providers = opened(request)
            order = read_as(ProviderOrder, await request.body())
            return JSONResponse(await providers.change(first=order.first, off=order.off))
        except TomError as error:
            return _refusal(reception, error)

    return routes


def _refusal(reception: Reception, error: TomError) -> Response:
    if error.code in ("no_providers", "unknown_provider"):
        return JSONResponse({"error": error.as_dict()}, status_code=404)
    return reception.refusal(error)
