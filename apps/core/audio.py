"""What audio is inside TOM: signed 16-bit little-endian mono PCM at 16 kHz, in 20 ms frames."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE_HZ = 16_000
FRAME_MS = 20
FRAME_SAMPLES = SAMPLE_RATE_HZ * FRAME_MS // 1000
SAMPLE_BYTES = 2
FRAME_BYTES = FRAME_SAMPLES * SAMPLE_BYTES

Samples = NDArray[np.int16]


def pcm_to_samples(pcm: bytes) -> Samples:
    """View PCM bytes as int16 samples, shape (n,); no copy."""
    return np.frombuffer(pcm, dtype="<i2")


def samples_to_pcm(samples: Samples) -> bytes:
    """Return int16 samples, shape (n,), as little-endian PCM bytes."""
    return samples.astype("<i2", copy=False).tobytes()


def duration_ms(pcm: bytes) -> float:
    """Return how long PCM at 16 kHz lasts, in milliseconds."""
    return len(pcm) / SAMPLE_BYTES / SAMPLE_RATE_HZ * 1000


def level_dbfs(pcm: bytes) -> float:
    """Return the RMS level of PCM in dB relative to full scale (-100.0 for silence)."""
    if not pcm:
        return -100.0
    samples = pcm_to_samples(pcm).astype(np.float32)
    power = float(samples @ samples) / len(samples) / 32768.0**2
    return max(-100.0, 10.0 * math.log10(power)) if power > 0 else -100.0


def levels_dbfs(frames: Sequence[bytes]) -> list[int]:
    """Return the RMS level of whole 20 ms frames in whole dB relative to full scale, >= -100."""
    if not frames:
        return []
    samples = pcm_to_samples(b"".join(frames)).reshape(-1, FRAME_SAMPLES).astype(np.float32)
    power = np.mean(samples * samples, axis=1) / 32768.0**2
    return [int(level) for level in np.maximum(-100, 10 * np.log10(power + 1e-12)).round()]


class Framer:
    """Cuts a stream of PCM of any chunk size into whole 20 ms frames."""

    def __init__(self, frame_bytes: int = FRAME_BYTES) -> None:
        self._frame_bytes = frame_bytes
        self._rest = b""

    def push(self, pcm: bytes) -> list[bytes]:
        """Add PCM and return the whole frames that are now complete."""
        data = self._rest + pcm
        end = len(data) - len(data) % self._frame_bytes
        self._rest = data[end:]
        return [data[i : i + self._frame_bytes] for i in range(0, end, self._frame_bytes)]

    def flush(self) -> bytes:
        """Return the rest, padded with silence to one frame; empty when nothing is left."""
        rest, self._rest = self._rest, b""
        return rest.ljust(self._frame_bytes, b"\0") if rest else b""
