"""The host's side of one stream: what a recogniser's utterance or a spoken sentence rides on."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from apps.core.errors import EngineError, EngineOverloaded, TomError
from apps.voice.workers.wire import Frame, Kind

log = structlog.get_logger(__name__)

DEFAULT_BACKLOG_BYTES = 160_000  # five seconds of 16 kHz PCM
DEFAULT_REPLY_BYTES = 1 << 23

OnReply = Callable[[Frame], None]


class WorkerStream:
    """One stream of a worker, for use in the event loop's thread.

    Both directions are bounded: `send` refuses when the worker is too far behind, and a stream
    whose owner does not take its replies fails, so that it can never hold up the others.

    Args:
        stream_id: Its number, never used twice by one process.
        write: Puts a frame on the pipe; never blocks.
        on_closed: Called once, when the stream needs nothing more from the process.
        on_reply: Takes every reply at once, in the event loop; without it, `receive` does.
        backlog_bytes: Payload that may be sent and not yet handled.
        reply_bytes: Payload that may be replied and not yet received.
    """

    def __init__(
        self,
        stream_id: int,
        write: Callable[[Frame], None],
        on_closed: Callable[[WorkerStream], None],
        *,
        on_reply: OnReply | None = None,
        backlog_bytes: int = DEFAULT_BACKLOG_BYTES,
        reply_bytes: int = DEFAULT_REPLY_BYTES,
    ) -> None:
        self.id = stream_id
        self._write = write
        self._on_closed = on_closed
        self._on_reply = on_reply
        self._backlog_limit = backlog_bytes
        self._backlog_bytes = 0
        self._reply_limit = reply_bytes
        self._reply_bytes = 0
        self._replies: deque[Frame] = deque()
        self._error: TomError | None = None
        self._closed = False
        self._changed = asyncio.Event()

    @property
    def backlog_bytes(self) -> int:
        """Payload that was sent and is not known to be handled."""
        return self._backlog_bytes

    def send(self, header: Mapping[str, Any] | None = None, payload: bytes = b"") -> None:
        """Send a message to the worker; returns at once, and does nothing after the end.

        Raises:
            EngineOverloaded: The worker is too far behind; nothing was sent.
            EngineDied: Its process ended; or another error with which the stream failed.
        """
        if self._error is not None:
            raise self._error
        if self._closed:
            return
        if self._backlog_bytes + len(payload) > self._backlog_limit:
            raise EngineOverloaded(
                "The engine does not keep up with the audio.",
                hint="Allow fewer calls at once (TOM_MAX_CALLS) or give it more processes.",
            )
        self._backlog_bytes += len(payload)
        self._write(Frame(Kind.DATA, self.id, header or {}, payload))

    async def receive(self) -> Frame | None:
        """Wait for the next reply; None after the last one.

        Raises:
            EngineDied: The process ended before the stream was complete.
            EngineOverloaded: The replies were not received in time, and some are lost.
            TomError: What else the worker failed with.
        """
        while not self._replies:
            if self._error is not None:
                raise self._error
            if self._closed:
                return None
            self._changed.clear()
            await self._changed.wait()
        frame = self._replies.popleft()
        self._reply_bytes -= len(frame.payload)
        return frame

    def cancel(self) -> None:
        """Give the stream up: the worker stops at its next chunk; replies are dropped."""
        if self._closed:
            return
        self._write(Frame(Kind.CANCEL, self.id))
        self._replies.clear()
        self._close()

    def take(self, frame: Frame) -> None:
        """Take a frame from the worker; called by the process's reader."""
        if self._closed:
            return
        if frame.kind is Kind.REPLY:
            self._take_reply(frame)
        elif frame.kind is Kind.ACK:
            self._backlog_bytes = max(0, self._backlog_bytes - int(frame.header.get("bytes", 0)))
        elif frame.kind is Kind.END:
            self._close()

    def fail(self, error: TomError) -> None:
        """End the stream with an error, which `send` and `receive` raise."""
        if not self._closed:
            self._error = error
            self._close()

    def _take_reply(self, frame: Frame) -> None:
        if self._on_reply is not None:
            self._hand_out(self._on_reply, frame)
            return
        self._reply_bytes += len(frame.payload)
        if self._reply_bytes > self._reply_limit:
            self.cancel()
            self._error = EngineOverloaded("The engine's replies were not received in time.")
            return
        self._replies.append(frame)
        self._changed.set()

    def _hand_out(self, on_reply: OnReply, frame: Frame) -> None:
        try:
            on_reply(frame)
        except Exception:  # the fault of one stream's owner, which the others must not feel
            log.exception("stream_owner_failed")
            self.cancel()
            self._error = EngineError("What took the engine's replies failed.")

    def _close(self) -> None:
        self._closed = True
        self._changed.set()
        self._on_closed(self)
