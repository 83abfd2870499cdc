"""The HTTP and WebSocket server: the doors' routes, the call page, health, and metrics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles

from apps.dispatcher.routes.reception import Reception
from apps.monitor.metrics import Metrics

PAGE = Path(__file__).with_name("page")
_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """Which engine serves a role, and why that one.

    Attributes:
        engine: Its name; None when nothing serves the role.
        why: In a sentence.
        required: Whether the server is not ready without it.
        up: Whether it serves right now.
    """

    engine: str | None
    why: str
    required: bool
    up: bool


def create_app(
    reception: Reception,
    *,
    routers: Iterable[APIRouter],
    metrics: Metrics,
    metrics_enabled: bool,
    engines: Callable[[], Mapping[str, EngineStatus]],
) -> FastAPI:
    """Return the web application.

    Args:
        reception: What its doors share.
        routers: The routes of the open doors.
        metrics: What /metrics shows.
        metrics_enabled: Whether it does.
        engines: Tells which engine serves each role now.
    """
    app = FastAPI(title="TOM", docs_url=None, redoc_url=None, openapi_url=None)
    switchboard = reception.switchboard

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/readyz")
    async def readyz() -> JSONResponse:
        roles = engines()
        ready = switchboard.ready and all(r.up or not r.required for r in roles.values())
        body = {
            "status": "ready" if ready else "not ready",
            "live_calls": switchboard.live_calls,
            "max_calls": switchboard.max_calls,
            "engines": {
                role: {"engine": s.engine, "up": s.up, "why": s.why} for role, s in roles.items()
            },
        }
        return JSONResponse(body, status_code=200 if ready else 503)

    @app.get("/metrics")
    async def metrics_page() -> Response:
        if not metrics_enabled:
            return Response("Metrics are switched off (PROMETHEUS_ENABLED).", status_code=404)
        body, content_type = metrics.exposition()
        return Response(body, headers={"Content-Type": content_type})

    for routes in routers:
        app.include_router(routes)

    @app.middleware("http")
    async def guard_page(
        request: Request, answer: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        response = await answer(request)
        response.headers.update(_PAGE_HEADERS)
        return response

    @app.get("/")
    async def page() -> FileResponse:
        return FileResponse(PAGE / "index.html")

    app.mount("/page", StaticFiles(directory=PAGE), name="page")
    return app
