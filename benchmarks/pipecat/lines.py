"""Says the caller's lines with espeak-ng and notes when each word ends."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from apps.core.audio import SAMPLE_RATE_HZ, Samples, pcm_to_samples
from apps.voice.g711 import ulaw_encode
from apps.voice.resample import resample
from apps.voice.tts.base import SpeechStyle
from apps.voice.tts.espeak import EspeakTts
from benchmarks.pipecat.recipe import SOUND, Line, Segment, Word

RATE_HZ = 8000
FRAME = RATE_HZ // 50
PEAK = 16_000
PAUSE_MS = 600
AUDIBLE = 104
"""A sample of this size is at -50 dBFS."""

SAYINGS: tuple[tuple[str, bool, tuple[str, ...]], ...] = (
    ("question", False, ("how much is a new license plate",)),
    ("hesitation", False, ("i would like to know whether", "i can keep my old license plates")),
    ("barge-in", True, ("no wait what about a motorcycle",)),
    ("follow-up", False, ("and where can i park",)),
)


async def make_lines() -> tuple[Line, ...]:
    """Return the script of a call."""
    engine = EspeakTts()
    await engine.start()
    try:
        return tuple(
            [
                build_line(name, barge_in, parts, [await _said(engine, p) for p in parts])
                for name, barge_in, parts in SAYINGS
            ]
        )
    finally:
        await engine.close()


async def _said(engine: EspeakTts, text: str) -> Samples:
    pieces = [piece async for piece in engine.synthesise(text, SpeechStyle("en"))]
    pcm = b"".join(piece for piece in pieces if isinstance(piece, bytes))
    return resample(pcm_to_samples(pcm), SAMPLE_RATE_HZ, RATE_HZ)


def build_line(name: str, barge_in: bool, parts: Sequence[str], said: Sequence[Samples]) -> Line:
    """Return a line: its parts one after another, a pause between them.

    A part's sound is shared out among its words by their letters.
    """
    audio: list[Samples] = []
    segments: list[Segment] = []
    at_ms = 0.0
    for text, samples in zip(parts, said, strict=True):
        sound = _trimmed(samples)
        length_ms = len(sound) * 1000 / RATE_HZ
        segments.append(Segment(at_ms, _words(text, at_ms, length_ms)))
        audio += [sound, np.zeros(PAUSE_MS * RATE_HZ // 1000, np.int16)]
        at_ms += length_ms + PAUSE_MS
    whole = np.concatenate(audio[:-1])
    whole = np.pad(whole, (0, -len(whole) % FRAME))
    frames = np.abs(whole.reshape(-1, FRAME)).max(axis=1) >= AUDIBLE
    end_ms = (int(np.flatnonzero(frames)[-1]) + 1) * 20.0
    return Line(name, barge_in, tuple(segments), ulaw_encode(whole).hex(), end_ms)


def _trimmed(samples: Samples) -> Samples:
    """Return a recording at a set level, from its first sound to its last, in whole frames."""
    level = (samples.astype(np.float64) * PEAK / np.abs(samples.astype(np.int32)).max()).astype(
        np.int16
    )
    loud = np.flatnonzero(np.abs(level) >= SOUND)
    sound = level[loud[0] : loud[-1] + 1]
    return np.pad(sound, (0, -len(sound) % FRAME))


def _words(text: str, start_ms: float, length_ms: float) -> tuple[Word, ...]:
    words = text.split()
    ends = np.cumsum([len(word) for word in words]) / sum(map(len, words))
    return tuple(
        Word(word, start_ms + float(end) * length_ms) for word, end in zip(words, ends, strict=True)
    )
