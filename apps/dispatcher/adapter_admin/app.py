"""The adapters' listener as an application: seed 003's endpoints, every one behind the token.

It has an address of its own, loopback unless set otherwise, and believes nobody without the
operator token, this machine neither: whoever may change what callers hear says who they are.
"""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

import structlog
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.responses import Response

from apps.core.errors import (
    AdapterError,
    ConfigError,
    EngineError,
    EngineUnavailable,
    IllegalEvent,
    InvalidFeedback,
    ProtocolError,
    StoreError,
    TomError,
)
from apps.dispatcher.adapter_admin.bodies import (
    ChangeAdapter,
    Generate,
    LoadAdapter,
    RoutePrompt,
    UpdateFeedback,
)
from apps.dispatcher.adapter_admin.desk import AdminDesk
from apps.dispatcher.routes.bodies import read_as
from apps.dispatcher.routes.guards import LimitBody
from apps.rl.adapters.routing.router import Routed

log = structlog.get_logger(__name__)

MAX_BODY_BYTES = 32_768
MOST_ANSWERS = 8
"""So many are made at once; callers are answered by the same server."""
_BY_CODE = {"forbidden": 401, "adapter_unknown": 404}
_BY_KIND: tuple[tuple[type[TomError], int], ...] = (
    (ProtocolError, 400),
    (InvalidFeedback, 400),
    (ConfigError, 400),
    (AdapterError, 409),
    (IllegalEvent, 409),
    (EngineUnavailable, 503),
    (EngineError, 502),
    (StoreError, 503),
)
"""The status of each kind of error; the first that fits counts."""
_HINT = "docs/adapter-routing.md shows what each endpoint takes."
Handler = Callable[[Request], Awaitable[Response]]


def create_adapter_app(desk: AdminDesk, token: str) -> FastAPI:
    """Return the application.

    Args:
        desk: What its routes do.
        token: Everybody has to send it as ``Authorization: Bearer ...``.
    """
    app = FastAPI(title="TOM adapters", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(LimitBody, most=MAX_BODY_BYTES)
    room = asyncio.Semaphore(MOST_ANSWERS)
    routes: dict[tuple[str, str], Handler] = {
        ("GET", "/health"): _health,
        ("GET", "/status"): lambda _: _json(desk.status()),
        ("POST", "/load_adapter"): lambda r: _load(desk, r),
        ("POST", "/activate_adapter"): lambda r: _change(desk.activate, r),
        ("POST", "/deactivate_adapter"): lambda r: _change(desk.deactivate, r),
        ("POST", "/generate"): lambda r: _generate(desk, room, r),
        ("POST", "/route"): lambda r: _route(desk, r),
        ("POST", "/update_feedback"): lambda r: _feedback(desk, r),
    }
    for (method, path), handler in routes.items():
        app.add_api_route(path, _guarded(handler, token), methods=[method], response_model=None)
    return app


def _guarded(handler: Handler, token: str) -> Handler:
    """Return a handler that only the token opens, and whose errors are told as JSON."""

    async def guarded(request: Request) -> Response:
        try:
            _check(request, token)
            return await handler(request)
        except TomError as error:
            return _refusal(error)

    return guarded


def _check(request: Request, token: str) -> None:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(
        given.strip().encode(), token.encode()
    ):
        raise ProtocolError(
            "This listener needs the operator token.",
            hint="Send it as `Authorization: Bearer ...`; `tom link` shows where it is kept.",
            code="forbidden",
        )


def _refusal(error: TomError) -> JSONResponse:
    kind = next((status for kind, status in _BY_KIND if isinstance(error, kind)), 500)
    return JSONResponse(error.as_dict(), status_code=_BY_CODE.get(error.code, kind))


async def _health(_: Request) -> Response:
    return JSONResponse({"status": "alive"})


async def _json(told: Awaitable[dict[str, object]]) -> Response:
    return JSONResponse(await told, headers={"Cache-Control": "no-store"})


async def _load(desk: AdminDesk, request: Request) -> Response:
    given = read_as(LoadAdapter, await request.body(), hint=_HINT)
    return await _json(desk.load(given.adapter))


async def _change(
    change: Callable[[str, str], Awaitable[dict[str, object]]], request: Request
) -> Response:
    given = read_as(ChangeAdapter, await request.body(), hint=_HINT)
    return await _json(change(given.adapter, given.why))


async def _route(desk: AdminDesk, request: Request) -> Response:
    given = read_as(RoutePrompt, await request.body(), hint=_HINT)
    return JSONResponse(_decision(await desk.router.route(given.prompt)))


async def _feedback(desk: AdminDesk, request: Request) -> Response:
    given = read_as(UpdateFeedback, await request.body(), hint=_HINT)
    stored = await desk.router.reward(given.decision_id, given.value)
    return JSONResponse({"stored": stored, "reward": given.value})


async def _generate(desk: AdminDesk, room: asyncio.Semaphore, request: Request) -> Response:
    asked = read_as(Generate, await request.body(), hint=_HINT)
    if room.locked():
        raise EngineUnavailable(
            f"{MOST_ANSWERS} answers are being made already.", hint="Ask again later.", code="busy"
        )
    routed, adapter = await desk.generate(asked)
    answer = desk.answer(
        asked.prompt, profile=asked.profile, language=asked.language, adapter=adapter
    )
    told = {"adapter": adapter or "base", **({} if routed is None else _decision(routed))}
    if asked.stream:
        events = _events(answer, told, room)
        return StreamingResponse(
            events, media_type="text/event-stream", headers={"Cache-Control": "no-store"}
        )
    async with room, aclosing(answer) as sentences:
        text = " ".join([sentence async for sentence in sentences])
    return JSONResponse({**told, "text": text}, headers={"Cache-Control": "no-store"})


async def _events(
    answer: AsyncGenerator[str, None], told: dict[str, object], room: asyncio.Semaphore
) -> AsyncGenerator[str, None]:
    """Yield the decision, each sentence, and the end; an error ends the stream with its own event.

    Who hangs up closes this generator, and by it the answer and the server's own stream.
    """
    yield _event("route", told)
    async with room, aclosing(answer) as sentences:
        try:
            async for sentence in sentences:
                yield _event("sentence", {"text": sentence})
        except TomError as error:
            yield _event("error", error.as_dict())
            return
        except Exception as error:  # the status line was sent long ago
            log.error("generate_crashed", error=type(error).__name__)
            yield _event("error", {"code": "internal", "message": "The answer broke off."})
            return
    yield _event("done", {})


def _event(name: str, data: object) -> str:
    return f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"


def _decision(routed: Routed) -> dict[str, object]:
    route = routed.route
    return {
        "decision_id": routed.decision_id,
        "domain": route.domain,
        "adapter": routed.adapter or "base",
        "phase": route.phase.value,
        "confidence": round(route.confidence, 4),
        "propensity": round(route.propensity, 4),
        "scores": {name: round(score, 4) for name, score in route.scores.items()},
    }
