"""Calls that are picked up, as audio of a telephone line, with the truth about each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.core.audio import SAMPLE_RATE_HZ, Samples
from apps.voice.g711 import ulaw_decode, ulaw_encode
from apps.voice.halfband import DownTo8k, UpTo16k
from benchmarks.answering_machine.greetings import Greeting
from benchmarks.turns.voices import Voices

VOICES = {
    ("de", "tune"): ("espeak:de", "espeak:de+f2"),
    ("de", "held"): ("espeak:de+m3", "espeak:de+f4"),
    ("en", "tune"): ("flite:awb", "flite:kal16", "espeak:en-us"),
    ("en", "held"): ("flite:slt", "flite:rms", "espeak:en-us+f3"),
}
BEEPS_HZ = (440, 620, 800, 1000, 1250, 1400, 1750, 1950)
NOISES_DB = (40.0, 20.0, 12.0)
"""Ratios of speech to noise: a quiet room, an office, a street."""
TAIL_MS = 4500
_LEVEL = 10 ** (-22 / 20)
_Wave = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Pickup:
    """What is heard after a call was picked up.

    Attributes:
        greeting: What was said.
        samples: 16 kHz, of a telephone's band.
        noise_db: The ratio of speech to noise.
        first_end_ms: Where its first words end, before any pause.
        end_ms: Where its words end.
        beep_hz: The pitch of its beep; None without one.
        beep_end_ms: Where that ends.
    """

    greeting: Greeting
    samples: Samples
    noise_db: float
    first_end_ms: float
    end_ms: float
    beep_hz: int | None
    beep_end_ms: float | None


async def pickups(greetings: list[Greeting], voices: Voices, seed: int) -> list[Pickup]:
    """Return every greeting by every voice of its half and language, each in every noise."""
    random = np.random.default_rng(seed)
    made = []
    for greeting in greetings:
        for voice in VOICES[greeting.language, greeting.split]:
            parts = [
                (await voices.say(voice, greeting.language, part.strip())).samples
                for part in greeting.text.split("|")
            ]
            made += [_pickup(greeting, parts, noise_db, random) for noise_db in NOISES_DB]
    return made


def _pickup(
    greeting: Greeting, parts: list[Samples], noise_db: float, random: np.random.Generator
) -> Pickup:
    wave: list[_Wave] = [_silence(random.uniform(250, 1200))]
    first_end_ms = 0.0
    for place, part in enumerate(parts):
        if place:
            wave.append(_silence(random.uniform(300, 750)))
        wave.append(part / 32768.0 * _LEVEL / np.sqrt(np.mean((part / 32768.0) ** 2)))
        first_end_ms = first_end_ms or _length_ms(wave)
    end_ms = _length_ms(wave)
    beep_hz = beep_end_ms = None
    if greeting.machine and random.random() < 0.85:
        beep_hz = int(random.choice(BEEPS_HZ))
        wave += [_silence(random.uniform(150, 1500)), _beep(beep_hz, random)]
        beep_end_ms = _length_ms(wave)
    wave.append(_silence(TAIL_MS))
    samples = _telephone(np.concatenate(wave), noise_db, random)
    return Pickup(greeting, samples, noise_db, first_end_ms, end_ms, beep_hz, beep_end_ms)


def _beep(hz: int, random: np.random.Generator) -> _Wave:
    """Return a beep of 180 to 900 ms that is faded in and out as a cheap machine does."""
    n = int(random.uniform(0.18, 0.9) * SAMPLE_RATE_HZ)
    level = _LEVEL * 10 ** (random.uniform(-12, 3) / 20) * np.sqrt(2)
    wave = level * np.sin(2 * np.pi * hz * np.arange(n) / SAMPLE_RATE_HZ)
    fade = np.minimum(np.arange(n), np.arange(n)[::-1]) / (0.005 * SAMPLE_RATE_HZ)
    return np.asarray(wave * np.minimum(fade, 1.0))


def _telephone(wave: _Wave, noise_db: float, random: np.random.Generator) -> Samples:
    """Add a room's noise, which falls with its pitch, and pass all through G.711."""
    white = np.fft.rfft(random.standard_normal(len(wave)))
    hz = np.fft.rfftfreq(len(wave), 1 / SAMPLE_RATE_HZ)
    noise = np.fft.irfft(white / np.sqrt(np.maximum(hz, 100.0)), len(wave))
    noise *= _LEVEL * 10 ** (-noise_db / 20) / np.sqrt(np.mean(noise**2))
    whole: NDArray[Any] = np.clip((wave + noise) * 32768.0, -32768, 32767).astype(np.int16)
    narrow = DownTo8k().push(whole[: len(whole) // 2 * 2])
    return UpTo16k().push(ulaw_decode(ulaw_encode(narrow)))


def _silence(ms: float) -> _Wave:
    return np.zeros(int(ms * SAMPLE_RATE_HZ / 1000))


def _length_ms(wave: list[_Wave]) -> float:
    return sum(map(len, wave)) * 1000 / SAMPLE_RATE_HZ
