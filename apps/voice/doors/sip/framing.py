"""Cuts messages out of a stream by their Content-Length (RFC 3261 section 18.3, RFC 5626)."""

from __future__ import annotations

from apps.voice.doors.sip.headers import BadMessage, content_length, read_headers
from apps.voice.doors.sip.message import MAX_MESSAGE_BYTES

PING = b"\r\n\r\n"
PONG = b"\r\n"


class Framer:
    """One stream's buffer, which never holds more than one message and a half-read one."""

    def __init__(self) -> None:
        self._waiting = bytearray()
        self._head_from = 0
        self._end: int | None = None

    def push(self, data: bytes) -> list[bytes]:
        """Add what came and return the messages that are whole now; a keep-alive is `PING`.

        Raises:
            BadMessage: Where the next message ends cannot be known; the stream is of no more use.
        """
        self._waiting += data
        found = []
        while (message := self._next()) is not None:
            found.append(message)
        return found

    def _next(self) -> bytes | None:
        waiting = self._waiting
        if waiting.startswith(PING):
            del waiting[:4]
            return PING
        if PING.startswith(bytes(waiting[:4])):  # may become a keep-alive
            return None
        if waiting.startswith(PONG):
            del waiting[:2]
            return PONG
        end = self._end
        if end is None and (end := self._find_end()) is None:
            return None
        if len(waiting) < end:
            return None
        message = bytes(waiting[:end])
        del waiting[:end]
        self._head_from, self._end = 0, None
        return message

    def _find_end(self) -> int | None:
        """Return where the next message ends, once its head is whole; looked for only once."""
        waiting = self._waiting
        head_end = waiting.find(b"\r\n\r\n", max(0, self._head_from - 3))
        if head_end < 0:
            self._head_from = len(waiting)
            if len(waiting) > MAX_MESSAGE_BYTES:
                raise BadMessage("A message's head is too long.", status=513)
            return None
        self._end = head_end + 4 + self._body_length(bytes(waiting[:head_end]))
        if self._end > MAX_MESSAGE_BYTES:
            raise BadMessage("A message is too long.", status=513)
        return self._end

    def _body_length(self, head: bytes) -> int:
        try:
            _, *lines = head.decode("utf-8").split("\r\n")
        except UnicodeDecodeError:
            raise BadMessage("A message's head is not UTF-8.") from None
        length = content_length(read_headers(lines))
        if length is None:
            raise BadMessage("A message in a stream has no Content-Length.")
        return length
