"""The Twilio door: Media Streams, both ways, over any socket that can receive and send.

Twilio sends 20 ms of 8 kHz µ-law as base64 in JSON, and plays what it is sent in order. `clear`
drops what it has not played; a `mark` comes back once what was sent before it has been played, so
the door knows how late its audio is heard. Messages that Twilio never sends are dropped with an
error, within the bounds of the WebSocket door.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from apps.core.audio import FRAME_MS, duration_ms, pcm_to_samples, samples_to_pcm
from apps.core.clock import loop_ms
from apps.core.errors import ProtocolError, TomError, TransferFailed
from apps.voice.doors.base import (
    CallerAudio,
    CallerDigit,
    CallerHungUp,
    Capabilities,
    DoorEvent,
)
from apps.voice.doors.carriers.door import first_message, read_key
from apps.voice.doors.carriers.media import read_json, read_payload
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
from apps.voice.doors.messages import CLOSE_NORMAL
from apps.voice.doors.peer import (
    IDLE_TIMEOUT_S,
    MAX_ERRORS,
    MESSAGE_BURST,
    Pace,
    Socket,
    refuse,
)
from apps.voice.g711 import ulaw_decode, ulaw_encode
from apps.voice.halfband import DownTo8k, UpTo16k

RATE_HZ = 8000
MARK_FRAMES = 25
"""A mark follows so many frames: every 500 ms of speech."""
_MAX_MARKS = 100
_CALM = MESSAGE_BURST / 2
_FORMAT = {"encoding": "audio/x-mulaw", "sampleRate": RATE_HZ, "channels": 1}


def read_twilio(raw: str | bytes) -> CarrierMessage:
    """Read one message of a media stream; fields that TOM has no use for are ignored.

    Raises:
        ProtocolError: With code ``bad_json``, ``unknown_message``, ``bad_message``, ``bad_frame``,
            ``frame_too_long`` or ``unsupported_rate``.
    """
    match read_json(raw):
        case {"event": "media", "media": {"payload": str(payload)}}:
            return Media(read_payload(payload))
        case {"event": "mark", "mark": {"name": str(name)}}:
            return Mark(name)
        case {"event": "dtmf", "dtmf": {"digit": digit}}:
            return read_key(digit)
        case {"event": "start", "start": {"streamSid": str(sid), **start}} if 0 < len(sid) <= 64:
            return _start(sid, start)
        case {"event": "connected"}:
            return Connected()
        case {"event": "stop"}:
            return Stop()
        case {"event": "media" | "mark" | "dtmf" | "start" as event}:
            raise ProtocolError(f"A {event} message is not right.", code="bad_message")
        case _:
            raise ProtocolError("A message has no known event.", code="unknown_message")


def _start(sid: str, start: Mapping[Any, Any]) -> StreamStart:
    if start.get("mediaFormat", _FORMAT) != _FORMAT:
        raise ProtocolError("A stream's media format is not 8 kHz µ-law.", code="unsupported_rate")
    call, given = start.get("callSid", ""), start.get("customParameters")
    if not isinstance(call, str):
        raise ProtocolError("A stream's callSid is none.", code="bad_message")
    return StreamStart(call, given if isinstance(given, dict) else {}, stream=sid)


class TwilioDoor:
    """One call over one media stream.

    Args:
        socket: The accepted connection.
        start: The stream's start message.
        admitted: What the stream is.
    """

    name = "twilio"

    def __init__(self, socket: Socket, start: StreamStart, admitted: Admitted) -> None:
        self._socket = socket
        self.request = admitted.request
        self._hand_over = admitted.hand_over
        self.capabilities = Capabilities(transfer=admitted.hand_over is not None)
        sid = json.dumps(start.stream)
        self._media = f'{{"event":"media","streamSid":{sid},"media":{{"payload":"'
        self._clear = f'{{"event":"clear","streamSid":{sid}}}'
        self._mark = f'{{"event":"mark","streamSid":{sid},"mark":{{"name":"'
        self._up, self._down = UpTo16k(), DownTo8k()
        self._sent = self._errors = 0
        self._marks: dict[str, float] = {}
        self._played_until_ms = self._delay_ms = 0.0
        self._pace = Pace(loop_ms())

    @classmethod
    async def accept(cls, socket: Socket, admit: Admit = as_told) -> TwilioDoor:
        """Wait for the `start` message, which `connected` precedes.

        Args:
            socket: The accepted connection.
            admit: Tells what the stream is, or raises ProtocolError.

        Raises:
            ProtocolError: No or a bad `start`; pass it to `refuse`.
        """
        message = read_twilio(await first_message(socket))
        if isinstance(message, Connected):
            message = read_twilio(await first_message(socket))
        if not isinstance(message, StreamStart):
            raise ProtocolError("A stream begins with a start message.", code="not_started")
        return cls(socket, message, admit(message))

    @property
    def unplayed_ms(self) -> float:
        """How much of what was sent the caller has not heard, by the latest mark's delay."""
        return max(0.0, self._played_until_ms + self._delay_ms - loop_ms())

    async def events(self) -> AsyncGenerator[DoorEvent, None]:
        """Yield what comes from the caller; bad input is answered with an error and dropped."""
        while True:
            try:
                async with asyncio.timeout(IDLE_TIMEOUT_S):
                    raw = await self._socket.receive()
                event = CallerHungUp() if raw is None else await self._read(raw)
            except TimeoutError:
                silent = f"Nothing came for {IDLE_TIMEOUT_S:.0f} seconds."
                await refuse(self._socket, ProtocolError(silent, code="timeout"))
                event = CallerHungUp(failed=True)
            except ProtocolError as error:
                event = None if await self._complain(error) else CallerHungUp(failed=True)
            if event is not None:
                yield event
                if isinstance(event, CallerHungUp):
                    return

    async def play(self, frame: bytes) -> None:
        """Send one 20 ms frame, and now and then a mark after it."""
        audio = ulaw_encode(self._down.push(pcm_to_samples(frame)))
        payload = base64.b64encode(audio).decode("ascii")
        await self._socket.send_text(f'{self._media}{payload}"}}}}')
        self._played_until_ms = max(self._played_until_ms, loop_ms()) + FRAME_MS
        self._sent += 1
        if self._sent % MARK_FRAMES == 0 and len(self._marks) < _MAX_MARKS:
            self._marks[str(self._sent)] = self._played_until_ms
            await self._socket.send_text(f'{self._mark}{self._sent}"}}}}')

    async def flush(self) -> None:
        """Make Twilio drop what it has not played."""
        self._marks.clear()  # Twilio answers those of dropped audio as if that had been played
        self._played_until_ms = 0.0
        self._down = DownTo8k()
        await self._socket.send_text(self._clear)

    async def tell(self, kind: str, data: Mapping[str, Any]) -> None:
        """Do nothing: a telephone has nowhere to show it."""

    async def transfer(self, target: str, summary: str) -> None:
        """Hand the caller over by Twilio's API.

        Raises:
            TransferFailed: None is set, or it did not.
        """
        if self._hand_over is None:
            raise TransferFailed("A media stream alone cannot hand a caller over.")
        await self._hand_over(target, summary)

    async def close(self, reason: str) -> None:
        """Close the stream; the call goes on with its TwiML, which ends it."""
        await self._socket.close(CLOSE_NORMAL, reason)

    async def _complain(self, error: TomError) -> bool:
        """Tell the peer of an error; returns False when that was one too many."""
        self._errors += 1
        if self._errors > MAX_ERRORS:
            await refuse(self._socket, error)
            return False
        await self._socket.send_text(json.dumps({"event": "error", "error": error.as_dict()}))
        return True

    async def _read(self, raw: str | bytes) -> DoorEvent | None:
        if self._pace.allowed < _CALM:
            # What has arrived already does not suspend: a flood would stop all other calls.
            await asyncio.sleep(0)
        self._pace.message(loop_ms())
        match read_twilio(raw):
            case Media(audio=audio):
                return self._hear(audio)
            case Mark(name=name):
                self._confirm(name)
            case CallerDigit() as digit:
                return digit
            case Stop():
                return CallerHungUp()
            case Connected() | StreamStart():
                raise ProtocolError("The stream has already started.", code="already_started")
        return None

    def _hear(self, audio: bytes) -> CallerAudio:
        self._pace.check_audio()
        pcm = samples_to_pcm(self._up.push(ulaw_decode(audio)))
        self._pace.audio(duration_ms(pcm))
        return CallerAudio(pcm)

    def _confirm(self, name: str) -> None:
        """Learn how much later than at once the audio before a mark was played."""
        if (due_ms := self._marks.pop(name, None)) is not None:
            self._delay_ms = max(0.0, loop_ms() - due_ms)
