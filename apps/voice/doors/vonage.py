"""The Vonage door: the Voice API's WebSocket, over any socket.

The first message is text and says how the audio goes; then binary messages carry 20 ms of linear
16-bit samples each way. `clear` drops what has not been played; a `notify` comes back once what was
sent before it has been.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from apps.core.clock import loop_ms
from apps.core.errors import ProtocolError
from apps.voice.doors.base import CallerDigit, DoorEvent
from apps.voice.doors.carriers.door import CarrierDoor, read_key
from apps.voice.doors.carriers.media import read_json
from apps.voice.doors.carriers.messages import (
    Admit,
    Admitted,
    CarrierMessage,
    Mark,
    Media,
    Notice,
    StreamStart,
    as_told,
)
from apps.voice.doors.messages import MAX_FRAME_MS
from apps.voice.doors.peer import Socket, first_message
from apps.voice.doors.transcode import Transcoder

RATES_HZ = (8000, 16000)
MAX_FRAME_BYTES = 2 * max(RATES_HZ) * MAX_FRAME_MS // 1000
_CONTENT_TYPE = re.compile(r"audio/l16; ?rate=(8000|16000)")
_CLEAR = '{"action":"clear"}'


def read_vonage(raw: str | bytes) -> CarrierMessage:
    """Read one message; events that TOM has no use for are read as `Notice`.

    Raises:
        ProtocolError: With code ``bad_json``, ``unknown_message``, ``bad_message``, ``bad_frame``,
            ``frame_too_long`` or ``unsupported_rate``.
    """
    if isinstance(raw, bytes):
        return Media(_audio(raw))
    match read_json(raw):
        case {"event": "websocket:connected", **told}:
            return StreamStart(parameters=told, encoding="pcm_s16le", rate_hz=_rate_hz(told))
        case {"event": "websocket:dtmf", "digit": digit}:
            return read_key(digit)
        case {"event": "websocket:notify", "payload": {"mark": str(name)}}:
            return Mark(name)
        case {"event": "websocket:dtmf"}:
            raise ProtocolError("A websocket:dtmf message is not right.", code="bad_message")
        case {"event": str(event)} if event.startswith("websocket:"):
            return Notice()
        case _:
            raise ProtocolError("A message has no known event.", code="unknown_message")


def _audio(raw: bytes) -> bytes:
    if not raw or len(raw) % 2:
        raise ProtocolError("A frame is not a whole number of samples.", code="bad_frame")
    if len(raw) > MAX_FRAME_BYTES:
        raise ProtocolError(f"A frame is longer than {MAX_FRAME_MS} ms.", code="frame_too_long")
    return raw


def _rate_hz(told: Mapping[Any, Any]) -> int:
    match told.get("content-type"):
        case str(kind) if found := _CONTENT_TYPE.fullmatch(kind.lower()):
            return int(found[1])
    raise ProtocolError(
        "The audio is not linear 16-bit at 8 or 16 kHz.",
        hint="The NCCO's content-type must be audio/l16;rate=16000.",
        code="unsupported_rate",
    )


class VonageDoor(CarrierDoor):
    """One call over one connection.

    Args:
        socket: The accepted connection.
        start: Its first message.
        admitted: What the connection is.
    """

    name = "vonage"

    def __init__(self, socket: Socket, start: StreamStart, admitted: Admitted) -> None:
        transcoder = Transcoder(start.encoding, start.rate_hz)
        super().__init__(socket, admitted.request, transcoder, admitted.hand_over)

    @classmethod
    async def accept(cls, socket: Socket, admit: Admit = as_told) -> VonageDoor:
        """Wait for the first message.

        Args:
            socket: The accepted connection.
            admit: Tells what the connection is, or raises ProtocolError.

        Raises:
            ProtocolError: It did not come, or is another; pass it to `refuse`.
        """
        message = read_vonage(await first_message(socket.receive))
        if not isinstance(message, StreamStart):
            raise ProtocolError("A connection begins with websocket:connected.", code="not_started")
        return cls(socket, message, admit(message))

    async def play(self, frame: bytes) -> None:
        """Send one 20 ms frame, and now and then a notify after it."""
        await self._socket.send_bytes(self._transcoder.outgoing(frame))
        if (mark := self._marks.sent(loop_ms())) is not None:
            await self._socket.send_text(
                json.dumps({"action": "notify", "payload": {"mark": mark}})
            )

    async def _clear(self) -> None:
        await self._socket.send_text(_CLEAR)

    def _read(self, raw: str | bytes) -> DoorEvent | None:
        match read_vonage(raw):
            case Media(audio=audio):
                return self._hear(audio)
            case Mark(name=name):
                self._marks.confirm(name, loop_ms())
            case CallerDigit() as digit:
                return digit
            case StreamStart():
                raise ProtocolError("The call has already started.", code="already_started")
        return None
