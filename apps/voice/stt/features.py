"""Mel cepstra as PocketSphinx's acoustic model was trained on, computed here instead of inside it.

PocketSphinx normalises a stream by the mean of what it heard before, which is wrong for the first
words of every new line; and it cannot know that a telephone cut everything above 3.4 kHz. With the
features in our hands both can be put right (see docs/recognition.md for what that gains).

The front end follows the model's ``feat.params``: 25 mel filters from 130 to 6800 Hz, DCT-II, a
lifter of 22, and noise removal by tracking spectral minima (Doblinger 1995) with the temporal
masking of PNCC (Kim and Stern 2010), with the constants that the model was trained with.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from apps.core.audio import SAMPLE_RATE_HZ, Samples

Frames = NDArray[np.float64]

FRAME_SHIFT = SAMPLE_RATE_HZ // 100
FRAME_LENGTH = 410
FILTERS = 25
CEPSTRA = 13
_FFT_SIZE = 512
_LOWEST_HZ, _HIGHEST_HZ = 130.0, 6800.0
_PREEMPHASIS = 0.97
_LIFTER = 22
_LOG_FLOOR = 1e-4

_POWER_KEPT = 0.7
_FLOOR_UP, _FLOOR_DOWN = 0.995, 0.5
_PEAK_KEPT, _MASKED_TO = 0.85, 0.2
_MAX_GAIN = 20.0
_SMOOTH_FILTERS = 4


def _mel(hz: NDArray[np.float64] | float) -> NDArray[np.float64]:
    return np.asarray(2595.0 * np.log10(1.0 + np.asarray(hz) / 700.0))


def mel_edges_hz() -> NDArray[np.float64]:
    """Return lower edge, centre and upper edge of each filter, shape (25, 3)."""
    mel = np.linspace(_mel(_LOWEST_HZ), _mel(_HIGHEST_HZ), FILTERS + 2)
    hz = 700.0 * (10.0 ** (mel / 2595.0) - 1.0)
    step = SAMPLE_RATE_HZ / _FFT_SIZE
    rounded = np.floor(hz / step + 0.5) * step
    return np.stack([rounded[:-2], rounded[1:-1], rounded[2:]], axis=1)


def _filter_bank() -> NDArray[np.float64]:
    """Return triangular filters of unit area, shape (257, 25)."""
    low, centre, high = mel_edges_hz().T
    hz = np.arange(_FFT_SIZE // 2 + 1)[:, None] * (SAMPLE_RATE_HZ / _FFT_SIZE)
    rise, fall = (hz - low) / (centre - low), (high - hz) / (high - centre)
    return np.asarray(np.maximum(0.0, np.minimum(rise, fall)) * 2.0 / (high - low))


def _cosines() -> NDArray[np.float64]:
    """Return the liftered DCT-II, shape (25, 13)."""
    order = np.arange(CEPSTRA)
    angle = np.pi / FILTERS * (np.arange(FILTERS)[:, None] + 0.5) * order
    scale = np.where(order == 0, np.sqrt(1.0 / FILTERS), np.sqrt(2.0 / FILTERS))
    lifter = 1.0 + _LIFTER / 2 * np.sin(order * np.pi / _LIFTER)
    return np.asarray(np.cos(angle) * scale * lifter)


_BANK = _filter_bank()
_DCT = _cosines()
_WINDOW = 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(FRAME_LENGTH) / (FRAME_LENGTH - 1))


def _smoothing_matrix() -> NDArray[np.float64]:
    index = np.arange(FILTERS)
    near = (np.abs(index[:, None] - index) <= _SMOOTH_FILTERS).astype(np.float64)
    return np.asarray(near / near.sum(axis=0))


_SMOOTH = _smoothing_matrix()


class MelStream:
    """Turns one utterance's samples into denoised mel power spectra as they arrive."""

    def __init__(self) -> None:
        self._rest: NDArray[np.float64] = np.zeros(0)
        self._last_sample = 0.0
        self._noise: _Noise | None = None

    def push(self, samples: Samples) -> Frames:
        """Add samples of any number; return the mel spectra now complete, shape (n, 25)."""
        new = samples.astype(np.float64)
        if not new.size:
            return np.zeros((0, FILTERS))
        emphasised = new - _PREEMPHASIS * np.concatenate(([self._last_sample], new[:-1]))
        self._last_sample = float(new[-1])
        data = np.concatenate((self._rest, emphasised))
        count = max(0, (len(data) - FRAME_LENGTH) // FRAME_SHIFT + 1)
        if not count:
            self._rest = data
            return np.zeros((0, FILTERS))
        self._rest = data[count * FRAME_SHIFT :]
        frames = np.lib.stride_tricks.sliding_window_view(data, FRAME_LENGTH)[::FRAME_SHIFT][:count]
        spectrum = np.fft.rfft(frames * _WINDOW, _FFT_SIZE)
        return self._denoise((spectrum.real**2 + spectrum.imag**2) @ _BANK)

    def _denoise(self, mel: Frames) -> Frames:
        if self._noise is None:
            self._noise = _Noise(mel[0])
        gains = np.stack([self._noise.gain(frame) for frame in mel])
        return np.asarray(mel * (gains @ _SMOOTH))


class _Noise:
    """Tracks the noise floor of each filter and says how much of a frame is signal."""

    def __init__(self, first: NDArray[np.float64]) -> None:
        self._power = first.copy()
        self._noise = first / _MAX_GAIN
        self._floor = first / _MAX_GAIN
        self._peak = np.zeros(FILTERS)

    def gain(self, mel: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the gain of each filter for the next frame, shape (25,)."""
        self._power = _POWER_KEPT * self._power + (1 - _POWER_KEPT) * mel
        self._noise = _lower_envelope(self._noise, self._power)
        signal = np.maximum(1.0, self._power - self._noise)
        self._floor = _lower_envelope(self._floor, signal)
        self._peak = self._peak * _PEAK_KEPT
        masked = np.where(signal < _PEAK_KEPT * self._peak, self._peak * _MASKED_TO, signal)
        self._peak = np.maximum(self._peak, signal)
        masked = np.maximum(masked, self._floor)
        ratio = masked / np.maximum(self._power, 1e-30)
        return np.asarray(np.clip(ratio, 1.0 / _MAX_GAIN, _MAX_GAIN))


def _lower_envelope(floor: NDArray[np.float64], value: NDArray[np.float64]) -> NDArray[np.float64]:
    kept = np.where(value >= floor, _FLOOR_UP, _FLOOR_DOWN)
    return np.asarray(kept * floor + (1 - kept) * value)


def log_mel(mel: Frames) -> Frames:
    """Return the logarithm of mel power spectra, floored as the model's training did."""
    return np.asarray(np.log(mel + _LOG_FLOOR))


def to_cepstra(log_mel_frames: Frames) -> Frames:
    """Return the liftered cepstra of log mel spectra, shape (n, 13)."""
    return np.asarray(log_mel_frames @ _DCT)
