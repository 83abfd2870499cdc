"""Whose message a worker handles next: of the streams that wait, the one that has had least of it.

With one queue for all, a caller whose audio piles up, or whose decodes take long, would hold up
everybody behind them. Here each stream has a queue of its own and pays for the engine's time.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field

from apps.voice.workers.wire import Frame, Kind


@dataclass(slots=True)
class _Line:
    """The frames of one stream, in order, and the seconds of the engine that it has had."""

    used_s: float
    frames: deque[Frame] = field(default_factory=deque)


class FairInbox:
    """What a worker has been sent and has not handled; one thread puts, another one gets.

    Frames of one stream keep their order. Between streams the one goes first that has used the
    least of the engine, and who comes, or comes back, is put on a level with those who wait: a
    time without messages earns nothing. Messages to the worker itself are never kept waiting.
    """

    def __init__(self) -> None:
        self._lines: dict[int, _Line] = {}
        self._own: deque[Frame] = deque()
        self._level_s = 0.0
        self._closed = False
        self._changed = threading.Condition()

    def put(self, frame: Frame) -> None:
        """Add a frame; one of a stream that was not opened, or is over, is dropped."""
        with self._changed:
            if not frame.stream:
                self._own.append(frame)
            elif (line := self._line(frame)) is not None:
                if not line.frames:
                    line.used_s = max(line.used_s, self._level_s)
                line.frames.append(frame)
            self._changed.notify()

    def get(self) -> Frame | None:
        """Wait for a frame and take it; None once nothing more will come."""
        with self._changed:
            while not self._closed:
                if self._own:
                    return self._own.popleft()
                if line := self._next():
                    self._level_s = max(self._level_s, line.used_s)
                    return line.frames.popleft()
                self._changed.wait()
            return None

    def charge(self, stream_id: int, seconds: float) -> None:
        """Note how long the engine worked for a stream."""
        with self._changed:
            if line := self._lines.get(stream_id):
                line.used_s += seconds

    def forget(self, stream_id: int) -> None:
        """Drop what waits of a stream, which is over."""
        with self._changed:
            self._lines.pop(stream_id, None)

    def close(self) -> None:
        """Nothing more comes, and what waits is not wanted any more."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def qsize(self) -> int:
        """Return how many frames wait."""
        with self._changed:
            return len(self._own) + sum(len(line.frames) for line in self._lines.values())

    def empty(self) -> bool:
        """Whether `get` would wait."""
        with self._changed:
            return not self._closed and not self._own and self._next() is None

    def _line(self, frame: Frame) -> _Line | None:
        if frame.kind is Kind.OPEN:
            self._lines[frame.stream] = _Line(self._level_s)
        return self._lines.get(frame.stream)

    def _next(self) -> _Line | None:
        waiting = [line for line in self._lines.values() if line.frames]
        return min(waiting, key=lambda line: line.used_s, default=None)
