"""The peer behind a WebSocket, whatever it speaks: how it is refused, and how fast it may send."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from apps.core.errors import ProtocolError, TomError
from apps.core.rate import Lead, TokenBucket
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
