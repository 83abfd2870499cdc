"""Resampling of live mono audio, chunk by chunk, by FFmpeg's resampler (PyAV)."""

from __future__ import annotations

import av
import numpy as np
from av.audio.resampler import AudioResampler

from apps.core.audio import SAMPLE_RATE_HZ, Samples
from apps.core.errors import AudioError

MIN_RATE_HZ = 4_000
MAX_RATE_HZ = 192_000


class Resampler:
    """Converts a stream of int16 mono samples from one rate to another.

    Chunks may have any length; about a millisecond stays inside until `flush`. With equal rates
    the samples pass through untouched.

    Args:
        from_hz: The rate that comes in.
        to_hz: The rate that goes out.

    Raises:
        AudioError: A rate is outside 4 to 192 kHz.
    """

    def __init__(self, from_hz: int, to_hz: int = SAMPLE_RATE_HZ) -> None:
        for rate_hz in (from_hz, to_hz):
            if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
                raise AudioError(
                    f"A sample rate of {rate_hz} Hz is not supported.",
                    hint=f"Rates from {MIN_RATE_HZ} to {MAX_RATE_HZ} Hz are.",
                )
        self._from_hz = from_hz
        self._engine = (
            AudioResampler(format="s16", layout="mono", rate=to_hz) if from_hz != to_hz else None
        )
        self._position = 0

    def push(self, samples: Samples) -> Samples:
        """Add samples, shape (n,), and return those that are ready at the other rate."""
        if self._engine is None or not len(samples):
            return samples
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples, dtype=np.int16).reshape(1, -1),
            format="s16",
            layout="mono",
        )
        frame.sample_rate = self._from_hz
        frame.pts = self._position
        self._position += len(samples)
        return _joined(self._engine.resample(frame))

    def flush(self) -> Samples:
        """Return what is still inside; the stream ends with it."""
        if self._engine is None or not self._position:
            return np.zeros(0, np.int16)
        return _joined(self._engine.resample(None))


def resample(samples: Samples, from_hz: int, to_hz: int = SAMPLE_RATE_HZ) -> Samples:
    """Return a whole recording, int16 of shape (n,), at another rate."""
    resampler = Resampler(from_hz, to_hz)
    return np.concatenate([resampler.push(samples), resampler.flush()])


def _joined(frames: list[av.AudioFrame]) -> Samples:
    parts = [frame.to_ndarray().reshape(-1) for frame in frames]
    return np.concatenate(parts) if parts else np.zeros(0, np.int16)
