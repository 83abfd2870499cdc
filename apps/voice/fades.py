"""Smooth ends of speech: a frame that falls to silence or rises from it makes no click."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from apps.core.audio import FRAME_SAMPLES, pcm_to_samples, samples_to_pcm

_FALL_SAMPLES = FRAME_SAMPLES // 2
"""Half a frame is smooth enough, and callers who interrupt hear the end of it sooner."""


def _rise(samples: int) -> NDArray[np.float64]:
    return np.asarray((1.0 - np.cos(np.pi * np.arange(samples) / samples)) / 2.0)


_RISE = _rise(FRAME_SAMPLES)
_FALL = np.concatenate((1.0 - _rise(_FALL_SAMPLES), np.zeros(FRAME_SAMPLES - _FALL_SAMPLES)))


def fade_in(frame: bytes) -> bytes:
    """Return a 20 ms frame that rises from silence to its full level."""
    return samples_to_pcm((pcm_to_samples(frame) * _RISE).astype(np.int16))


def fade_out(frame: bytes) -> bytes:
    """Return a 20 ms frame that falls from its full level to silence in its first half."""
    return samples_to_pcm((pcm_to_samples(frame) * _FALL).astype(np.int16))
