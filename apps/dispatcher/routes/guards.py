"""What stands before all routes: no body is too long, and no request is trusted by mistake."""

from __future__ import annotations

from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from apps.core.errors import ProtocolError
from apps.dispatcher.routes.reception import FROM_ELSEWHERE


class FromElsewhere:
    """Middleware that marks every request as one that may come from anywhere.

    Args:
        app: What is protected.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or connection."""
        scope[FROM_ELSEWHERE] = True
        await self._app(scope, receive, send)


class LimitBody:
    """Middleware that refuses longer bodies with 413, whether or not they say how long they are.

    Args:
        app: What is protected.
        most: Bytes that a body may have.
    """

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app, self._most = app, most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if not length.isdigit() or int(length) > self._most:
            await self._refuse(scope, receive, send)
            return
        read, begun = 0, False

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body") or b"")
            if read > self._most:
                raise _TooLong
            return message

        async def noticed(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, counted, noticed)
        except _TooLong:
            if not begun:
                await self._refuse(scope, receive, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        error = ProtocolError(
            "The request is too long.", hint=f"At most {self._most} bytes.", code="too_long"
        )
        answer = JSONResponse({"error": error.as_dict()}, status_code=413)
        await answer(scope, receive, send)


class _TooLong(Exception):
    pass
