"""A synthesiser without an engine: a tone as long as the text, the same every time."""

from __future__ import annotations

import asyncio

import numpy as np

from apps.core.audio import SAMPLE_RATE_HZ, samples_to_pcm
from apps.voice.tts.base import Speech, SpeechStyle

MS_PER_CHAR = 60.0
TONE_HZ = 220.0
_AMPLITUDE = 5000.0
_CHUNK_MS = 100


class FakeTts:
    """Hums 60 ms a character, for tests, benchmarks and demos.

    Attributes:
        spoken: The texts it was asked for, in order.
    """

    name = "fake"
    languages = frozenset({"de", "en"})
    ready = True

    def __init__(self) -> None:
        self.spoken: list[str] = []

    async def start(self) -> None:
        """Do nothing: there is nothing to load."""

    async def synthesise(self, text: str, style: SpeechStyle) -> Speech:
        """Yield the tone in chunks of 100 ms; rate shortens it, pitch raises it."""
        self.spoken.append(text)
        total = round(len(text) * MS_PER_CHAR / style.rate * SAMPLE_RATE_HZ / 1000)
        moments = np.arange(total) / SAMPLE_RATE_HZ
        tone = _AMPLITUDE * np.sin(2 * np.pi * TONE_HZ * style.pitch * moments)
        pcm = samples_to_pcm(tone.astype(np.int16))
        chunk_bytes = 2 * SAMPLE_RATE_HZ * _CHUNK_MS // 1000
        for start in range(0, len(pcm), chunk_bytes):
            await asyncio.sleep(0)  # a real engine gives the loop its turn as well
            yield pcm[start : start + chunk_bytes]

    async def close(self) -> None:
        """Do nothing: there is nothing to stop."""
