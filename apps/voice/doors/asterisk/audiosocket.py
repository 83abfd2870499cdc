"""The AudioSocket door: an Asterisk's TCP connection, one a call.

Who sends audio paces it: what the mouth sends ahead of time waits here for its moment, so that a
flush can still take it back. The reply has the rate of what comes in.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from apps.core.audio import FRAME_MS, duration_ms
from apps.core.clock import loop_ms
from apps.core.errors import ProtocolError, TransferFailed
from apps.voice.doors.asterisk.frames import (
    HANG_UP,
    Audio,
    CallId,
    HangUp,
    Packet,
    PacketReader,
    audio_kind,
    read_packet,
    write_packet,
)
from apps.voice.doors.base import (
    CallerAudio,
    CallerDigit,
    CallerHungUp,
    CallRequest,
    Capabilities,
    DoorEvent,
)
from apps.voice.doors.carriers.door import HandOver
from apps.voice.doors.peer import Patience, arrivals, first_message
from apps.voice.doors.transcode import Transcoder

MAX_QUEUED_FRAMES = 50
MAX_LATE_MS = 100.0
"""After a longer stall the pace begins anew: catching up would only fill Asterisk's queue."""
SEND_TIMEOUT_S = 5.0
_READ_BYTES = 4096


class Connection:
    """An AudioSocket connection as packets.

    Args:
        reader: What comes.
        writer: What goes.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._packets = PacketReader()
        self._gone = False

    async def receive(self) -> Packet | None:
        """Return the next packet, or None when the peer has gone.

        Raises:
            ProtocolError: It is none; the connection goes on after it.
        """
        while (packet := self._packets.next()) is None:
            try:
                data = await self._reader.read(_READ_BYTES)
            except OSError:
                data = b""
            if not data:
                return None
            self._packets.push(data)
        return read_packet(*packet)

    async def send(self, kind: int, payload: bytes = b"") -> None:
        """Send one packet, unless the peer has gone."""
        if self._gone or self._writer.is_closing():
            return
        try:
            self._writer.write(write_packet(kind, payload))
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await self._writer.drain()
        except (OSError, TimeoutError):  # a peer that does not read is gone, too
            self._gone = True

    async def close(self) -> None:
        """Close the connection; a second close does nothing."""
        self._writer.close()
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await self._writer.wait_closed()
        except (OSError, TimeoutError):
            self._writer.transport.abort()


async def first_packet(connection: Connection) -> CallId:
    """Wait for the call's id, which comes first.

    Raises:
        ProtocolError: It did not; code ``timeout`` or ``not_started``.
    """
    packet = await first_message(connection.receive)
    if not isinstance(packet, CallId):
        raise ProtocolError("A connection begins with the call's id.", code="not_started")
    return packet


class AudioSocketDoor:
    """One call over one connection; `pace` must run beside it.

    Args:
        connection: Whose first packet has been read.
        request: Whom the call is for.
        hand_over: Leaves word for the dialplan where to put the caller through to.
    """

    name = "audiosocket"

    def __init__(
        self, connection: Connection, request: CallRequest, hand_over: HandOver | None = None
    ) -> None:
        self._connection, self.request = connection, request
        self.capabilities = Capabilities(transfer=hand_over is not None)
        self._hand_over = hand_over
        self._patience = Patience()
        self._rate_hz = 8000
        self._transcoder = Transcoder("pcm_s16le", self._rate_hz)
        self._queue: deque[bytes] = deque()
        self._changed = asyncio.Event()

    @property
    def unplayed_ms(self) -> float:
        """How much of what was sent waits here for its moment."""
        return len(self._queue) * float(FRAME_MS)

    def events(self) -> AsyncGenerator[DoorEvent, None]:
        """Yield what comes from the caller; bad packets are dropped, within bounds."""
        return arrivals(self._connection.receive, self._take, self._complain)

    async def play(self, frame: bytes) -> None:
        """Queue one 20 ms frame for its moment."""
        while len(self._queue) >= MAX_QUEUED_FRAMES:
            self._changed.clear()
            await self._changed.wait()
        self._queue.append(frame)
        self._changed.set()

    async def flush(self) -> None:
        """Drop what waits; what has left cannot be taken back."""
        self._queue.clear()
        self._transcoder.reset_outgoing()
        self._changed.set()

    async def pace(self) -> None:
        """Send what waits, 20 ms every 20 ms on an absolute schedule, until cancelled."""
        due_ms = 0.0
        while True:
            while not self._queue:
                self._changed.clear()
                await self._changed.wait()
            now_ms = loop_ms()
            if now_ms - due_ms > MAX_LATE_MS:
                due_ms = now_ms
            if due_ms > now_ms:
                await asyncio.sleep((due_ms - now_ms) / 1000)
                continue  # it may have been flushed meanwhile
            frame = self._queue.popleft()
            self._changed.set()
            due_ms += FRAME_MS
            kind = audio_kind(self._rate_hz)
            await self._connection.send(kind, self._transcoder.outgoing(frame))

    async def tell(self, kind: str, data: Mapping[str, Any]) -> None:
        """Do nothing: a telephone has nowhere to show it."""

    async def transfer(self, target: str, summary: str) -> None:
        """Leave word for the dialplan, which puts the caller through.

        Raises:
            TransferFailed: No dialplan asks.
        """
        if self._hand_over is None:
            raise TransferFailed("Nobody asked where to put this caller through to.")
        await self._hand_over(target, summary)

    async def close(self, reason: str) -> None:
        """Hang up: the dialplan goes on after its AudioSocket."""
        await self._connection.send(HANG_UP)
        await self._connection.close()

    async def _complain(self, error: ProtocolError) -> bool:
        """Say nothing: Asterisk takes no errors. Returns False when it is given up."""
        return not self._patience.ends(error)

    async def _take(self, packet: Packet) -> DoorEvent | None:
        await self._patience.message()
        match packet:
            case Audio(pcm=pcm, rate_hz=rate_hz):
                return self._hear(pcm, rate_hz)
            case CallerDigit():
                return packet
            case HangUp():
                return CallerHungUp()
            case CallId():
                raise ProtocolError("The call has already started.", code="already_started")
        return None

    def _hear(self, pcm: bytes, rate_hz: int) -> CallerAudio:
        self._patience.check_audio()
        if rate_hz != self._rate_hz:
            self._rate_hz, self._transcoder = rate_hz, Transcoder("pcm_s16le", rate_hz)
        heard = self._transcoder.incoming(pcm)
        self._patience.audio(duration_ms(heard))
        return CallerAudio(heard)
