"""The peer behind a door, whatever it speaks: how it is listened to, and what it may do.

A door of one protocol adds how a message is read and what it says of an error.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from apps.core.clock import loop_ms
from apps.core.errors import ProtocolError, TomError
from apps.core.rate import Lead, TokenBucket
from apps.voice.doors.base import CallerHungUp, DoorEvent
from apps.voice.doors.messages import (
    CLOSE_BAD_MESSAGES,
    CLOSE_BUSY,
    CLOSE_FORBIDDEN,
    CLOSE_TIMEOUT,
    CLOSE_UNSUPPORTED,
)

START_TIMEOUT_S = 10.0
IDLE_TIMEOUT_S = 30.0
MAX_AHEAD_MS = 5000.0
MAX_ERRORS = 20
MESSAGES_PER_S = 100.0
MESSAGE_BURST = 400.0

CLOSE_UNKNOWN_PROFILE = 4404
CLOSE_INTERNAL = 1011
_CLOSE_CODES = {
    "busy": CLOSE_BUSY,
    "too_many_calls": CLOSE_BUSY,
    "forbidden": CLOSE_FORBIDDEN,
    "timeout": CLOSE_TIMEOUT,
    "unsupported_rate": CLOSE_UNSUPPORTED,
    "unknown_profile": CLOSE_UNKNOWN_PROFILE,
    "model_not_found": CLOSE_UNKNOWN_PROFILE,
    "internal": CLOSE_INTERNAL,
}


class Socket(Protocol):
    """What a door needs of a WebSocket; after the peer has gone, sending does nothing."""

    async def receive(self) -> str | bytes | None:
        """Return the next message, or None when the peer has gone."""
        ...

    async def send_text(self, text: str) -> None:
        """Send one text message."""
        ...

    async def send_bytes(self, data: bytes) -> None:
        """Send one binary message."""
        ...

    async def close(self, code: int, reason: str) -> None:
        """Close the connection; a second close does nothing."""
        ...


async def refuse(socket: Socket, error: TomError, message: Mapping[str, Any] | None = None) -> None:
    """Tell the peer what was wrong and close with the error's close code.

    Args:
        socket: The connection.
        error: What was wrong.
        message: How the door's own protocol says so.
    """
    await socket.send_text(json.dumps(message or {"type": "error", **error.as_dict()}))
    await socket.close(_CLOSE_CODES.get(error.code, CLOSE_BAD_MESSAGES), error.code)


@dataclass(slots=True)
class Pace:
    """How fast one peer sends: messages by a token bucket, audio by how far it is ahead.

    Args:
        began_ms: When its connection began.
    """

    began_ms: float
    _messages: TokenBucket = field(init=False)
    _lead: Lead = field(default_factory=Lead)

    def __post_init__(self) -> None:
        """Begin to count."""
        self._messages = TokenBucket(MESSAGES_PER_S / 1000, MESSAGE_BURST, self.began_ms)

    @property
    def calm(self) -> bool:
        """Whether it has not sent so much of late that it could keep others waiting."""
        return self._messages.left >= MESSAGE_BURST / 2

    def message(self, now_ms: float) -> None:
        """Count one message.

        Raises:
            ProtocolError: It came faster than any client has a reason to send.
        """
        if not self._messages.take(now_ms):
            raise ProtocolError(
                "Messages come too fast.",
                hint=f"At most {MESSAGES_PER_S:.0f} a second; send audio 20 ms at a time.",
                code="too_fast",
            )

    def check_audio(self) -> None:
        """Refuse audio of a peer that is too far ahead.

        Raises:
            ProtocolError: It is.
        """
        if self._lead.ms(self._messages.at_ms) > MAX_AHEAD_MS:
            raise ProtocolError(
                "Audio comes faster than real time.",
                hint="Send 20 ms every 20 ms.",
                code="audio_too_fast",
            )

    def audio(self, length_ms: float) -> None:
        """Count audio that was taken, with the latest message."""
        self._lead.add(length_ms, self._messages.at_ms)


class Patience:
    """What is borne of one peer within its call: how fast it sends, and how often it errs."""

    def __init__(self) -> None:
        self._pace, self._errors = Pace(loop_ms()), 0

    async def message(self) -> None:
        """Count one message, once all others have had their turn.

        They are the other calls, which a flood would stop (what has arrived already does not
        suspend), and in this call whoever still works on the message before.

        Raises:
            ProtocolError: It came too fast; code ``too_fast``.
        """
        await asyncio.sleep(0)
        self._pace.message(loop_ms())

    async def frame(self) -> None:
        """Count one message of a peer that sends little but frames; others wait for a few at most.

        Raises:
            ProtocolError: As by `message`.
        """
        if self._pace.calm:
            self._pace.message(loop_ms())
        else:
            await self.message()

    def check_audio(self) -> None:
        """Refuse audio of a peer that is too far ahead of real time.

        Raises:
            ProtocolError: It is; code ``audio_too_fast``.
        """
        self._pace.check_audio()

    def audio(self, length_ms: float) -> None:
        """Count audio that was taken."""
        self._pace.audio(length_ms)

    def ends(self, error: TomError) -> bool:
        """Count an error; True when the peer is to be given up: it errs too often, or is silent."""
        self._errors += 1
        return self._errors > MAX_ERRORS or error.code == "timeout"


Message = TypeVar("Message")


async def arrivals(
    receive: Callable[[], Awaitable[Any | None]],
    take: Callable[[Any], Awaitable[DoorEvent | None]],
    complain: Callable[[ProtocolError], Awaitable[bool]],
) -> AsyncGenerator[DoorEvent, None]:
    """Yield what comes from a caller; bad input is dropped, within bounds. Ends with their end.

    Args:
        receive: Returns the peer's next message, or None when it has gone.
        take: Returns what a message is for the call, or None; raises ProtocolError.
        complain: Tells the peer of an error; returns False when it is given up.
    """
    while True:
        event: DoorEvent | None
        try:
            async with asyncio.timeout(IDLE_TIMEOUT_S):
                message = await receive()
            event = CallerHungUp() if message is None else await take(message)
        except TimeoutError:
            await complain(_nothing_came())
            event = CallerHungUp(failed=True)
        except ProtocolError as error:
            event = None if await complain(error) else CallerHungUp(failed=True)
        if event is not None:
            yield event
            if isinstance(event, CallerHungUp):
                return


def _nothing_came() -> ProtocolError:
    return ProtocolError(
        f"Nothing came for {IDLE_TIMEOUT_S:.0f} seconds.",
        hint="Send silence, or a ping in a typed call.",
        code="timeout",
    )


async def first_message(receive: Callable[[], Awaitable[Message | None]]) -> Message:
    """Return a connection's first message.

    Args:
        receive: Returns the next message, or None when the peer has gone.

    Raises:
        ProtocolError: None came; code ``timeout`` or ``not_started``.
    """
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            message = await receive()
    except TimeoutError:
        raise ProtocolError(
            "No start message came.",
            hint=f"Send it within {START_TIMEOUT_S:.0f} seconds.",
            code="timeout",
        ) from None
    if message is None:
        raise ProtocolError("The connection closed before it began.", code="not_started")
    return message
