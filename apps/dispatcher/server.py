"""The HTTP and WebSocket server: the doors' routes, the call page, health, and metrics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles

from apps.dispatcher.routes.guards import FromElsewhere, LimitBody
from apps.dispatcher.routes.reception import Reception, for_operators
from apps.monitor.metrics import Metrics

PAGE = Path(__file__).with_name("page")
MAX_BODY_BYTES = 65_536
"""Of any request; offers and carriers' forms are a few kilobytes."""
_POLICY = (
    "default-src 'self'",
    "connect-src 'self'",
    "media-src 'self' blob:",
    "object-src 'none'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
)
_HEADERS = {
    "Content-Security-Policy": "; ".join(_POLICY),
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
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
    providers: Callable[[], Mapping[str, object]] | None = None,
) -> FastAPI:
    """Return the web application.

    Args:
        reception: What its doors share.
        routers: The routes of the open doors.
        metrics: What /metrics shows.
        metrics_enabled: Whether it does.
        engines: Tells which engine serves each role now.
        providers: Tells how the language servers are; None where there is none.
    """
    app = FastAPI(title="TOM", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(LimitBody, most=MAX_BODY_BYTES)
    if not reception.trust_loopback:
        app.add_middleware(FromElsewhere)
    if reception.allowed_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=sorted(reception.allowed_origins),
            allow_methods=["GET", "POST", "PATCH", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "If-Match"],
            expose_headers=["Location", "Link", "ETag", "Retry-After"],
        )
    switchboard = reception.switchboard

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/readyz")
    async def readyz(request: Request) -> JSONResponse:
        roles = engines()
        ready = switchboard.ready and all(r.up or not r.required for r in roles.values())
        status = "ready" if ready else "draining" if switchboard.draining else "not ready"
        body: dict[str, object] = {"status": status}
        if reception.is_operator(request):
            body |= {
                "live_calls": switchboard.live_calls,
                "max_calls": switchboard.max_calls,
                "doors": dict(switchboard.calls_by_door),
                "engines": {
                    role: {"engine": s.engine, "up": s.up, "why": s.why}
                    for role, s in roles.items()
                },
            }
            if providers is not None:
                body["llm"] = providers()
        return JSONResponse(body, status_code=200 if ready else 503)

    @app.get("/metrics")
    async def metrics_page(request: Request) -> Response:
        if not metrics_enabled:
            return Response("Metrics are switched off (PROMETHEUS_ENABLED).", status_code=404)
        if not reception.is_operator(request):
            return reception.refusal(for_operators())
        body, content_type = metrics.exposition()
        return Response(body, headers={"Content-Type": content_type})

    for routes in routers:
        app.include_router(routes)

    @app.middleware("http")
    async def add_headers(
        request: Request, answer: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        response = await answer(request)
        response.headers.update(_HEADERS)
        response.headers.setdefault("Cache-Control", "no-cache")
        return response

    @app.get("/")
    async def page() -> FileResponse:
        return FileResponse(PAGE / "index.html")

    app.mount("/page", StaticFiles(directory=PAGE), name="page")
    return app
