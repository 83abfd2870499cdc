"""A Starlette WebSocket as what a door needs of one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from fastapi import WebSocket
from starlette.websockets import WebSocketDisconnect, WebSocketState

log = structlog.get_logger(__name__)

SEND_TIMEOUT_S = 5.0


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
