"""The HTTP and WebSocket server: calls, the call page, health, and metrics."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import structlog
from fastapi import FastAPI, Request, Response, WebSocket
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.websockets import WebSocketDisconnect, WebSocketState

from apps.core.errors import TomError
from apps.dispatcher.switchboard import Switchboard
from apps.monitor.metrics import Metrics
from apps.voice.doors.base import Door
from apps.voice.doors.peer import refuse
from apps.voice.doors.twilio import TwilioDoor
from apps.voice.doors.websocket import WebSocketDoor

log = structlog.get_logger(__name__)

SEND_TIMEOUT_S = 5.0
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


class StarletteSocket:
    """A Starlette WebSocket as the door's `Socket`.

    A peer that does not read what it is sent is taken for gone after `SEND_TIMEOUT_S`.
    """

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        self._gone = False

    async def receive(self) -> str | bytes | None:
        """Return the next message, or None when the peer has gone."""
        if self._gone or self._websocket.application_state is not WebSocketState.CONNECTED:
            return None
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            return None
        text: str | None = message.get("text")
        return text if text is not None else bytes(message.get("bytes") or b"")

    async def send_text(self, text: str) -> None:
        """Send one text message, unless the peer has gone."""
        await self._send(self._websocket.send_text, text)

    async def send_bytes(self, data: bytes) -> None:
        """Send one binary message, unless the peer has gone."""
        await self._send(self._websocket.send_bytes, data)

    async def close(self, code: int, reason: str) -> None:
        """Close the connection, once."""
        await self._send(self._websocket.close, code, reason)

    async def _send(self, send: Callable[..., Awaitable[None]], *what: object) -> None:
        if not self._connected:
            return
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await send(*what)
        except (WebSocketDisconnect, RuntimeError):
            self._gone = True
        except TimeoutError:
            log.warning("peer_does_not_read")
            self._gone = True

    @property
    def _connected(self) -> bool:
        return (
            not self._gone
            and self._websocket.application_state is WebSocketState.CONNECTED
            and self._websocket.client_state is WebSocketState.CONNECTED
        )


def is_loopback(host: str | None) -> bool:
    """Tell whether a peer's address is this machine's own."""
    try:
        return host is not None and ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_same_origin(origin: str | None, host: str | None) -> bool:
    """Tell whether a browser's page was served by this server; other clients send no origin."""
    return origin is None or urlsplit(origin).netloc == host


def is_local_page(origin: str) -> bool:
    """Tell whether a page was served under this machine's own name."""
    name = urlsplit(origin).hostname
    return name == "localhost" or is_loopback(name)


def create_app(
    switchboard: Switchboard,
    *,
    metrics: Metrics,
    metrics_enabled: bool,
    operator_token: str,
    engines: Callable[[], Mapping[str, EngineStatus]],
) -> FastAPI:
    """Return the web application.

    Args:
        switchboard: Takes the calls.
        metrics: What /metrics shows.
        metrics_enabled: Whether it does.
        operator_token: Opens operators' details to other machines.
        engines: Tells which engine serves each role now.
    """
    app = FastAPI(title="TOM", docs_url=None, redoc_url=None, openapi_url=None)

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

    @app.websocket("/v1/call")
    async def call(websocket: WebSocket) -> None:
        headers = websocket.headers
        origin = headers.get("origin")
        if not is_same_origin(origin, headers.get("host")):
            await websocket.close(1008, "foreign origin")  # before accepting: HTTP 403
            return
        await websocket.accept()
        peer = websocket.client.host if websocket.client else None

        def may_observe(token: str) -> bool:
            # A page of another site may be open in this machine's browser.
            local = is_loopback(peer) and (origin is None or is_local_page(origin))
            return local or hmac.compare_digest(token.encode(), operator_token.encode())

        socket = StarletteSocket(websocket)
        await _serve_call(socket, switchboard, WebSocketDoor.accept(socket, may_observe))

    @app.websocket("/twilio")
    async def twilio(websocket: WebSocket) -> None:
        if websocket.headers.get("origin") is not None:
            await websocket.close(1008, "no browser calls here")  # before accepting: HTTP 403
            return
        await websocket.accept()
        socket = StarletteSocket(websocket)
        await _serve_call(socket, switchboard, TwilioDoor.accept(socket))

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


async def _serve_call(
    socket: StarletteSocket, switchboard: Switchboard, accepting: Awaitable[Door]
) -> None:
    """Serve one connection; whatever goes wrong in it stays in it."""
    try:
        await switchboard.take(await accepting)
    except TomError as error:
        await refuse(socket, error)
    except Exception:
        log.exception("call_crashed")
        fault = TomError("A fault on the server's side ended the call.", hint="It was logged.")
        await refuse(socket, fault)
