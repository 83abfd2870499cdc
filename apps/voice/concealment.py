"""What stands in for audio that was lost: the last pitch period again, fading to silence.

After ITU-T G.711 Appendix I, at 16 kHz and without its 3.75 ms of delay: the seams are smoothed
where they are, not before. It keeps a hole of one or two packets from sounding, and from being
recognised, as a stop in the speech.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from apps.core.audio import SAMPLE_BYTES, SAMPLE_RATE_HZ, pcm_to_samples, samples_to_pcm

_MS = SAMPLE_RATE_HZ // 1000
_SHORTEST_PERIOD = SAMPLE_RATE_HZ // 400
_LONGEST_PERIOD = SAMPLE_RATE_HZ // 66
_COMPARED = 20 * _MS
_HISTORY = _COMPARED + _LONGEST_PERIOD
_SEAM = 5 * _MS
_STEADY = 10 * _MS  # at full level
_GONE = 60 * _MS  # silent from here on

_Wave = NDArray[np.float32]


class Concealment:
    """One stream's audio, 16 kHz 16-bit mono PCM, with its holes filled."""

    def __init__(self) -> None:
        self._history: _Wave = np.zeros(_HISTORY, np.float32)
        self._period: _Wave = np.zeros(0, np.float32)
        self._step = 0.0  # from the last real sample to the repeated one after it
        self._lost = 0  # samples concealed since the last audio that came

    def good(self, pcm: bytes) -> bytes:
        """Take audio that came, and return it; after a hole it is faded in over what filled it."""
        samples = pcm_to_samples(pcm)
        if not len(samples):
            return pcm
        if self._lost:
            seam = min(_SEAM, len(samples))
            rising = np.arange(1, seam + 1, dtype=np.float32) / np.float32(seam + 1)
            joined = samples.astype(np.float32)
            joined[:seam] = joined[:seam] * rising + self._substitute(seam) * (1 - rising)
            samples = np.rint(joined).astype(np.int16)
            pcm = samples_to_pcm(samples)
        self._lost = 0
        recent = samples[-_HISTORY:].astype(np.float32)
        self._history = np.concatenate((self._history[len(recent) :], recent))
        return pcm

    def lost(self, samples: int) -> bytes:
        """Return as many samples as PCM in place of audio that was lost."""
        faded = min(samples, max(0, _GONE - self._lost))
        if not self._lost:
            self._period = self._last_period()
            self._step = float(self._history[-1] - self._history[-len(self._period) - 1])
        wave = np.clip(np.rint(self._substitute(faded)), -32768, 32767).astype(np.int16)
        self._lost += samples
        return samples_to_pcm(wave) + bytes(SAMPLE_BYTES * (samples - faded))

    def _substitute(self, samples: int) -> _Wave:
        """Return how the repeated period goes on from here, fading."""
        at = np.arange(self._lost, self._lost + samples)
        wave = self._period[at % len(self._period)]
        wave = wave + np.float32(self._step) * np.maximum(0, 1 - at / _SEAM).astype(np.float32)
        level = np.clip((_GONE - at) / (_GONE - _STEADY), 0.0, 1.0)
        return np.asarray(wave * level, np.float32)

    def _last_period(self) -> _Wave:
        """Return the last pitch period: the lag at which the history is most like itself."""
        end = self._history[-_COMPARED:]
        likeness = np.correlate(self._history, end, "valid")[: _LONGEST_PERIOD - _SHORTEST_PERIOD]
        energy = np.concatenate(([0.0], np.cumsum(self._history.astype(np.float64) ** 2)))
        energies = energy[_COMPARED:] - energy[:-_COMPARED]
        scores = likeness / np.sqrt(energies[: len(likeness)] + 1.0)
        lag = _LONGEST_PERIOD - int(np.argmax(scores))
        period = self._history[-lag:].copy()
        seam = lag // 4  # its end runs into its beginning, as often as it is repeated
        falling = np.arange(seam, 0, -1, dtype=np.float32) / np.float32(seam + 1)
        before = self._history[-lag - seam : -lag]
        period[-seam:] = period[-seam:] * falling + before * (1 - falling)
        return period
