"""The shell of a carrier's door over a WebSocket: bounds, marks, hand-over.

A door of one carrier adds how a message is read and how audio, marks and a clear are written.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Any

from apps.core.audio import duration_ms
from apps.core.clock import loop_ms
from apps.core.errors import ProtocolError, TomError, TransferFailed
from apps.voice.doors.base import (
    CallerAudio,
    CallerDigit,
    CallRequest,
    Capabilities,
    DoorEvent,
)
from apps.voice.doors.carriers.marks import PlayoutMarks
from apps.voice.doors.messages import CLOSE_NORMAL
from apps.voice.doors.peer import Patience, Socket, arrivals, refuse
from apps.voice.doors.transcode import Transcoder

HandOver = Callable[[str, str], Awaitable[None]]
"""Takes a target and a summary; raises TransferFailed where the caller is still here."""

KEYS = frozenset("0123456789*#")


class CarrierDoor:
    """One call over one carrier's WebSocket.

    Args:
        socket: The accepted connection.
        request: Whom the call is for.
        transcoder: The carrier's audio format.
        hand_over: Hands the caller over to a person; None where nothing can.
    """

    name: str

    def __init__(
        self,
        socket: Socket,
        request: CallRequest,
        transcoder: Transcoder,
        hand_over: HandOver | None = None,
    ) -> None:
        self._socket, self.request = socket, request
        self.capabilities = Capabilities(transfer=hand_over is not None)
        self._hand_over = hand_over
        self._transcoder = transcoder
        self._marks = PlayoutMarks()
        self._patience = Patience()

    def _read(self, raw: str | bytes) -> DoorEvent | None:
        """Take one message; raises ProtocolError where it is none of the carrier's."""
        raise NotImplementedError

    async def play(self, frame: bytes) -> None:
        """Send one 20 ms frame, and now and then a mark after it."""
        raise NotImplementedError

    async def _clear(self) -> None:
        """Tell the carrier to drop what it has not played."""
        raise NotImplementedError

    async def _answer_error(self, error: TomError) -> None:
        """Tell the carrier of an error, where it takes such a message; this one says nothing."""

    @property
    def unplayed_ms(self) -> float:
        """How much of what was sent the caller has not heard, by the latest mark's delay."""
        return self._marks.unplayed_ms(loop_ms())

    def events(self) -> AsyncGenerator[DoorEvent, None]:
        """Yield what comes from the caller; bad input is dropped, within bounds."""
        return arrivals(self._socket.receive, self._take, self._complain)

    async def flush(self) -> None:
        """Make the carrier drop what it has not played."""
        self._marks.clear()
        self._transcoder.reset_outgoing()
        await self._clear()

    async def tell(self, kind: str, data: Mapping[str, Any]) -> None:
        """Do nothing: a telephone has nowhere to show it."""

    async def transfer(self, target: str, summary: str) -> None:
        """Hand the caller over by the carrier's own means.

        Raises:
            TransferFailed: It cannot, or did not.
        """
        if self._hand_over is None:
            raise TransferFailed("This door cannot hand a caller over.")
        await self._hand_over(target, summary)

    async def close(self, reason: str) -> None:
        """Close the stream; what follows it at the carrier ends the call."""
        await self._socket.close(CLOSE_NORMAL, reason)

    async def _complain(self, error: TomError) -> bool:
        """Tell the carrier of an error; returns False when it is given up."""
        if self._patience.ends(error):
            await refuse(self._socket, error)
            return False
        await self._answer_error(error)
        return True

    async def _take(self, raw: str | bytes) -> DoorEvent | None:
        await self._patience.frame()
        return self._read(raw)

    def _hear(self, audio: bytes) -> CallerAudio:
        self._patience.check_audio()
        pcm = self._transcoder.incoming(audio)
        self._patience.audio(duration_ms(pcm))
        return CallerAudio(pcm)


def read_key(digit: object) -> CallerDigit:
    """Return the key that a message names.

    Raises:
        ProtocolError: It is no key of a telephone; code ``bad_message``.
    """
    if not isinstance(digit, str) or digit not in KEYS:
        raise ProtocolError("A digit is no key of a telephone.", code="bad_message")
    return CallerDigit(digit)
