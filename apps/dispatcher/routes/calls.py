"""The native door's route: docs/protocol.md."""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter, WebSocket

from apps.dispatcher.routes.reception import Reception, is_same_origin
from apps.dispatcher.routes.socket import StarletteSocket
from apps.voice.doors.websocket import WebSocketDoor


def router(reception: Reception) -> APIRouter:
    """Return the route of the native WebSocket door, /v1/call."""
    routes = APIRouter()

    @routes.websocket("/v1/call")
    async def call(websocket: WebSocket) -> None:
        headers = websocket.headers
        if not is_same_origin(headers.get("origin"), headers.get("host")):
            await websocket.close(1008, "foreign origin")  # before accepting: HTTP 403
            return
        await websocket.accept()
        socket = StarletteSocket(websocket)
        may_observe = partial(reception.is_operator, websocket)
        await reception.serve(socket, WebSocketDoor.accept(socket, may_observe))

    return routes
