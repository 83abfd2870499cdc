"""Silero's network over the streams of all calls at once: what comes together is one batch.

A batch runs when the event loop has handed out everything that had arrived, so nobody waits for
another call's audio. One window by itself costs about 90 µs when the processor is warm and twice
that when it is not, most of it for reading the weights; of a batch of eight each costs 25.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from apps.voice.silero import SileroNetwork, SileroStream
from apps.voice.vad import Tell, VoiceActivity, Windows

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Asked:
    """A frame whose windows wait for the next batch."""

    stream: SileroStream
    frame: bytes
    tell: Tell
    windows: deque[bytes]
    found: list[float] = field(default_factory=list)


class VadPool:
    """Detects for all calls of a server.

    Args:
        network: See `silero_network`.
    """

    def __init__(self, network: SileroNetwork) -> None:
        self._network = network
        self._waiting: list[_Asked] = []

    def open(self) -> VoiceActivity:
        """Return the detector of one call."""
        return _Pooled(self._ask)

    def _ask(self, asked: _Asked) -> None:
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._run)
        self._waiting.append(asked)

    def _run(self) -> None:
        waiting, self._waiting = self._waiting, []
        while batch := _first_of_each([asked for asked in waiting if asked.windows]):
            streams = [asked.stream for asked in batch]
            windows = [asked.windows.popleft() for asked in batch]
            found = SileroStream.advance(self._network, streams, windows)
            for asked, probability in zip(batch, found, strict=True):
                asked.found.append(probability)
        for asked in waiting:
            try:
                asked.tell(asked.frame, asked.found)
            except Exception:  # a defect in one call's ear: the others must hear on
                log.exception("ear_failed")


def _first_of_each(todo: list[_Asked]) -> list[_Asked]:
    """Return the first of each stream: its windows go in order, one in a batch."""
    first: dict[int, _Asked] = {}
    for asked in todo:
        first.setdefault(id(asked.stream), asked)
    return list(first.values())


class _Pooled:
    """One call's detector in a pool."""

    def __init__(self, ask: Callable[[_Asked], None]) -> None:
        self._ask = ask
        self._windows, self._stream = Windows(), SileroStream()

    def hear(self, frame: bytes, tell: Tell) -> None:
        """Add a frame; its windows go with the next batch."""
        self._ask(_Asked(self._stream, frame, tell, deque(self._windows.push(frame))))
