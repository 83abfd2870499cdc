"""Live resampling between the telephone network's 8 kHz and TOM's 16 kHz, a few µs a frame.

A half-band low-pass: every other tap but the middle one is zero, so one phase of the output is the
input itself and only the other is computed. Flat to 3.4 kHz, the telephone band's upper edge, and
60 dB down from 4.6 kHz, where that band's image lies; what is between folds above 3.4 kHz.
Any other pair of rates takes `resample.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.core.audio import Samples

_SIDE = 12
_KAISER_BETA = 5.65  # 60 dB
_HISTORY = 2 * _SIDE - 1


def _branch() -> NDArray[np.float32]:
    """Return the taps that are not zero, without the middle one, shape (24,); they sum to 1."""
    at = np.arange(-_HISTORY, _HISTORY + 1, 2)
    taps = np.sinc(at / 2) * np.kaiser(2 * _HISTORY + 3, _KAISER_BETA)[at + _HISTORY + 1]
    return np.asarray(taps / taps.sum(), np.float32)


_BRANCH = _branch()
_HALF_BRANCH = _BRANCH / 2


class UpTo16k:
    """Doubles the rate of a stream from 8 to 16 kHz; 1.4 ms late."""

    def __init__(self) -> None:
        self._past = np.zeros(_HISTORY, np.int16)

    def push(self, samples: Samples) -> Samples:
        """Take int16 samples, shape (n,), and return the next 2n at 16 kHz."""
        count = len(samples)
        stream = np.concatenate((self._past, samples))
        self._past = stream[count:]
        doubled = np.empty(2 * count, np.int16)
        if count:
            doubled[::2] = _to_int16(np.correlate(stream, _BRANCH, "valid"))
            doubled[1::2] = stream[_SIDE : _SIDE + count]
        return doubled


class DownTo8k:
    """Halves the rate of a stream from 16 to 8 kHz; 1.4 ms late."""

    def __init__(self) -> None:
        self._past_even = np.zeros(_SIDE - 1, np.float32)
        self._past_odd = np.zeros(_HISTORY, np.float32)

    def push(self, samples: Samples) -> Samples:
        """Take an even number of int16 samples, shape (2n,), and return the next n at 8 kHz."""
        count = len(samples) // 2
        if not count:
            return samples[:0]
        even = np.concatenate((self._past_even, samples[::2]), dtype=np.float32)
        odd = np.concatenate((self._past_odd, samples[1::2]), dtype=np.float32)
        self._past_even, self._past_odd = even[count:], odd[count:]
        return _to_int16(np.correlate(odd, _HALF_BRANCH, "valid") + even[:count] * np.float32(0.5))


def _to_int16(values: NDArray[np.floating[Any]]) -> Samples:
    """Round in place, and cut what the filter lifted above full scale."""
    np.rint(values, out=values)
    np.maximum(values, -32768.0, out=values)
    np.minimum(values, 32767.0, out=values)
    return values.astype(np.int16)
