"""The sounds that callers make over the assistant: interruptions, backchannels and coughs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from zlib import crc32

import numpy as np

from apps.core.audio import SAMPLE_RATE_HZ, Samples
from benchmarks.interruptions.sayings import BACKCHANNELS, INTERRUPTIONS, VOICES
from benchmarks.turns.sound import THROAT, cough
from benchmarks.turns.voices import Voices

USUAL_DBFS = -26.0
LEVELS_DBFS = (-20.0, USUAL_DBFS, -32.0)
"""RMS of the sounds: near, usual, and away from the microphone."""
COUGHS = 24
COUGH_MS = (150.0, 500.0)
FIRST_SOUND = 32768.0 * 10 ** (-45 / 20)
"""The caller's first sound is the first sample above -45 dBFS."""


class Kind(StrEnum):
    """What a caller does over the assistant."""

    INTERRUPTION = "interruption"
    BACKCHANNEL = "backchannel"
    COUGH = "cough"


@dataclass(frozen=True, slots=True)
class Sound:
    """One sound at one level.

    Attributes:
        id: Names it, and seeds whatever is drawn for it.
        kind: What it is.
        language: Of the call.
        level_dbfs: RMS of the whole sound.
        words: What is said.
        ends_ms: Where each word truly ends, from the sound's first sample.
        samples: 16 kHz.
    """

    id: str
    kind: Kind
    language: str
    level_dbfs: float
    words: tuple[str, ...]
    ends_ms: tuple[float, ...]
    samples: Samples

    @property
    def first(self) -> int:
        """The first sample above -45 dBFS."""
        return int(np.argmax(np.abs(self.samples.astype(np.int32)) > FIRST_SOUND))

    def chance(self, *more: object) -> np.random.Generator:
        """Return a generator of its own."""
        return np.random.default_rng(crc32(repr((self.id, *more)).encode()))


async def sounds(cache: Path, levels_dbfs: Sequence[float] = LEVELS_DBFS) -> list[Sound]:
    """Return all sounds in both languages, each at every level; always the same ones.

    Args:
        cache: A folder that keeps what the voices said.
        levels_dbfs: RMS of the sounds.

    Raises:
        EngineUnavailable: flite is not installed.
    """
    speakers = Voices(cache)
    try:
        made: list[Sound] = []
        for language in VOICES:
            made += await coughs(speakers, language, COUGHS, levels_dbfs)
            for kind, text, voice in _sayings(language):
                made += [
                    await saying(speakers, kind, language, text, voice, dbfs)
                    for dbfs in levels_dbfs
                ]
        return made
    finally:
        await speakers.close()


async def saying(
    speakers: Voices, kind: Kind, language: str, text: str, voice: str, dbfs: float
) -> Sound:
    """Return a text as a voice says it, at a level."""
    clip = await speakers.say(voice, language, text)
    samples = at_level(clip.samples, dbfs)
    name = f"{kind} {language} {text} {voice} {dbfs:g}"
    return Sound(name, kind, language, dbfs, tuple(text.split()), clip.ends_ms, samples)


async def coughs(
    speakers: Voices, language: str, count: int, levels_dbfs: Sequence[float]
) -> list[Sound]:
    """Return so many coughs of 150 to 500 ms, each at every level."""
    throat = (await speakers.say(*THROAT)).samples.astype(np.float64)
    chance = np.random.default_rng(crc32(f"coughs {language}".encode()))
    made: list[Sound] = []
    while len(made) < count * len(levels_dbfs):
        wave = cough(chance, throat)
        if not COUGH_MS[0] <= len(wave) * 1000 / SAMPLE_RATE_HZ <= COUGH_MS[1]:
            continue
        samples = np.round(wave).astype(np.int16)
        number = len(made) // len(levels_dbfs)
        for dbfs in levels_dbfs:
            name = f"{Kind.COUGH} {language} {number} {dbfs:g}"
            louder = at_level(samples, dbfs)
            made.append(Sound(name, Kind.COUGH, language, dbfs, (), (), louder))
    return made


def at_level(samples: Samples, dbfs: float) -> Samples:
    """Return samples at an RMS level, clipped where they would be too loud."""
    wave = samples.astype(np.float64)
    rms = float(np.sqrt(np.mean(wave * wave)))
    louder = wave * (32768.0 * 10 ** (dbfs / 20) / rms)
    return np.clip(np.round(louder), -32768, 32767).astype(np.int16)


def _sayings(language: str) -> Iterator[tuple[Kind, str, str]]:
    """Yield what is said and by whom; every backchannel by two voices."""
    voices = VOICES[language]
    for number, text in enumerate(INTERRUPTIONS[language]):
        yield Kind.INTERRUPTION, text, voices[number % len(voices)]
    for number, text in enumerate(BACKCHANNELS[language]):
        yield Kind.BACKCHANNEL, text, voices[number % len(voices)]
        yield Kind.BACKCHANNEL, text, voices[(number + 1) % len(voices)]
