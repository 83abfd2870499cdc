"""The routes of Twilio's Media Streams."""

from __future__ import annotations

from fastapi import APIRouter, WebSocket

from apps.dispatcher.routes.reception import Reception
from apps.dispatcher.routes.socket import StarletteSocket
from apps.voice.doors.twilio import TwilioDoor


def router(reception: Reception) -> APIRouter:
    """Return the routes by which Twilio brings calls."""
    routes = APIRouter()

    @routes.websocket("/twilio")
    async def twilio(websocket: WebSocket) -> None:
        if websocket.headers.get("origin") is not None:
            await websocket.close(1008, "no browser calls here")  # before accepting: HTTP 403
            return
        await websocket.accept()
        socket = StarletteSocket(websocket)
        await reception.serve(socket, TwilioDoor.accept(socket))

    return routes
