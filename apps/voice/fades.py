"""Smooth ends of speech: a frame that falls to silence or rises from it makes no click."""

from __future__ import annotations

import numpy as np

from apps.core.audio import FRAME_SAMPLES, pcm_to_samples, samples_to_pcm

_RISE = (1.0 - np.cos(np.pi * np.arange(FRAME_SAMPLES) / FRAME_SAMPLES)) / 2.0
_FALL = 1.0 - _RISE


def fade_in(frame: bytes) -> bytes:
    """Return a 20 ms frame that rises from silence to its full level."""
    return samples_to_pcm((pcm_to_samples(frame) * _RISE).astype(np.int16))


def fade_out(frame: bytes) -> bytes:
    """Return a 20 ms frame that falls from its full level to silence."""
    return samples_to_pcm((pcm_to_samples(frame) * _FALL).astype(np.int16))
