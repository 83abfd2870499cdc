"""What every synthesiser's samples go through in its worker before they become speech in a call.

Silence at the front is cut, since the caller would wait through it; pauses inside are kept. The
rate becomes 16 kHz, the loudness the same for all voices, and no sample clips.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from apps.core.audio import Samples, samples_to_pcm
from apps.voice.resample import Resampler

TARGET_DBFS = -20.0
MAX_GAIN = 8.0

_FULL_SCALE = 32768.0
_AUDIBLE = 150  # about -47 dBFS
_ONSET_S = 0.005  # kept before the first audible sample
_KNEE = 0.8  # of full scale: louder samples are rounded off


def loudness_gain(samples: Samples) -> float:
    """Return the factor that brings the audible part of int16 samples to `TARGET_DBFS` RMS."""
    audible = np.flatnonzero(np.abs(samples.astype(np.int32)) > _AUDIBLE)
    if not len(audible):
        return 1.0
    spoken = samples[audible[0] : audible[-1] + 1].astype(np.float64)
    rms = float(np.sqrt(np.mean(spoken * spoken))) / _FULL_SCALE
    return float(min(MAX_GAIN, 10.0 ** (TARGET_DBFS / 20.0) / rms))


def limited(samples: NDArray[np.float64]) -> Samples:
    """Return samples as int16 without clipping: what is beyond the knee is bent below the top."""
    level = np.abs(samples) / _FULL_SCALE
    excess = np.maximum(level - _KNEE, 0.0) / (1.0 - _KNEE)
    bent = np.minimum(level, _KNEE) + (1.0 - _KNEE) * np.tanh(excess)
    return np.asarray(np.sign(samples) * np.minimum(bent * _FULL_SCALE, 32767.0), np.int16)


class SpeechShaper:
    """Shapes one sentence, chunk by chunk.

    Args:
        rate_hz: The engine's sample rate.
        gain: See `loudness_gain`.
    """

    def __init__(self, rate_hz: int, gain: float) -> None:
        self._resampler = Resampler(rate_hz)
        self._gain = gain
        self._rate_hz = rate_hz
        self._onset = round(rate_hz * _ONSET_S)
        self._begun = False
        self._cut = 0

    def push(self, samples: Samples) -> bytes:
        """Add int16 samples of the engine, shape (n,); return 16 kHz PCM that is ready."""
        if not self._begun:
            audible = np.flatnonzero(np.abs(samples.astype(np.int32)) > _AUDIBLE)
            silent = max(0, int(audible[0]) - self._onset) if len(audible) else len(samples)
            self._cut += silent
            if not len(audible):
                return b""
            samples = samples[silent:]
            self._begun = True
        return self._shaped(self._resampler.push(samples))

    def moment_ms(self, sample: int) -> float:
        """Return when one of the engine's samples is heard, from the first one that was kept."""
        return max(0, sample - self._cut) * 1000 / self._rate_hz

    def flush(self) -> bytes:
        """Return the rest of the sentence."""
        return self._shaped(self._resampler.flush())

    def _shaped(self, samples: Samples) -> bytes:
        return samples_to_pcm(limited(samples.astype(np.float64) * self._gain))
