"""Where AudioSocket connections come in."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

import structlog

from apps.core.errors import ConfigError, ProtocolError, TomError
from apps.voice.doors.asterisk.audiosocket import AudioSocketDoor, Connection, first_packet
from apps.voice.doors.asterisk.desk import Desk
from apps.voice.doors.asterisk.frames import ERROR, HANG_UP
from apps.voice.doors.base import CallRequest, Door

MAX_CONNECTIONS = 1000

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class AudioSocketListener:
    """Takes AudioSocket connections and brings their calls in.

    Args:
        take: Stays with a call to its end.
        desk: What the dialplan said of its calls, and asks of them.
        may_call: Tells whether a peer of this address may call without having been announced.
        now_s: Tells the Unix time.
    """

    take: Callable[[Door], Awaitable[None]]
    desk: Desk
    may_call: Callable[[str], bool]
    now_s: Callable[[], float] = time.time
    _open: int = 0

    @asynccontextmanager
    async def listen(self, host: str, port: int) -> AsyncGenerator[int, None]:
        """Listen within the block; yields the port.

        Raises:
            ConfigError: The address is taken or not this machine's.
        """
        try:
            server = await asyncio.start_server(self._connected, host, port)
        except OSError as error:
            raise ConfigError(
                f"AudioSocket cannot listen on {host}:{port}: {error.strerror}.",
                hint="Set TOM_AUDIOSOCKET_HOST and TOM_AUDIOSOCKET_PORT.",
            ) from None
        try:
            yield int(server.sockets[0].getsockname()[1])
        finally:
            server.close()
            await server.wait_closed()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection to its end; whatever goes wrong in it stays in it."""
        connection = Connection(reader, writer)
        peer = writer.get_extra_info("peername")
        try:
            if self._open >= MAX_CONNECTIONS:
                return
            self._open += 1
            try:
                await self._serve(connection, peer[0] if peer else "")
            finally:
                self._open -= 1
        except TomError as error:
            log.info("audiosocket_refused", code=error.code)
            await connection.send(ERROR)
            await connection.send(HANG_UP)
        except Exception:
            log.exception("call_crashed")
        finally:
            await connection.close()

    async def _serve(self, connection: Connection, address: str) -> None:
        call = (await first_packet(connection)).call
        door = AudioSocketDoor(connection, self._request(call, address), self._leave_word(call))
        pacing = asyncio.create_task(door.pace(), name="audiosocket-pace")
        try:
            await self.take(door)
        finally:
            pacing.cancel()
            await asyncio.gather(pacing, return_exceptions=True)

    def _request(self, call: UUID, address: str) -> CallRequest:
        request = self.desk.claim(call, self.now_s())
        if request is None and not self.may_call(address):
            raise ProtocolError(
                "The call was not announced.",
                hint="The dialplan of deploy/asterisk announces each call.",
                code="forbidden",
            )
        return request or CallRequest()

    def _leave_word(self, call: UUID) -> Callable[[str, str], Awaitable[None]]:
        async def leave(target: str, summary: str) -> None:
            self.desk.hand_over(call, target, self.now_s())

        return leave
