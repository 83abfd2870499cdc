"""Ratings that come after their call's end, by its token: docs/protocol.md."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from apps.core.clock import loop_ms
from apps.core.errors import AtCapacity, TomError
from apps.dispatcher.rating_tokens import MAX_TOKEN_CHARS
from apps.dispatcher.routes.bodies import read_as
from apps.dispatcher.routes.reception import Reception, address_of, is_local
from apps.dispatcher.trust import AddressBook, AddressLimits

RATINGS_PER_MINUTE = 30
"""From one address; a household or an office rates its calls seldom at the same time."""
_HINT = 'Send {"token": the rating_token of the call, "rating": 1 to 5}, and nothing else.'


class LateRating(BaseModel):
    """A call's rating and the token that proves it to be the caller's."""

    model_config = ConfigDict(extra="forbid", strict=True)

    token: str = Field(min_length=1, max_length=MAX_TOKEN_CHARS)
    rating: int = Field(ge=1, le=5)


def router(reception: Reception) -> APIRouter:
    """Return the route that takes late ratings, /v1/calls/rating."""
    routes = APIRouter()
    book = AddressBook(AddressLimits(calls_per_minute=RATINGS_PER_MINUTE))

    @routes.post("/v1/calls/rating")
    async def rating(request: Request) -> Response:
        try:
            reception.check_page(request)
            if not is_local(request):
                _charge(book, address_of(request))
            return await _answer(reception, request)
        except TomError as error:
            return reception.refusal(error)

    return routes


async def _answer(reception: Reception, request: Request) -> Response:
    given = read_as(LateRating, await request.body(), hint=_HINT)
    stored = await reception.switchboard.services.router.rate(given.token, given.rating)
    return JSONResponse(
        {"rating": given.rating, "stored": stored}, headers={"Cache-Control": "no-store"}
    )


def _charge(book: AddressBook, address: str) -> None:
    try:
        book.call(address, loop_ms())
    except AtCapacity as error:
        raise AtCapacity(
            "Too many ratings come from here.",
            hint=f"Try again in {error.retry_after_s} seconds.",
            code="too_many_ratings",
            retry_after_s=error.retry_after_s,
        ) from None
