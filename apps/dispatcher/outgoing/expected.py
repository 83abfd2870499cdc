"""Calls that were dialled through a carrier and whose audio comes back by a connection of its own.

Who dials (`dialers`) expects a door and gives the carrier its token; the route that the carrier
then connects to hands the door over by that token and keeps the connection until it is closed.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from apps.core.errors import ProtocolError
from apps.voice.doors.base import Door


class Expected:
    """The doors that are expected, by their tokens; each token serves once."""

    def __init__(self) -> None:
        self._waiting: dict[str, asyncio.Future[Door]] = {}

    @contextmanager
    def door(self) -> Iterator[tuple[str, asyncio.Future[Door]]]:
        """Expect one door within the block: yields its token, and what it will be."""
        token = secrets.token_urlsafe(16)
        arrival: asyncio.Future[Door] = asyncio.get_running_loop().create_future()
        self._waiting[token] = arrival
        try:
            yield token, arrival
        finally:
            self._waiting.pop(token, None)

    async def hold(self, token: str, door: Door) -> None:
        """Hand a door over to who dialled, and wait until it is closed.

        Raises:
            ProtocolError: Nobody expects a call by this token (any more).
        """
        arrival = self._waiting.pop(token, None)
        if arrival is None or arrival.done():
            raise ProtocolError("No call of this token is expected.", code="unknown_call")
        held = HeldDoor(door)
        arrival.set_result(held)
        await held.closed.wait()


class HeldDoor:
    """A door whose connection is kept by another task until it is closed."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self.name, self.request, self.capabilities = door.name, door.request, door.capabilities
        self.events, self.play, self.flush = door.events, door.play, door.flush
        self.closed = asyncio.Event()

    @property
    def unplayed_ms(self) -> float:
        """How much of what was sent the client has not confirmed as played."""
        return self._door.unplayed_ms

    async def tell(self, kind: str, data: Mapping[str, Any]) -> None:
        """Send a live event of the call."""
        await self._door.tell(kind, data)

    async def transfer(self, target: str, summary: str) -> None:
        """Hand the callee over to a person."""
        await self._door.transfer(target, summary)

    async def close(self, reason: str) -> None:
        """Hang up, and let the connection's task go."""
        try:
            await self._door.close(reason)
        finally:
            self.closed.set()
