"""The native door's route: docs/protocol.md."""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter, WebSocket

from apps.dispatcher.routes.reception import Reception
from apps.dispatcher.routes.socket import StarletteSocket
from apps.voice.doors.websocket import WebSocketDoor


def router(reception: Reception) -> APIRouter:
    """Return the route of the native WebSocket door, /v1/call."""
    routes = APIRouter()

    @routes.websocket("/v1/call")
    async def call(websocket: WebSocket) -> None:
        if not reception.allows_page(websocket):
            await websocket.close(1008, "foreign origin")  # before accepting: HTTP 403
            return
        await websocket.accept()
        socket = StarletteSocket(websocket)

        async def accepting() -> WebSocketDoor:
            may_observe = partial(reception.may_observe, websocket)
            door = await WebSocketDoor.accept(socket, may_observe)
            door.request = reception.authorise(websocket, door.request, door.token)
            return door

        await reception.serve(socket, accepting(), peer=websocket, door=WebSocketDoor.name)

    return routes
