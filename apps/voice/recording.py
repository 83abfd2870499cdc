"""The recording of a call: a stereo WAV, caller left, assistant right, on one timeline.

It is written as the call goes on, about once a second, and its header is kept right at each
writing: memory stays bounded, and after a crash the file is a valid WAV that lacks the end.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import structlog

from apps.core.audio import SAMPLE_BYTES, SAMPLE_RATE_HZ, duration_ms, level_dbfs, pcm_to_samples
from apps.core.clock import loop_ms

log = structlog.get_logger(__name__)

# What comes this much too early or late is jitter, and goes where the audio before it ended.
JITTER_MS = 80.0
# A side may be fed this much behind the other; what is older is on disk.
LAG_MS = 2000.0
WRITE_MS = 1000.0
# A side that is ahead of its time is brought back by leaving out frames as quiet as this.
QUIET_DBFS = -50.0

_CHANNELS = 2
_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")


class CallRecorder:
    """Records one call. A disk that fails ends the recording, with a line in the log, not the call.

    Args:
        path: The file; made with its folder at the first audio, readable by the owner alone.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None
        self._failed = False
        self._origin_ms: float | None = None
        self._caller = _Side()
        self._assistant = _Side()
        self._written = 0  # samples of each side on disk

    def caller(self, pcm: bytes, at_ms: float | None = None) -> None:
        """Add what the caller said.

        Args:
            pcm: 16 kHz PCM.
            at_ms: Loop time at which it had arrived, that is, of its end; now when None.
        """
        arrived_ms = loop_ms() if at_ms is None else at_ms
        self._add(self._caller, pcm, arrived_ms - duration_ms(pcm))

    def assistant(self, pcm: bytes, at_ms: float | None = None) -> None:
        """Add what the assistant said.

        Args:
            pcm: 16 kHz PCM.
            at_ms: Loop time at which it began to be played; now when None.
        """
        self._add(self._assistant, pcm, loop_ms() if at_ms is None else at_ms)

    def close(self) -> None:
        """Write the rest and close the file. May be called twice."""
        self._write_until(max(self._caller.end, self._assistant.end))
        self._failed = True
        if self._fd is not None:
            fd, self._fd = self._fd, None
            os.close(fd)

    def _add(self, side: _Side, pcm: bytes, start_ms: float) -> None:
        if self._failed or not pcm:
            return
        if self._origin_ms is None:
            self._origin_ms = start_ms
        side.add(pcm, round((start_ms - self._origin_ms) * SAMPLE_RATE_HZ / 1000))
        settled = max(self._caller.end, self._assistant.end) - _samples(LAG_MS)
        if settled - self._written >= _samples(WRITE_MS):
            self._write_until(settled)

    def _write_until(self, end: int) -> None:
        """Write both sides up to a sample; a side that has less was silent."""
        count = end - self._written
        if self._failed or count <= 0:
            return
        frames = np.stack(
            [self._caller.take(count), self._assistant.take(count)], axis=1, dtype="<i2"
        )
        try:
            self._append(frames.tobytes(), end)
        except OSError as error:
            self._failed = True
            log.error("recording_failed", reason=error.strerror, path=str(self._path.parent))
        self._written = end

    def _append(self, data: bytes, end: int) -> None:
        if self._fd is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC
            self._fd = os.open(self._path, flags, 0o600)
        at = _HEADER.size + self._written * _CHANNELS * SAMPLE_BYTES
        _write_all(self._fd, data, at)
        _write_all(self._fd, _header(end), 0)


class _Side:
    """One side's audio that is not on disk yet.

    Attributes:
        end: Position of the sample after the last one, on the recording's timeline.
    """

    def __init__(self) -> None:
        self.end = 0
        self._pending = bytearray()

    def add(self, pcm: bytes, start: int) -> None:
        """Put PCM where it belongs, or where the audio before it ended."""
        jitter = _samples(JITTER_MS)
        if start > self.end + jitter:
            self._silence(start - self.end)
        elif start < self.end - jitter and level_dbfs(pcm) < QUIET_DBFS:
            return
        self._pending += pcm
        self.end += len(pcm) // SAMPLE_BYTES

    def take(self, count: int) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
        """Return the next samples, silence where there are none, and forget them."""
        lacking = count - len(self._pending) // SAMPLE_BYTES
        if lacking > 0:
            self._silence(lacking)
        taken = bytes(self._pending[: count * SAMPLE_BYTES])
        del self._pending[: count * SAMPLE_BYTES]
        return pcm_to_samples(taken)

    def _silence(self, count: int) -> None:
        self._pending += bytes(count * SAMPLE_BYTES)
        self.end += count


def _samples(ms: float) -> int:
    return round(ms * SAMPLE_RATE_HZ / 1000)


def _write_all(fd: int, data: bytes, at: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, at)
        view, at = view[written:], at + written


def _header(samples: int) -> bytes:
    """Return the 44 bytes before so many stereo samples: RIFF, its format, its data's length."""
    frame_bytes = _CHANNELS * SAMPLE_BYTES
    size = samples * frame_bytes
    return _HEADER.pack(
        b"RIFF",
        _HEADER.size - 8 + size,
        b"WAVE",
        b"fmt ",
        16,
        1,  # PCM
        _CHANNELS,
        SAMPLE_RATE_HZ,
        SAMPLE_RATE_HZ * frame_bytes,
        frame_bytes,
        SAMPLE_BYTES * 8,
        b"data",
        size,
    )
