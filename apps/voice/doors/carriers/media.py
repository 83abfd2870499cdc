"""Audio as base64 in JSON, as Twilio and Telnyx send and take it: G.711, 20 ms at a time."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from typing import Any, Self

from apps.core import json_text
from apps.core.clock import loop_ms
from apps.core.errors import ProtocolError, TomError
from apps.voice.doors.base import CallerDigit, CallerHungUp, DoorEvent
from apps.voice.doors.carriers.door import CarrierDoor
from apps.voice.doors.carriers.messages import (
    Admit,
    Admitted,
    CarrierMessage,
    Connected,
    Mark,
    Media,
    Stop,
    StreamStart,
    as_told,
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
    """One call over a stream of JSON messages; a carrier's door says how one of them is read.

    Args:
        socket: The accepted connection.
        start: The stream's start message.
        admitted: What the stream is.
    """

    read: Callable[[str | bytes], CarrierMessage]

    def __init__(self, socket: Socket, start: StreamStart, admitted: Admitted) -> None:
        transcoder = Transcoder(start.encoding, start.rate_hz)
        super().__init__(socket, admitted.request, transcoder, admitted.hand_over)
        stream = f'"streamSid":{json.dumps(start.stream)},' if start.stream else ""
        # The messages are the same but for one field: writing JSON anew would cost each frame.
        self._media_head = f'{{"event":"media",{stream}"media":{{"payload":"'
        self._mark_head = f'{{"event":"mark",{stream}"mark":{{"name":"'
        self._clear_text = f'{{{stream}"event":"clear"}}'

    @classmethod
    async def accept(cls, socket: Socket, admit: Admit = as_told) -> Self:
        """Wait for the `start` message, which `connected` precedes.

        Args:
            socket: The accepted connection.
            admit: Tells what the stream is, or raises ProtocolError.

        Raises:
            ProtocolError: No or a bad `start`; pass it to `refuse`.
        """
        start = await read_start(socket, cls.read)
        return cls(socket, start, admit(start))

    def _read(self, raw: str | bytes) -> DoorEvent | None:
        match message := type(self).read(raw):
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
