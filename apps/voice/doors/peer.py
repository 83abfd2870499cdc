"""The peer behind a WebSocket, whatever it speaks: how it is refused, and how fast it may send."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from apps.core.errors import ProtocolError, TomError
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

    Attributes:
        at_ms: When it was last looked at.
        allowed: Messages that may come at once.
        ahead_ms: How much more audio came than time has passed.
    """

    at_ms: float
    allowed: float = MESSAGE_BURST
    ahead_ms: float = 0.0

    def message(self, now_ms: float) -> None:
        """Count one message.

        Raises:
            ProtocolError: It came faster than any client has a reason to send.
        """
        passed_ms, self.at_ms = now_ms - self.at_ms, now_ms
        self.allowed = min(MESSAGE_BURST, self.allowed + passed_ms / 1000 * MESSAGES_PER_S)
        self.ahead_ms = max(0.0, self.ahead_ms - passed_ms)
        if self.allowed < 1.0:
            raise ProtocolError(
                "Messages come too fast.",
                hint=f"At most {MESSAGES_PER_S:.0f} a second; send audio 20 ms at a time.",
                code="too_fast",
            )
        self.allowed -= 1.0

    def check_audio(self) -> None:
        """Refuse audio of a peer that is too far ahead.

        Raises:
            ProtocolError: It is.
        """
        if self.ahead_ms > MAX_AHEAD_MS:
            raise ProtocolError(
                "Audio comes faster than real time.",
                hint="Send 20 ms every 20 ms.",
                code="audio_too_fast",
            )

    def audio(self, length_ms: float) -> None:
        """Count audio that was taken."""
        self.ahead_ms += length_ms
