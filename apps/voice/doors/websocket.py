"""The WebSocket door: docs/protocol.md, over any socket that can receive and send.

The reading of messages is pure (`messages.py`); this shell adds the deadlines, the error budget,
and the audio's way to and from 16 kHz.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any

from apps.core.audio import duration_ms
from apps.core.errors import ProtocolError, TomError
from apps.voice.doors.base import (
    CallerAudio,
    CallRequest,
    Capabilities,
    DoorEvent,
)
from apps.voice.doors.messages import (
    CLOSE_NORMAL,
    Ping,
    Start,
    call_event,
    check_frame,
    read_message,
)
from apps.voice.doors.peer import Patience, Socket, arrivals, first_message, refuse
from apps.voice.doors.transcode import Transcoder


class WebSocketDoor:
    """One call over one WebSocket.

    Args:
        socket: The accepted connection.
        start: The call's first message.
        observe: Whether the peer may see the operator's details.
    """

    name = "websocket"
    unplayed_ms = 0.0

    def __init__(self, socket: Socket, start: Start, *, observe: bool = False) -> None:
        self._socket, self._start = socket, start
        self.request = CallRequest(start.profile, start.language, start.caller)
        self.capabilities = Capabilities(
            audio=start.mode == "audio", transfer=True, observe=observe, rates_later=True
        )
        self._transcoder = Transcoder(start.audio.encoding, start.audio.rate)
        self._patience = Patience()

    @classmethod
    async def accept(cls, socket: Socket, may_observe: Callable[[str], bool]) -> WebSocketDoor:
        """Wait for the `start` message.

        Args:
            socket: The accepted connection.
            may_observe: Tells whether the peer may observe, given the token that it sent.

        Raises:
            ProtocolError: No or a bad `start`; pass it to `refuse`.
        """
        raw = await first_message(socket.receive)
        message = read_message(raw) if isinstance(raw, str) else None
        if not isinstance(message, Start):
            raise ProtocolError(
                "A call begins with a start message.",
                hint='For example {"type":"start","language":"en"}.',
                code="not_started",
            )
        observe = message.observe and may_observe(message.token)
        if message.observe and not observe:
            raise ProtocolError(
                "Observing a call from another machine needs the operator token.",
                hint="Send it as start.token, or leave observe out.",
                code="forbidden",
            )
        return cls(socket, message, observe=observe)

    @property
    def token(self) -> str:
        """The token that the caller sent."""
        return self._start.token

    def events(self) -> AsyncGenerator[DoorEvent, None]:
        """Yield what comes from the caller; bad input is answered with an error and dropped."""
        return arrivals(self._socket.receive, self._read, self.complain)

    async def complain(self, error: TomError) -> bool:
        """Tell the peer of an error; returns False when it is given up."""
        if self._patience.ends(error):
            await refuse(self._socket, error)
            return False
        await self._send({"type": "error", **error.as_dict()})
        return True

    async def play(self, frame: bytes) -> None:
        """Send one 20 ms frame in the client's format."""
        if encoded := self._transcoder.outgoing(frame):
            await self._socket.send_bytes(encoded)

    async def flush(self) -> None:
        """Tell the client to drop what it has not played."""
        self._transcoder.reset_outgoing()
        await self._send({"type": "audio.clear"})

    async def tell(self, kind: str, data: Mapping[str, Any]) -> None:
        """Send one live event."""
        await self._send({"type": kind, **data})

    async def transfer(self, target: str, summary: str) -> None:
        """Tell the client to whom it is to connect the caller."""
        await self.tell("transfer", {"target": target, "summary": summary})

    async def close(self, reason: str) -> None:
        """Close the connection normally."""
        await self._socket.close(CLOSE_NORMAL, reason)

    async def _send(self, message: Mapping[str, Any]) -> None:
        await self._socket.send_text(json.dumps(message, ensure_ascii=False))

    async def _read(self, raw: str | bytes) -> DoorEvent | None:
        await self._patience.message()
        if isinstance(raw, bytes):
            return self._read_audio(raw)
        message = read_message(raw)
        if isinstance(message, Ping):
            await self._send({"type": "pong"})
        return call_event(message)

    def _read_audio(self, frame: bytes) -> CallerAudio | None:
        if not self.capabilities.audio:
            raise ProtocolError(
                "This is a typed call; it takes no audio.",
                hint='Start it with "mode":"audio".',
                code="audio_not_expected",
            )
        check_frame(frame, self._start.audio)
        self._patience.check_audio()
        pcm = self._transcoder.incoming(frame)
        self._patience.audio(duration_ms(pcm))
        return CallerAudio(pcm) if pcm else None
