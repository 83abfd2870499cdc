"""Requests that wait: a peer's for its answer, this side's for its responses."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from apps.voice.doors.sip.dialog import new_tag, response_to
from apps.voice.doors.sip.message import Request, Response
from apps.voice.doors.sip.transport import Flow


@dataclass(slots=True, eq=False)
class Incoming:
    """A peer's request that waits for its answer.

    Attributes:
        request: What came; its Via says where it came from.
        flow: How it came.
        on_expired: Called when a 2xx of an INVITE was never acknowledged.
    """

    request: Request
    flow: Flow
    _answer: Callable[[Response], None]
    _answer_once: Callable[[Response], None]
    _ack: Callable[[], None]
    on_expired: Callable[[], None] | None = None
    answered: bool = False

    def respond(
        self, status: int, *extra: tuple[str, str], tag: str = "", body: bytes = b""
    ) -> None:
        """Answer it; after a final answer nothing more is said."""
        if self.answered:
            return
        self.answered = status >= 200
        self._answer(response_to(self.request, status, *extra, tag=tag, body=body))

    def respond_once(self, status: int, *extra: tuple[str, str]) -> None:
        """Answer it finally and forget it: whoever repeats it is handled anew.

        For strangers: they cost no memory, and an address that somebody made up is sent a single
        answer instead of the same one for half a minute (RFC 3261, 26.3.2.4).
        """
        if not self.answered:
            self.answered = True
            self._answer_once(response_to(self.request, status, *extra, tag=new_tag()))

    def acked(self) -> None:
        """Note that the ACK of a 2xx came."""
        self._ack()


@dataclass(slots=True, eq=False)
class Outgoing:
    """A request of this side's, and what comes back.

    Attributes:
        request: What was sent, with its Via.
        flow: How it was sent.
    """

    request: Request
    flow: Flow
    _responses: asyncio.Queue[Response | None] = field(default_factory=asyncio.Queue)
    on_more: Callable[[Response], None] | None = None
    """Takes further 2xx of an INVITE: repeated ones, and those of other branches of a fork."""
    last: Response | None = None
    """The response that came last."""
    _done: bool = False

    def tell(self, response: Response | None) -> None:
        """Take a response; None when there will be none."""
        if self._done:
            if response is not None and self.on_more is not None:
                self.on_more(response)
            return
        self.last = response
        self._done = response is None or response.is_final
        self._responses.put_nowait(response)

    async def response(self) -> Response | None:
        """Return the next response, or None when the peer never answers."""
        return await self._responses.get()

    async def final(self) -> Response | None:
        """Return the final response, or None when the peer never answers."""
        while (response := await self.response()) is not None and not response.is_final:
            pass
        return response
