"""One utterance as it reaches the ear: speech, silences, noise, and where every word truly ends."""

from __future__ import annotations

from dataclasses import dataclass
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from apps.core.audio import SAMPLE_RATE_HZ, Samples, samples_to_pcm
from apps.voice.silero import SileroNetwork
from apps.voice.vad import SileroVad
from benchmarks.turns.utterances import Utterance
from benchmarks.turns.voices import AUDIBLE, Voices

LEAD_MS, TAIL_MS = 1000, 4500
FLOOR_DBFS = -65.0
SPEECH_DBFS = -20.0
THROAT = ("espeak:de+m3", "de", "ach")
BABBLE = (
    ("flite:slt", "the weather was rather good last week so we went to see my aunt by the sea"),
    ("flite:rms", "put the green box on top of the others and bring me the list when you are done"),
    ("flite:awb", "nobody knew that the train would leave from another platform that evening"),
    ("flite:slt", "if you take the second street on the left you will find a small coffee shop"),
    ("flite:rms", "they have been talking about the new kitchen for more than an hour now"),
)
_Wave = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """A word and the moment at which it truly ends."""

    text: str
    end_ms: float


@dataclass(frozen=True, slots=True)
class Recording:
    """An utterance's audio and the truth about it, in milliseconds of audio.

    Attributes:
        utterance: What it was made from.
        samples: 16 kHz.
        words: All words.
        first_ms: Where its first sound begins.
        last_ms: Where its last sound ends: the true end of the turn.
        probabilities: Silero's, of each 32 ms window.
    """

    utterance: Utterance
    samples: Samples
    words: tuple[SpokenWord, ...]
    first_ms: float
    last_ms: float
    probabilities: tuple[float, ...]


class Studio:
    """Makes recordings, always the same ones.

    Args:
        voices: The speakers.
        network: Silero's, see `silero_network`.
    """

    def __init__(self, voices: Voices, network: SileroNetwork) -> None:
        self._voices, self._network = voices, network
        self._babble: _Wave | None = None

    async def record(self, utterance: Utterance) -> Recording:
        """Return an utterance's recording."""
        chance = np.random.default_rng(crc32(utterance.id.encode()))
        if utterance.parts:
            speech, words = await self._speech(utterance)
        else:
            clip = await self._voices.say(*THROAT)
            speech, words = cough(chance, clip.samples.astype(np.float64)), []
        lead, tail = (np.zeros(_samples(ms)) for ms in (LEAD_MS, TAIL_MS))
        wave = np.concatenate((lead, speech, tail))
        wave += await self._noise(utterance, len(wave), chance)
        samples = np.clip(np.round(wave), -32768, 32767).astype(np.int16)
        return Recording(
            utterance,
            samples,
            tuple(SpokenWord(word.text, word.end_ms + LEAD_MS) for word in words),
            LEAD_MS,
            LEAD_MS + _ms(len(speech)),
            tuple(SileroVad(self._network).push(samples_to_pcm(samples))),
        )

    async def _speech(self, utterance: Utterance) -> tuple[_Wave, list[SpokenWord]]:
        wave: _Wave = np.zeros(0)
        words: list[SpokenWord] = []
        for part, pause_ms in zip(utterance.parts, (*utterance.pauses_ms, 0), strict=True):
            clip = await self._voices.say(utterance.voice, utterance.language, part)
            began_ms = _ms(len(wave))
            ends = zip(part.split(), clip.ends_ms, strict=True)
            words += [SpokenWord(word, began_ms + end_ms) for word, end_ms in ends]
            wave = np.concatenate((wave, clip.samples, np.zeros(_samples(pause_ms))))
        return wave, words

    async def _noise(self, utterance: Utterance, size: int, chance: np.random.Generator) -> _Wave:
        floor = _at_level(chance.standard_normal(size), FLOOR_DBFS)
        if not utterance.noise:
            return floor
        if utterance.noise == "white":
            noise = whitish(size, chance)
        else:
            babble = await self._babble_of_many()
            noise = np.resize(np.roll(babble, int(chance.integers(len(babble)))), size)
        return floor + _at_level(noise, SPEECH_DBFS - utterance.snr_db)

    async def _babble_of_many(self) -> _Wave:
        """Return several voices at once, each saying its sentence again and again."""
        if self._babble is None:
            size = _samples(20_000)
            self._babble = np.zeros(size)
            for voice, text in BABBLE:
                clip = await self._voices.say(voice, "en", text)
                self._babble += np.resize(clip.samples.astype(np.float64), size)
        return self._babble


def cough(chance: np.random.Generator, throat: _Wave) -> _Wave:
    """Return one to three bursts with a sharp onset; about half of all coughs are voiced.

    Args:
        chance: Draws everything.
        throat: A voiced sound, which voiced bursts are cut from.
    """
    voiced = chance.random() < 0.5
    pieces: list[_Wave] = []
    for _ in range(int(chance.integers(1, 4))):
        size = _samples(chance.uniform(90.0, 260.0))
        seconds = np.arange(size) / SAMPLE_RATE_HZ
        source = _throat(chance.standard_normal(size), chance)
        decay_s = chance.uniform(0.03, 0.09)
        if voiced:
            decay_s *= 2
            source = source / source.std() * 0.2 + np.resize(throat, size) / throat.std()
        attack = np.minimum(seconds / 0.008, 1.0)
        burst = source * attack * np.exp(-seconds / decay_s)
        peak = 32768.0 * 10 ** (chance.uniform(-9.0, -3.0) / 20)
        pieces += [burst / np.abs(burst).max() * peak]
        pieces += [np.zeros(_samples(chance.uniform(60.0, 200.0)))]
    wave = np.concatenate(pieces[:-1])
    audible = np.flatnonzero(np.abs(wave) > AUDIBLE)
    return wave[audible[0] : audible[-1] + 1]


def whitish(size: int, chance: np.random.Generator) -> _Wave:
    """Return noise that falls by 3 dB an octave above 1 kHz, as in a car or an office."""
    spectrum = np.fft.rfft(chance.standard_normal(size))
    hz = np.fft.rfftfreq(size, 1 / SAMPLE_RATE_HZ)
    return np.fft.irfft(spectrum / np.sqrt(np.maximum(hz, 1000.0) / 1000.0), size)


def _throat(noise: _Wave, chance: np.random.Generator) -> _Wave:
    hz = np.fft.rfftfreq(len(noise), 1 / SAMPLE_RATE_HZ)
    shape = 0.05 / (1.0 + (hz / 4000.0) ** 2)
    for centre, width in ((600.0, 250.0), (1500.0, 400.0), (2700.0, 600.0)):
        middle = centre * chance.uniform(0.85, 1.15)
        shape = shape + 1.0 / (1.0 + ((hz - middle) / width) ** 2)
    return np.fft.irfft(np.fft.rfft(noise) * shape, len(noise))


def _at_level(wave: _Wave, dbfs: float) -> _Wave:
    rms = float(np.sqrt(np.mean(wave * wave)))
    return wave * (32768.0 * 10 ** (dbfs / 20) / rms)


def _samples(ms: float) -> int:
    return round(ms * SAMPLE_RATE_HZ / 1000)


def _ms(samples: int) -> float:
    return samples * 1000 / SAMPLE_RATE_HZ
