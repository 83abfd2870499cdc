"""The data channel of a WebRTC connection, as texts both ways."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress

from aiortc import RTCDataChannel, RTCSctpTransport
from aiortc.rtcsctptransport import DataChunk

MAX_UNSENT = 200
MAX_BUFFERED_BYTES = 1 << 20
MAX_TEXT_CHARS = 64 * 1024
MAX_PIECES = 1000
"""Of one stream that wait for the rest of their message, or for one before it."""
MAX_STREAMS = 100


class TextChannel:
    """The channel of one label, which the caller opens.

    Args:
        label: Its label; other channels are ignored.
        take: Called with every text that comes; must return at once.
    """

    def __init__(self, label: str, take: Callable[[str], None]) -> None:
        self._label, self._take = label, take
        self._channel: RTCDataChannel | None = None
        self._unsent: deque[str] = deque(maxlen=MAX_UNSENT)

    def open(self, channel: RTCDataChannel) -> None:
        """Use a channel that the caller has opened, if it is the one; what has waited is sent."""
        if channel.label != self._label or self._channel is not None:
            return
        self._channel = channel
        channel.on("message", self._read)
        while self._unsent:
            self.send(self._unsent.popleft())

    def send(self, text: str) -> None:
        """Send a text, or keep it until the channel is open; after its end nothing is sent."""
        if self._channel is None:
            self._unsent.append(text)
        elif self._takes_more(self._channel):
            self._channel.send(text)

    def _read(self, message: str | bytes) -> None:
        if isinstance(message, str) and len(message) <= MAX_TEXT_CHARS:
            self._take(message)

    def _takes_more(self, channel: RTCDataChannel) -> bool:
        # The channel itself notices late, or never, that the connection has ended.
        connected = channel.transport.transport.state == "connected"
        room = channel.bufferedAmount < MAX_BUFFERED_BYTES
        return connected and room and channel.readyState == "open"


def end_quietly(sctp: RTCSctpTransport) -> None:
    """Drop what can no longer be sent once the connection has ended.

    aiortc's own timers send again what was not acknowledged, in tasks whose errors nobody awaits.
    """
    transport = sctp.transport
    send = transport._send_data

    async def send_or_drop(data: bytes) -> None:
        with suppress(ConnectionError):
            await send(data)

    transport._send_data = send_or_drop  # type: ignore[method-assign]


def bound_pieces(sctp: RTCSctpTransport) -> None:
    """Take no more pieces of messages than a client has a reason to leave unfinished.

    aiortc keeps them all, whatever room it says that it has, and looks through those of a stream
    with each that comes: a caller who never ends a message would take ever more time from others.
    """
    take = sctp._receive_data_chunk

    async def take_or_drop(chunk: DataChunk) -> None:
        streams = sctp._inbound_streams
        stream = streams.get(chunk.stream_id)
        new = stream is None and len(streams) < MAX_STREAMS
        goes_on = stream is not None and len(stream.reassembly) < MAX_PIECES
        room = sctp._advertised_rwnd > 0 and len(sctp._sack_misordered) < MAX_PIECES
        if (new or goes_on) and (room or _is_next(sctp, chunk)):
            await take(chunk)

    sctp._receive_data_chunk = take_or_drop  # type: ignore[method-assign]


def _is_next(sctp: RTCSctpTransport, chunk: DataChunk) -> bool:
    """Tell whether nothing is missing before a piece: it may be what the others wait for."""
    last = sctp._last_received_tsn
    follows = last is not None and chunk.tsn == (last + 1) & 0xFFFFFFFF
    return follows and sctp._advertised_rwnd > -MAX_TEXT_CHARS
