"""Audio as base64 in JSON, as Twilio and Telnyx send and take it: G.711, 20 ms at a time."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from typing import Any

from apps.core import json_text
from apps.core.clock import loop_ms
from apps.core.errors import ProtocolError, TomError
from apps.voice.doors.base import CallerDigit, CallerHungUp, CallRequest, DoorEvent
from apps.voice.doors.carriers.door import CarrierDoor, HandOver
from apps.voice.doors.carriers.messages import (
    CarrierMessage,
    Connected,
    Mark,
    Media,
    Stop,
    StreamStart,
)
from apps.voice.doors.messages import MAX_FRAME_MS
from apps.voice.doors.peer import Socket, first_message
from apps.voice.doors.transcode import Transcoder

RATE_HZ = 8000
_MAX_FRAME_BYTES = RATE_HZ * MAX_FRAME_MS // 1000


def read_json(raw: str | bytes) -> Any:
    """Return a message's JSON.

    Raises:
        ProtocolError: It is none; code ``bad_json``.
    """
    try:
        return json_text.read_json(raw)
    except ValueError:
        raise ProtocolError("A message is not JSON.", code="bad_json") from None


def read_payload(payload: str) -> bytes:
    """Return a media message's G.711.

    Raises:
        ProtocolError: With code ``bad_frame`` or ``frame_too_long``.
    """
    try:
        audio = base64.b64decode(payload, validate=True)
    except (binascii.Error, ValueError):
        raise ProtocolError("Audio is not base64.", code="bad_frame") from None
    if not audio:
        raise ProtocolError("A media message holds no audio.", code="bad_frame")
    if len(audio) > _MAX_FRAME_BYTES:
        raise ProtocolError(f"A frame is longer than {MAX_FRAME_MS} ms.", code="frame_too_long")
    return audio


async def read_start(socket: Socket, read: Callable[[str | bytes], CarrierMessage]) -> StreamStart:
    """Wait for a stream's start message, which `connected` precedes.

    Args:
        socket: The accepted connection.
        read: Reads the carrier's messages.

    Raises:
        ProtocolError: It did not come, or is not right.
    """
    message = read(await first_message(socket.receive))
    if isinstance(message, Connected):
        message = read(await first_message(socket.receive))
    if not isinstance(message, StreamStart):
        raise ProtocolError("A stream begins with a start message.", code="not_started")
    return message


class JsonMediaDoor(CarrierDoor):
    """One call over a stream of JSON messages.

    Args:
        socket: The accepted connection.
        request: Whom the call is for.
        transcoder: The stream's G.711.
        stream: The field that names the stream in each message, with its comma; or empty.
        hand_over: Hands the caller over to a person; None where nothing can.
    """

    def __init__(
        self,
        socket: Socket,
        request: CallRequest,
        transcoder: Transcoder,
        stream: str = "",
        hand_over: HandOver | None = None,
    ) -> None:
        super().__init__(socket, request, transcoder, hand_over)
        # The messages are the same but for one field: writing JSON anew would cost each frame.
        self._media_head = f'{{"event":"media",{stream}"media":{{"payload":"'
        self._mark_head = f'{{"event":"mark",{stream}"mark":{{"name":"'
        self._clear_text = f'{{{stream}"event":"clear"}}'

    def _understand(self, message: CarrierMessage) -> DoorEvent | None:
        """Take one message of the stream; returns what it is for the call."""
        match message:
            case Media():
                return self._hear_chunk(message)
            case Mark(name=name):
                self._marks.confirm(name, loop_ms())
            case CallerDigit():
                return message
            case Stop():
                return CallerHungUp()
            case Connected() | StreamStart():
                raise ProtocolError("The stream has already started.", code="already_started")
        return None

    def _hear_chunk(self, media: Media) -> DoorEvent | None:
        return self._hear(media.audio)

    async def play(self, frame: bytes) -> None:
        """Send one 20 ms frame, and now and then a mark after it."""
        payload = base64.b64encode(self._transcoder.outgoing(frame)).decode("ascii")
        await self._socket.send_text(f'{self._media_head}{payload}"}}}}')
        if (mark := self._marks.sent(loop_ms())) is not None:
            await self._socket.send_text(f'{self._mark_head}{mark}"}}}}')

    async def _clear(self) -> None:
        await self._socket.send_text(self._clear_text)

    async def _answer_error(self, error: TomError) -> None:
        await self._socket.send_text(json.dumps({"event": "error", "error": error.as_dict()}))
