"""A caller made of audio files: speaks them turn by turn over the WebSocket door, as a phone would.

Audio goes out in real time, 20 ms at a time, silence included. The caller waits until the assistant
has finished, as a person would, unless an utterance is marked to break in. What is heard and
measured is handed to a callback as the door's own messages, with `turn.latency` measured here: from
the caller's last sound to the assistant's first audible sound.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from apps.core.audio import (
    FRAME_BYTES,
    FRAME_MS,
    FRAME_SAMPLES,
    Samples,
    level_dbfs,
    samples_to_pcm,
)
from apps.core.clock import loop_ms
from apps.core.errors import TomError

AUDIBLE_DBFS = -50.0
THINK_MS = 400.0
SILENCE = b"\0" * FRAME_BYTES
GOODBYE = {"en": "goodbye", "de": "auf Wiederhören"}

OnEvent = Callable[[dict[str, Any]], None]


def call_address(url: str) -> str:
    """Return the WebSocket address of a server's calls.

    Args:
        url: The server's own address (``http://`` or ``ws://``), or that of its calls.
    """
    address = url.replace("http://", "ws://").replace("https://", "wss://").rstrip("/")
    return address if address.endswith("/v1/call") else f"{address}/v1/call"


def cut_off() -> TomError:
    """Return the error of a connection that ended before its call did."""
    return TomError(
        "The connection was cut before the call had ended.",
        hint="The server's log says more.",
        code="cut_off",
    )


def may_observe(url: str, token: str) -> bool:
    """Tell whether a server will show the details: to the token, or to its own machine."""
    host = urlsplit(call_address(url)).hostname or ""
    return bool(token) or host in ("localhost", "::1") or host.startswith("127.")


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that the caller says.

    Attributes:
        samples: 16 kHz int16, shape (n,).
        break_in_ms: Said this long after the assistant has begun to speak, instead of after it
            has finished; None waits.
    """

    samples: Samples
    break_in_ms: float | None = None


@dataclass(slots=True)
class Caller:
    """One call from audio files.

    Args:
        url: The server, ``ws://HOST:PORT``; an ``http://`` address is taken as well.
        lines: What the caller says, in order.
        rating: Stars to send, or audio to say, when the rating is asked for; None stays silent.
        start: Further fields of the start message: profile, language, token.
        on_event: Told of every message and measurement.
        lateness_ms: How late each of the assistant's frames came against its schedule.
        sending_ms: How late each of the caller's own frames went out against its schedule.
        refused: Why the server did not take the call, when it did not.
    """

    url: str
    lines: Sequence[Line]
    rating: int | Samples | None = None
    start: Mapping[str, Any] = field(default_factory=dict)
    on_event: OnEvent = lambda _: None
    lateness_ms: list[float] = field(default_factory=list)
    sending_ms: list[float] = field(default_factory=list)
    refused: TomError | None = None
    _frames: deque[bytes] = field(default_factory=deque)
    _left: deque[Line] = field(default_factory=deque)
    _state: str = ""
    _ready_ms: float | None = None
    _speaking_since_ms: float | None = None
    _last_sound_ms: float | None = None
    _awaiting: bool = False
    _primed: bool = False
    _stages: dict[str, float] | None = None
    _measured_ms: float | None = None
    _rated: bool = False
    _said_goodbye: bool = False
    _ended: bool = False
    _spurt: tuple[float, int] | None = None
    _last_arrival_ms: float = 0.0

    async def call(self) -> None:
        """Make the call and stay until it has ended.

        Raises:
            TomError: The server cannot be reached, or was gone before the call had ended.
        """
        self._left.extend(self.lines)
        try:
            async with connect(call_address(self.url), compression=None, max_size=2**20) as socket:
                observe = may_observe(self.url, str(self.start.get("token", "")))
                message = {"type": "start", "observe": observe, **self.start}
                await socket.send(json.dumps(message))
                async with asyncio.TaskGroup() as tasks:
                    speaker = tasks.create_task(self._speak(socket))
                    await self._listen(socket)
                    speaker.cancel()
        except (OSError, InvalidURI, InvalidHandshake) as error:
            raise TomError(
                f"No TOM answers at {self.url}.",
                hint="Start one with `tom serve`, or leave --url out.",
                code="unreachable",
            ) from error
        if not self._ended and self.refused is None:
            raise cut_off()

    # --- out

    async def _speak(self, socket: ClientConnection) -> None:
        """Send one frame every 20 ms on an absolute schedule: what is to be said, or silence."""
        due_ms = loop_ms()
        while True:
            self.sending_ms.append(loop_ms() - due_ms)
            try:
                await self._decide(socket)
                frame = self._frames.popleft() if self._frames else SILENCE
                await socket.send(frame)
            except ConnectionClosed:
                return
            if frame is not SILENCE and level_dbfs(frame) > AUDIBLE_DBFS:
                self._last_sound_ms = loop_ms()
            due_ms += FRAME_MS
            await asyncio.sleep(max(0.0, (due_ms - loop_ms()) / 1000))

    async def _decide(self, socket: ClientConnection) -> None:
        """Start to say the next thing when its moment has come."""
        if self._frames:
            return
        now = loop_ms()
        if self._state == "awaiting_rating" and not self._rated:
            await self._rate(socket)
        elif self._left and self._moment_has_come(self._left[0], now):
            self._say(self._left.popleft().samples)
        elif not self._left and self._is_my_turn(now) and not self._said_goodbye:
            self._said_goodbye = True
            language = str(self.start.get("language") or "en")
            message = {"type": "text", "text": GOODBYE[language]}
            closes = message if self.rating is not None else {"type": "hangup"}
            await socket.send(json.dumps(closes))

    def _moment_has_come(self, line: Line, now: float) -> bool:
        if line.break_in_ms is None:
            return self._is_my_turn(now)
        since = self._speaking_since_ms
        return since is not None and now - since >= line.break_in_ms

    def _is_my_turn(self, now: float) -> bool:
        ready = self._ready_ms
        return self._state == "listening" and ready is not None and now - ready >= THINK_MS

    def _say(self, samples: Samples) -> None:
        self._frames.extend(_frames_until_last_sound(samples))
        self._awaiting, self._primed, self._ready_ms = True, False, None
        self._stages = self._measured_ms = None

    async def _rate(self, socket: ClientConnection) -> None:
        self._rated = True
        if isinstance(self.rating, int):
            await socket.send(json.dumps({"type": "rating", "stars": self.rating}))
        elif self.rating is not None:
            self._say(self.rating)

    # --- in

    async def _listen(self, socket: ClientConnection) -> None:
        try:
            async for message in socket:
                if isinstance(message, bytes):
                    self._hear(message)
                else:
                    self._read(json.loads(message))
        except ConnectionClosed:
            return

    def _read(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "state":
            self._enter(message["state"])
        elif kind == "transcript.final" and message["role"] == "assistant":
            self._primed = self._awaiting and not self._frames
        elif kind == "turn.latency":  # the server's own view: its stages go with our measurement
            self._stages = message["stages"]
            self._tell_latency()
            return
        elif kind == "error" and not self._state:
            self.refused = TomError(message["message"], hint=message["hint"], code=message["code"])
            return
        elif kind == "audio.clear":
            self._spurt = None
        elif kind == "call.ended":
            self._ended = True
        self.on_event(message)

    def _enter(self, state: str) -> None:
        self._state = state
        self._ready_ms = loop_ms() if state == "listening" else None
        if state != "speaking":
            self._speaking_since_ms = None

    def _hear(self, frame: bytes) -> None:
        now = loop_ms()
        self._note_lateness(now)
        if level_dbfs(frame) <= AUDIBLE_DBFS:
            return
        if self._state == "speaking" and self._speaking_since_ms is None:
            self._speaking_since_ms = now
        if self._primed and self._last_sound_ms is not None:
            self._awaiting = self._primed = False
            self._measured_ms = round(now - self._last_sound_ms, 1)
            self._tell_latency()

    def _tell_latency(self) -> None:
        """Tell a turn's latency once both sides have measured it."""
        if self._measured_ms is None or self._stages is None:
            return
        event = {"type": "turn.latency", "ms": self._measured_ms, "stages": self._stages}
        self._measured_ms = self._stages = None
        self.on_event(event)

    def _note_lateness(self, now: float) -> None:
        """Note how late a frame came against the schedule that its stretch of speech began."""
        if self._spurt is None or now - self._last_arrival_ms > 500.0:
            self._spurt = (now, 0)
        began_ms, count = self._spurt
        self.lateness_ms.append(now - (began_ms + count * FRAME_MS))
        self._spurt = (began_ms, count + 1)
        self._last_arrival_ms = now


def _frames_until_last_sound(samples: Samples) -> list[bytes]:
    """Cut samples into frames; silence at the end is left out, it goes out by itself."""
    pcm = samples_to_pcm(np.pad(samples, (0, -len(samples) % FRAME_SAMPLES)))
    frames = [pcm[i : i + FRAME_BYTES] for i in range(0, len(pcm), FRAME_BYTES)]
    while frames and level_dbfs(frames[-1]) <= AUDIBLE_DBFS:
        frames.pop()
    return frames
