"""The Twilio door: Media Streams, both ways, over any socket that can receive and send.

Twilio sends 20 ms of 8 kHz µ-law as base64 in JSON, and plays what it is sent in order. `clear`
drops what it has not played; a `mark` comes back once what was sent before it has been played, so
the door knows how late its audio is heard. Messages that Twilio never sends are dropped with an
error, within the bounds of the WebSocket door.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any

from apps.core.audio import FRAME_MS, duration_ms, pcm_to_samples, samples_to_pcm
from apps.core.clock import loop_ms
from apps.core.errors import ProtocolError, TomError, TransferFailed
from apps.voice.doors.base import (
    CallerAudio,
    CallerDigit,
    CallerHungUp,
    CallRequest,
    Capabilities,
    DoorEvent,
)
from apps.voice.doors.messages import CLOSE_NORMAL, MAX_FRAME_MS
from apps.voice.doors.peer import (
    IDLE_TIMEOUT_S,
    MAX_ERRORS,
    MESSAGE_BURST,
    START_TIMEOUT_S,
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
_MAX_FRAME_BYTES = RATE_HZ * MAX_FRAME_MS // 1000
_CALM = MESSAGE_BURST / 2
_FORMAT = {"encoding": "audio/x-mulaw", "sampleRate": RATE_HZ, "channels": 1}
_LANGUAGES = ("", "de", "en")


@dataclass(frozen=True, slots=True)
class Connected:
    """The stream's first message."""


@dataclass(frozen=True, slots=True)
class StreamStart:
    """The stream begins; what the call's TwiML passed on says whom it is for."""

    stream_sid: str
    request: CallRequest


@dataclass(frozen=True, slots=True)
class Media:
    """Audio of the caller: 8 kHz µ-law."""

    audio: bytes


@dataclass(frozen=True, slots=True)
class Digit:
    """A key that the caller pressed."""

    digit: str


@dataclass(frozen=True, slots=True)
class Mark:
    """What was sent before the mark of this name has been played, or cleared."""

    name: str


@dataclass(frozen=True, slots=True)
class Stop:
    """The stream is over: the caller hung up, or the call went elsewhere."""


TwilioMessage = Connected | StreamStart | Media | Digit | Mark | Stop


def read_twilio(raw: str | bytes) -> TwilioMessage:
    """Read one message of a media stream; fields that TOM has no use for are ignored.

    Raises:
        ProtocolError: With code ``bad_json``, ``unknown_message``, ``bad_message``, ``bad_frame``,
            ``frame_too_long`` or ``unsupported_rate``.
    """
    try:
        message = json.loads(raw)
    except (ValueError, RecursionError):
        raise ProtocolError("A message is not JSON.", code="bad_json") from None
    match message:
        case {"event": "media", "media": {"payload": str(payload)}}:
            return Media(_audio(payload))
        case {"event": "mark", "mark": {"name": str(name)}}:
            return Mark(name)
        case {"event": "dtmf", "dtmf": {"digit": str(digit)}} if digit in tuple("0123456789*#"):
            return Digit(digit)
        case {"event": "start", "start": {"streamSid": str(sid), **start}} if 0 < len(sid) <= 64:
            return StreamStart(sid, _request(start))
        case {"event": "connected"}:
            return Connected()
        case {"event": "stop"}:
            return Stop()
        case {"event": "media" | "mark" | "dtmf" | "start" as event}:
            raise ProtocolError(f"A {event} message is not right.", code="bad_message")
        case _:
            raise ProtocolError("A message has no known event.", code="unknown_message")


def _audio(payload: str) -> bytes:
    try:
        audio = base64.b64decode(payload, validate=True)
    except (binascii.Error, ValueError):
        raise ProtocolError("Audio is not base64.", code="bad_frame") from None
    if not audio:
        raise ProtocolError("A media message holds no audio.", code="bad_frame")
    if len(audio) > _MAX_FRAME_BYTES:
        raise ProtocolError(f"A frame is longer than {MAX_FRAME_MS} ms.", code="frame_too_long")
    return audio


def _request(start: Mapping[Any, Any]) -> CallRequest:
    media_format = start.get("mediaFormat", _FORMAT)
    if media_format != _FORMAT:
        raise ProtocolError("A stream's media format is not 8 kHz µ-law.", code="unsupported_rate")
    given = start.get("customParameters", {})
    match {"profile": "", "language": "", "caller": ""} | (given if type(given) is dict else {}):
        case {"profile": str(profile), "language": str(language), "caller": str(caller)} if (
            len(profile) <= 40 and language in _LANGUAGES and len(caller) <= 100
        ):
            return CallRequest(profile, language, caller)
    raise ProtocolError(
        "A stream's parameters are not right.",
        hint="profile, language (de or en) and caller are the <Parameter>s that TOM reads.",
        code="bad_message",
    )


class TwilioDoor:
    """One call over one media stream.

    Args:
        socket: The accepted connection.
        start: The stream's start message.
    """

    name = "twilio"

    def __init__(self, socket: Socket, start: StreamStart) -> None:
        self._socket = socket
        self.request = start.request
        self.capabilities = Capabilities()
        sid = json.dumps(start.stream_sid)
        self._media = f'{{"event":"media","streamSid":{sid},"media":{{"payload":"'
        self._clear = f'{{"event":"clear","streamSid":{sid}}}'
        self._mark = f'{{"event":"mark","streamSid":{sid},"mark":{{"name":"'
        self._up, self._down = UpTo16k(), DownTo8k()
        self._sent = self._errors = 0
        self._marks: dict[str, float] = {}
        self._played_until_ms = self._delay_ms = 0.0
        self._pace = Pace(loop_ms())

    @classmethod
    async def accept(cls, socket: Socket) -> TwilioDoor:
        """Wait for the `start` message, which `connected` precedes.

        Raises:
            ProtocolError: No or a bad `start`; pass it to `refuse`.
        """
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                message = read_twilio(await socket.receive() or "")
                if isinstance(message, Connected):
                    message = read_twilio(await socket.receive() or "")
        except TimeoutError:
            raise ProtocolError("No start message came.", code="timeout") from None
        if not isinstance(message, StreamStart):
            raise ProtocolError("A stream begins with a start message.", code="not_started")
        return cls(socket, message)

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
        """Fail: its capabilities say that it cannot."""
        raise TransferFailed("A media stream alone cannot hand a caller over.")

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
            case Digit(digit=digit):
                return CallerDigit(digit)
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
