"""The recording of a call: stereo, caller left, assistant right, on one timeline, sealed.

It is written as the call goes on, about once a second, and never lies on the disk unencrypted:
memory stays bounded, and after a crash the file can be read up to the last piece that was sealed.
"""

from __future__ import annotations

import wave
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import numpy as np
import structlog

from apps.core.audio import SAMPLE_BYTES, SAMPLE_RATE_HZ, duration_ms, level_dbfs, pcm_to_samples
from apps.core.clock import loop_ms
from apps.core.errors import SealError
from apps.voice.sealed import SealedReader, SealedWriter, SealingKey

log = structlog.get_logger(__name__)

# What comes this much too early or late is jitter, and goes where the audio before it ended.
JITTER_MS = 80.0
# A side may be fed this much behind the other; what is older is on disk.
LAG_MS = 2000.0
WRITE_MS = 1000.0
MAX_WAITING = 10
"""Pieces that may wait for the disk; at one more the recording has failed."""
# A side that is ahead of its time is brought back by leaving out frames as quiet as this.
QUIET_DBFS = -50.0

_CHANNELS = 2
_PIECE = 10 * SAMPLE_RATE_HZ
"""The most samples that are sealed at once."""
_LABEL = f"pcm_s16le {SAMPLE_RATE_HZ} {_CHANNELS}".encode()


class CallRecorder:
    """Records one call. A disk that fails ends the recording, with a line in the log, not the call.

    Args:
        path: The file; made with its folder at the first audio, readable by the owner alone.
        key: Seals it.
        disk: One thread that writes for all calls, so that a slow disk holds up none; None writes
            at once.
    """

    def __init__(self, path: Path, key: SealingKey, disk: ThreadPoolExecutor | None = None) -> None:
        self._path, self._key, self._disk = path, key, disk
        self._file: SealedWriter | None = None  # touched where it is written alone
        self._waiting: deque[Future[None]] = deque()
        self._begun = self._closed = self._failed = False
        self._origin_ms: float | None = None
        self._caller = _Side()
        self._assistant = _Side()
        self._written = 0  # samples of each side that were given away to be written

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
        """Seal the rest and close the file. May be called twice."""
        if self._closed:
            return
        self._write_until(max(self._caller.end, self._assistant.end), last=True)
        self._closed = True
        if self._disk is None:
            self._close_file()
        else:
            self._disk.submit(self._close_file)

    def _add(self, side: _Side, pcm: bytes, start_ms: float) -> None:
        if self._failed or self._closed or not pcm:
            return
        if self._origin_ms is None:
            self._origin_ms = start_ms
        start = round((start_ms - self._origin_ms) * SAMPLE_RATE_HZ / 1000)
        # What is long before the newest sound is settled; sealed first, so that the silence of a
        # line that was dead for minutes never lies in memory.
        settled = max(self._caller.end, self._assistant.end, start) - _samples(LAG_MS)
        if settled - self._written >= _samples(WRITE_MS):
            self._write_until(settled)
        side.add(pcm, start)

    def _write_until(self, end: int, *, last: bool = False) -> None:
        """Seal both sides up to a sample; a side that has less was silent."""
        if self._failed or (end <= self._written and not (last and self._begun)):
            return
        while (left := end - self._written) > _PIECE:
            self._seal(_PIECE)
        self._seal(max(0, left), last=last)

    def _seal(self, count: int, *, last: bool = False) -> None:
        frames = np.stack(
            [self._caller.take(count), self._assistant.take(count)], axis=1, dtype="<i2"
        )
        self._written += count
        self._begun = True
        if self._disk is None:
            self._put(frames.tobytes(), last)
            return
        while self._waiting and self._waiting[0].done():
            self._waiting.popleft()
        if len(self._waiting) >= MAX_WAITING:
            self._fail("the disk is too slow")
        else:
            self._waiting.append(self._disk.submit(self._put, frames.tobytes(), last))

    def _put(self, data: bytes, last: bool) -> None:
        if self._failed:
            return
        try:
            if self._file is None:
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._file = SealedWriter(self._path, self._key, _LABEL)
            self._file.write(data, last=last)
        except OSError as error:
            self._fail(error.strerror or type(error).__name__)

    def _fail(self, reason: str) -> None:
        self._failed = True
        log.error("recording_failed", reason=reason, path=str(self._path.parent))

    def _close_file(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            file.close()


def export_wav(path: Path, key: SealingKey, out: BinaryIO) -> bool:
    """Write a recording as a WAV.

    Args:
        path: The sealed recording.
        key: What it was sealed with.
        out: Where to write; it has to be seekable.

    Returns:
        Whether the recording is whole; a crash leaves one without its end.

    Raises:
        SealError: It does not open, or something in it was changed; what came before is written.
        OSError: It cannot be read or written.
    """
    with SealedReader(path, key) as sealed, wave.open(out, "wb") as wav:
        wav.setnchannels(_CHANNELS)
        wav.setsampwidth(SAMPLE_BYTES)
        wav.setframerate(SAMPLE_RATE_HZ)
        for chunk in sealed.chunks():
            if sealed.label != _LABEL:
                raise SealError("This recording is of a form that this version does not know.")
            wav.writeframes(chunk)
        return sealed.finished


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
