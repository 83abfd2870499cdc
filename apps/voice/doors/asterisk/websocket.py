"""The chan_websocket door: an Asterisk's WebSocket channel, over any socket.

Audio is binary in the channel's own format; commands and events are text. Asterisk frames and
times what it is sent, drops it on FLUSH_MEDIA, returns marks, and says when its queue is full.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from apps.core.audio import FRAME_MS
from apps.core.clock import loop_ms
from apps.core.errors import ProtocolError
from apps.voice.doors.asterisk.control import (
    FlowControl,
    MediaStart,
    read_control,
    write_command,
)
from apps.voice.doors.base import CallerDigit, CallRequest, DoorEvent
from apps.voice.doors.carriers.door import CarrierDoor, HandOver
from apps.voice.doors.carriers.messages import Mark
from apps.voice.doors.messages import MAX_FRAME_MS
from apps.voice.doors.peer import Socket, first_message
from apps.voice.doors.transcode import Transcoder

XOFF_S = 30.0
"""An Asterisk that takes no audio for longer plays none: the call goes on without it."""


class AsteriskDoor(CarrierDoor):
    """One call over one WebSocket channel.

    Args:
        socket: The accepted connection.
        start: Its MEDIA_START.
        request: Whom the call is for.
        hand_over: Leaves word for the dialplan where to put the caller through to.
    """

    name = "asterisk"

    def __init__(
        self,
        socket: Socket,
        start: MediaStart,
        request: CallRequest,
        hand_over: HandOver | None = None,
    ) -> None:
        super().__init__(socket, request, Transcoder(start.encoding, start.rate_hz), hand_over)
        self._start = start
        self._max_frame_bytes = start.own_frame_bytes * MAX_FRAME_MS // FRAME_MS
        # Asterisk drops what does not fill a frame of its own, unless it is told to collect.
        self._collects = start.own_frame_bytes % start.frame_bytes != 0
        self._begun = False
        self._open = asyncio.Event()
        self._open.set()

    @classmethod
    async def accept(
        cls, socket: Socket, request: CallRequest, hand_over: HandOver | None = None
    ) -> AsteriskDoor:
        """Wait for MEDIA_START.

        Args:
            socket: The accepted connection.
            request: Whom the call is for.
            hand_over: Leaves word for the dialplan where to put the caller through to.

        Raises:
            ProtocolError: No or a bad MEDIA_START; pass it to `refuse`.
        """
        raw = await first_message(socket.receive)
        message = read_control(raw) if isinstance(raw, str) else None
        if not isinstance(message, MediaStart):
            raise ProtocolError("A channel begins with MEDIA_START.", code="not_started")
        return cls(socket, message, request, hand_over)

    async def play(self, frame: bytes) -> None:
        """Send one 20 ms frame, and now and then a mark after it; waits while the queue is full."""
        if not self._open.is_set():
            await self._wait_until_open()
        if self._collects and not self._begun:
            await self._command("START_MEDIA_BUFFERING")
        self._begun = True
        await self._socket.send_bytes(self._transcoder.outgoing(frame))
        if (mark := self._marks.sent(loop_ms())) is not None:
            await self._command("MARK_MEDIA", mark)

    async def tell(self, kind: str, data: Mapping[str, Any]) -> None:
        """Answer the channel once the call is taken; the rest has nowhere to be shown."""
        if kind == "call.started":
            await self._command("ANSWER")

    async def close(self, reason: str) -> None:
        """Hang the channel up: the dialplan goes on after its Dial."""
        await self._command("HANGUP")
        await super().close(reason)

    async def _clear(self) -> None:
        await self._command("FLUSH_MEDIA")
        self._begun = False  # it ends the collecting, too
        self._open.set()  # the queue is empty now

    async def _wait_until_open(self) -> None:
        try:
            async with asyncio.timeout(XOFF_S):
                await self._open.wait()
        except TimeoutError:
            self._open.set()

    async def _command(self, command: str, correlation_id: str = "") -> None:
        is_json = self._start.is_json
        text = write_command(command, is_json=is_json, correlation_id=correlation_id)
        await self._socket.send_text(text)

    def _read(self, raw: str | bytes) -> DoorEvent | None:
        if isinstance(raw, bytes):
            self._check(raw)
            return self._hear(raw)
        match read_control(raw):
            case Mark(name=name):
                self._marks.confirm(name, loop_ms())
            case CallerDigit() as digit:
                return digit
            case FlowControl(on=True):
                self._open.set()
            case FlowControl():
                self._open.clear()
            case MediaStart():
                raise ProtocolError("The call has already started.", code="already_started")
        return None

    def _check(self, audio: bytes) -> None:
        if not audio or len(audio) % self._start.sample_bytes:
            raise ProtocolError("A frame is not a whole number of samples.", code="bad_frame")
        if len(audio) > self._max_frame_bytes:
            raise ProtocolError(f"A frame is longer than {MAX_FRAME_MS} ms.", code="frame_too_long")
