"""uvicorn's protocols, made fair: no connection holds up the others by what it sends at once.

A quarter of a megabyte is read from a connection at a time. As one message that is nothing; as
forty thousand empty frames or chunks it takes seconds, while every call is silent. So what came is
taken in slices, with a turn of the loop for everybody else between them, and a WebSocket that sends
far more frames than any client has a reason to is closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from apps.core.clock import loop_ms
from apps.core.rate import TokenBucket

if TYPE_CHECKING:
    from uvicorn._types import ASGIReceiveEvent

SLICE_BYTES = 2048
"""As much as 20 ms of 48 kHz audio, and at most 350 frames."""
FRAMES_PER_S = 300.0
FRAME_BURST = 1500.0
"""Of any kind; above what the doors answer with an error of their own."""


class Slices:
    """What came over one connection, handed on a slice a turn.

    Args:
        take: Takes a slice.
        reads: Tells whether the protocol wants to read on.
        waits: What came waits, too, while it does not; `go_on` must be called when it does again.
    """

    def __init__(
        self, take: Callable[[bytes], None], reads: Callable[[], bool], *, waits: bool
    ) -> None:
        self._take, self._reads, self._waits = take, reads, waits
        self._waiting = b""
        self._turn: asyncio.Handle | None = None
        self._paused = False

    def push(self, data: bytes, transport: asyncio.Transport) -> None:
        """Add what came; the first slice is taken at once, unless others wait."""
        self._waiting += data
        if self._turn is None:
            self.go_on(transport)
        else:
            self._pause(transport)

    def go_on(self, transport: asyncio.Transport) -> None:
        """Take the next slice, if there is one and it may be taken; the rest waits its turn."""
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        if self._waiting and self._may_go_on():
            data, self._waiting = self._waiting[:SLICE_BYTES], self._waiting[SLICE_BYTES:]
            self._take(data)
        if transport.is_closing():
            self._waiting = b""
        elif self._waiting:
            self._pause(transport)
            if self._may_go_on():
                self._turn = asyncio.get_running_loop().call_soon(self.go_on, transport)
        elif self._paused:
            self._paused = False
            if self._reads():
                transport.resume_reading()

    def drop(self) -> None:
        """Forget what waits."""
        self._waiting = b""

    def _may_go_on(self) -> bool:
        return not self._waits or self._reads()

    def _pause(self, transport: asyncio.Transport) -> None:
        if not transport.is_closing():
            self._paused = True
            transport.pause_reading()


class FairHttp(H11Protocol):
    """HTTP whose requests are read in slices."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._slices = Slices(self._take, lambda: not self.flow.read_paused, waits=False)

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        self._slices.push(data, self.transport)

    def _take(self, data: bytes) -> None:
        super().data_received(data)
        if self.transport.get_protocol() is not self:  # a WebSocket's, who has nothing to say yet
            self._slices.drop()


class FairWebSocket(WebSocketsSansIOProtocol):
    """A WebSocket whose frames are read in slices, and counted."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        take = super().data_received
        self._slices = Slices(take, lambda: not self.read_paused, waits=True)
        self._frames = TokenBucket(FRAMES_PER_S / 1000, FRAME_BURST, loop_ms())

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        self._slices.push(data, self.transport)

    def handle_events(self) -> None:
        """Take the frames of a slice, unless there are too many."""
        if not self._frames.take(loop_ms(), len(self.conn.events)):
            self.transport.abort()
            return
        super().handle_events()

    async def receive(self) -> ASGIReceiveEvent:
        """Return the next message, and read on once none waits."""
        message = await super().receive()
        if not self.read_paused and not self.transport.is_closing():
            self._slices.go_on(self.transport)
        return message
