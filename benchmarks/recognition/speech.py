"""Makes caller audio with flite, wide-band and as it comes over a telephone line."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import wave
from pathlib import Path

import numpy as np

from apps.core.audio import SAMPLE_RATE_HZ, Samples
from apps.voice.g711 import ulaw_decode, ulaw_encode
from apps.voice.resample import resample

TELEPHONE_HZ = 8000
_BAND_HZ = (300.0, 3400.0)
_EDGE_HZ = (15.0, 30.0)
_LEAD_MS, _TAIL_MS = 320, 500  # the ear's run-up before an utterance, its endpoint behind it


class FliteMissing(RuntimeError):
    """flite is not installed."""


def flite(text: str, voice: str, *, size: float = 1.0) -> Samples:
    """Return a sentence spoken by one of flite's voices, 16 kHz, framed by silence.

    Args:
        text: The sentence.
        voice: Its voice.
        size: Pitch and formants are multiplied by this, as by a smaller or larger person.

    Raises:
        FliteMissing: flite is not installed.
    """
    program = shutil.which("flite")
    if program is None:
        raise FliteMissing("flite is missing: apt-get install flite")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        slower = f"duration_stretch={size}"
        command = [program, "-voice", voice, "--setf", slower, "-t", text, "-o", str(path)]
        subprocess.run(command, check=True)
        with wave.open(str(path)) as file:
            if file.getnchannels() != 1 or file.getsampwidth() != 2:
                raise ValueError(f"flite's voice {voice} does not speak 16-bit mono")
            samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
            rate_hz = file.getframerate()
    if round(rate_hz * size) != SAMPLE_RATE_HZ:
        samples = resample(samples, round(rate_hz * size))
    return framed(samples)


def framed(samples: Samples) -> Samples:
    """Return speech with the silence before and behind it that a call has."""
    lead, tail = (SAMPLE_RATE_HZ * ms // 1000 for ms in (_LEAD_MS, _TAIL_MS))
    return np.pad(samples, (lead, tail)).astype(np.int16)


def telephone(samples: Samples) -> Samples:
    """Return 16 kHz speech as a G.711 line delivers it: 300-3400 Hz, µ-law, back at 16 kHz."""
    spectrum = np.fft.rfft(samples.astype(np.float64))
    hz = np.fft.rfftfreq(len(samples), 1.0 / SAMPLE_RATE_HZ)
    low, high = _BAND_HZ
    passes = _sigmoid((hz - low) / _EDGE_HZ[0]) * _sigmoid((high - hz) / _EDGE_HZ[1])
    band = np.fft.irfft(spectrum * passes, len(samples))
    limited = np.clip(np.round(band), -32768, 32767).astype(np.int16)
    narrow = resample(limited, SAMPLE_RATE_HZ, TELEPHONE_HZ)
    return resample(ulaw_decode(ulaw_encode(narrow)), TELEPHONE_HZ)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(x, -50.0, 50.0))))
