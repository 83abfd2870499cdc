"""The WebSocket door: docs/protocol.md, over any socket that can receive and send.

The reading of messages is pure (`messages.py`); this shell adds the deadlines, the error budget,
and the audio's way to and from 16 kHz.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any

from apps.core.audio import duration_ms
from apps.core.clock import loop_ms
from apps.core.errors import ProtocolError, TomError
from apps.voice.doors.base import (
    CallerAudio,
    CallerDigit,
    CallerHungUp,
    CallerRating,
    CallerText,
    CallRequest,
    Capabilities,
    DoorEvent,
)
from apps.voice.doors.messages import (
    CLOSE_NORMAL,
    Dtmf,
    HangUp,
    Ping,
    Rating,
    Start,
    Text,
    check_frame,
    read_message,
)
from apps.voice.doors.peer import (
    IDLE_TIMEOUT_S,
    MAX_ERRORS,
    START_TIMEOUT_S,
    Pace,
    Socket,
    refuse,
)
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
            audio=start.mode == "audio", transfer=True, observe=observe
        )
        self._transcoder = Transcoder(start.audio.encoding, start.audio.rate)
        self._errors = 0
        self._pace = Pace(loop_ms())

    @classmethod
    async def accept(cls, socket: Socket, may_observe: Callable[[str], bool]) -> WebSocketDoor:
        """Wait for the `start` message.

        Args:
            socket: The accepted connection.
            may_observe: Tells whether the peer may observe, given the token that it sent.

        Raises:
            ProtocolError: No or a bad `start`; pass it to `refuse`.
        """
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                raw = await socket.receive()
        except TimeoutError:
            raise ProtocolError(
                "No start message came.",
                hint=f"Send it within {START_TIMEOUT_S:.0f} seconds.",
                code="timeout",
            ) from None
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

    async def events(self) -> AsyncGenerator[DoorEvent, None]:
        """Yield what comes from the caller; bad input is answered with an error and dropped."""
        while True:
            try:
                async with asyncio.timeout(IDLE_TIMEOUT_S):
                    raw = await self._socket.receive()
                event = None if raw is None else await self._read(raw)
            except TimeoutError:
                timeout = ProtocolError(
                    f"Nothing came for {IDLE_TIMEOUT_S:.0f} seconds.",
                    hint="Send silence, or a ping in a typed call.",
                    code="timeout",
                )
                await refuse(self._socket, timeout)
                yield CallerHungUp(failed=True)
                return
            except ProtocolError as error:
                if not await self.complain(error):
                    yield CallerHungUp(failed=True)
                    return
                continue
            if raw is None:
                yield CallerHungUp()
                return
            if event is not None:
                yield event
                if isinstance(event, CallerHungUp):
                    return

    async def complain(self, error: TomError) -> bool:
        """Tell the peer of an error; returns False when that was one too many."""
        self._errors += 1
        if self._errors > MAX_ERRORS:
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
        # What has arrived already does not suspend: without this, one client's flood stops all.
        await asyncio.sleep(0)
        self._pace.message(loop_ms())
        if isinstance(raw, bytes):
            return self._read_audio(raw)
        match read_message(raw):
            case Start():
                raise ProtocolError("The call has already started.", code="already_started")
            case Text(text=text):
                return CallerText(text)
            case Dtmf(digit=digit):
                return CallerDigit(digit)
            case Rating(stars=stars):
                return CallerRating(stars)
            case HangUp():
                return CallerHungUp()
            case Ping():
                await self._send({"type": "pong"})
                return None

    def _read_audio(self, frame: bytes) -> CallerAudio | None:
        if not self.capabilities.audio:
            raise ProtocolError(
                "This is a typed call; it takes no audio.",
                hint='Start it with "mode":"audio".',
                code="audio_not_expected",
            )
        check_frame(frame, self._start.audio)
        self._pace.check_audio()
        pcm = self._transcoder.incoming(frame)
        self._pace.audio(duration_ms(pcm))
        return CallerAudio(pcm) if pcm else None
