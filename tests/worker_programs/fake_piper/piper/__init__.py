"""As much of Piper's interface as the worker uses: a voice that hums every sentence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

RATE_HZ = 22_050
SAMPLES_PER_CHAR = 1_000


@dataclass
class SynthesisConfig:
    length_scale: float | None = None


@dataclass
class VoiceConfig:
    length_scale: float = 1.0


@dataclass
class AudioChunk:
    audio_int16_array: np.ndarray
    sample_rate: int = RATE_HZ


@dataclass
class PiperVoice:
    config: VoiceConfig

    @staticmethod
    def load(path: str) -> PiperVoice:
        if Path(path).stem == "broken":
            raise ValueError("no voice")
        return PiperVoice(VoiceConfig(2.0 if Path(path).stem == "slow" else 1.0))

    def synthesize(self, text: str, config: SynthesisConfig | None = None) -> Iterator[AudioChunk]:
        scale = (config and config.length_scale) or self.config.length_scale
        for sentence in text.split("."):
            count = round(len(sentence) * SAMPLES_PER_CHAR * scale)
            moments = np.arange(count) / RATE_HZ
            yield AudioChunk((30_000 * np.sin(2 * np.pi * 200 * moments)).astype(np.int16))
