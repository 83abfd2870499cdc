"""Calls whose connection outlives the HTTP request that made it: each runs in a task kept here."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Protocol

import structlog
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from apps.core.errors import TomError, UnknownCall
from apps.dispatcher.routes.reception import Reception, fault
from apps.voice.doors.base import Door
from apps.voice.doors.webrtc.peer import Peer

log = structlog.get_logger(__name__)


Handler = Callable[[Request], Awaitable[Response]]


async def answer_page(reception: Reception, handler: Handler, request: Request) -> Response:
    """Answer a request, its error as JSON, for pages that may ask."""
    try:
        reception.check_page(request)
        return await handler(request)
    except TomError as error:
        return reception.refusal(error)


class PeerDoor(Door, Protocol):
    """A door over a WebRTC connection."""

    @property
    def peer(self) -> Peer:
        """The connection."""
        ...

    def complain(self, error: TomError) -> bool:
        """Tell the caller's side of an error."""
        ...


@dataclass(frozen=True, slots=True)
class _Going:
    door: PeerDoor
    task: asyncio.Task[None]


class PeerCalls:
    """The WebRTC calls of one way in, each under an id that cannot be guessed.

    Args:
        reception: Takes the calls.
        door: The door's name.
    """

    def __init__(self, reception: Reception, door: str) -> None:
        self._reception, self._door = reception, door
        self._going: dict[str, _Going] = {}

    def __len__(self) -> int:
        """Return how many calls there are, those that are being connected included."""
        return len(self._going)

    async def begin(
        self, request: HTTPConnection, answer: Callable[[], Awaitable[PeerDoor]]
    ) -> tuple[str, PeerDoor]:
        """Answer a caller and serve their call in the background.

        Args:
            request: Where the offer came from.
            answer: Answers the offer, once it is known that there is room for the call.

        Returns:
            The call's name here, and its door.

        Raises:
            AtCapacity: There is no room, or this address calls too much.
            ProtocolError: The offer or what is asked for cannot be served.
        """
        switchboard = self._reception.switchboard
        with ExitStack() as line:
            line.enter_context(self._reception.line(self._door, request))
            call_id = line.enter_context(switchboard.reserve(self._door))
            door = await answer()
            try:
                switchboard.options(door)
            except TomError:
                await door.peer.close()
                raise
            name = secrets.token_urlsafe(24)
            serving = self._serve(name, door, call_id, line.pop_all())
            self._going[name] = _Going(door, asyncio.create_task(serving, name=self._door))
        return name, door

    def find(self, name: str) -> PeerDoor:
        """Return a call's door.

        Raises:
            UnknownCall: There is none of that name.
        """
        if name not in self._going:
            raise UnknownCall("There is no such call.", hint="It may have ended.")
        return self._going[name].door

    async def hang_up(self, name: str) -> None:
        """End a call for its caller; it is settled in the background.

        Raises:
            UnknownCall: There is none of that name.
        """
        await self.find(name).peer.close()

    async def aclose(self) -> None:
        """End what is left, when the server stops."""
        tasks = [going.task for going in self._going.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, name: str, door: PeerDoor, call_id: str, line: ExitStack) -> None:
        """Stay with a call to its end."""
        with line:
            try:
                if await door.peer.connected():
                    await self._hold(door, call_id)
                else:
                    log.info("peer_not_connected", door=self._door)
            finally:
                del self._going[name]
                await door.peer.close()

    async def _hold(self, door: PeerDoor, call_id: str) -> None:
        """Have a call taken; whatever goes wrong in it stays in it."""
        try:
            await self._reception.switchboard.take(door, reserved=call_id)
            return
        except TomError as error:
            why = error
        except Exception:
            log.exception("call_crashed")
            why = fault()
        door.complain(why)
        await door.peer.linger()
