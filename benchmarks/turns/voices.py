"""Speech with the true end of every word: by flite's segments, by espeak-ng's word marks."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
import wave
from contextlib import aclosing
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np

from apps.core.audio import SAMPLE_RATE_HZ, Samples, pcm_to_samples
from apps.core.errors import EngineUnavailable
from apps.voice.tts.base import SpeechStyle, WordMark
from apps.voice.tts.espeak import EspeakTts
from apps.voice.workers.shaping import limited, loudness_gain

AUDIBLE = 150
"""About -47 dBFS: speech begins and ends with the first and last sample above it."""

SAID_AS = {"mhm": "um hum", "ähm": "ehm"}
"""What the synthesisers would spell or mispronounce, as they say it right."""


@dataclass(frozen=True, slots=True)
class Clip:
    """Something said without a silence.

    Attributes:
        samples: 16 kHz, from the first audible one to the last.
        ends_ms: Where each of its words ends.
    """

    samples: Samples
    ends_ms: tuple[float, ...]


class Voices:
    """Speaks with flite and espeak-ng, and keeps what was said in a folder.

    Args:
        cache: The folder.
    """

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._espeak = EspeakTts()
        self._started = False

    async def say(self, voice: str, language: str, text: str) -> Clip:
        """Return a text as a voice says it.

        Raises:
            EngineUnavailable: flite is not installed.
        """
        key = hashlib.sha256(f"2 {voice} {text}".encode()).hexdigest()[:20]
        path = self._cache / f"{key}.npz"
        if not path.exists():
            clip = await self._made(voice, language, text)
            self._cache.mkdir(parents=True, exist_ok=True)
            np.savez_compressed(path, samples=clip.samples, ends_ms=np.array(clip.ends_ms))
        with np.load(path) as kept:
            return Clip(kept["samples"], tuple(float(end) for end in kept["ends_ms"]))

    async def close(self) -> None:
        """Stop espeak-ng's process."""
        if self._started:
            await self._espeak.close()

    async def _made(self, voice: str, language: str, text: str) -> Clip:
        engine, name = voice.split(":")
        said = [SAID_AS.get(word, word) for word in text.split()]
        if engine == "flite":
            return _flite(said, name)
        if not self._started:
            await self._espeak.start()
            self._started = True
        return await self._espeak_says(said, SpeechStyle(language, name))

    async def _espeak_says(self, said: list[str], style: SpeechStyle) -> Clip:
        chunks: list[bytes] = []
        starts: dict[int, float] = {}
        async with aclosing(self._espeak.synthesise(" ".join(said), style)) as speech:
            async for piece in speech:
                if isinstance(piece, WordMark):
                    starts.setdefault(piece.word, piece.at_ms)
                else:
                    chunks.append(piece)
        samples = pcm_to_samples(b"".join(chunks))
        first = np.cumsum([0, *(len(word.split()) for word in said)])
        # A word without a mark of its own was drawn to the one behind it, and ends with that.
        last = len(samples) * 1000 / SAMPLE_RATE_HZ
        ends = [
            next((starts[w] for w in range(at, first[-1]) if w in starts), last) for at in first
        ]
        return _trimmed(samples, [float(end) for end in ends[1:]])


def _flite(said: list[str], voice: str) -> Clip:
    program = shutil.which("flite")
    if program is None:
        raise EngineUnavailable("flite is missing.", hint="apt-get install flite")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        command = [program, "-voice", voice, "-o", str(path)]
        told = _run([*command, "-psdur", "-t", " ".join(said)])
        with wave.open(str(path)) as file:
            rate_hz = file.getframerate()
            samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
        alone = [_run([*command, "-ps", "-t", word]) for word in said]
    if rate_hz != SAMPLE_RATE_HZ:
        raise ValueError(f"flite's voice {voice} does not speak at 16 kHz")
    segments = [(name, float(end)) for name, _, end in (s.partition(":") for s in told)]
    words = [[phone for phone in phones if phone != "pau"] for phones in alone]
    ends_ms = word_ends([(n, end * 1000) for n, end in segments if n != "pau"], words)
    louder = limited(samples.astype(np.float64) * loudness_gain(samples))
    return _trimmed(louder, ends_ms)


def word_ends(segments: list[tuple[str, float]], words: list[list[str]]) -> list[float]:
    """Return where each word ends, from the sentence's segments and each word's own phones.

    Said together, words change a phone here and there ("the" before a vowel), so the two rows of
    phones are aligned.

    Args:
        segments: The sentence's phones and their ends.
        words: The phones of each word when said alone.
    """
    owner = [place for place, phones in enumerate(words) for _ in phones]
    alone = [phone for phones in words for phone in phones]
    together = [phone for phone, _ in segments]
    ends = [0.0] * len(words)
    matcher = SequenceMatcher(None, alone, together, autojunk=False)
    for _, a1, a2, b1, b2 in matcher.get_opcodes():
        for b in range(b1, b2):
            a = a1 + (b - b1) * (a2 - a1) // (b2 - b1) if a2 > a1 else max(a1 - 1, 0)
            ends[owner[a]] = max(ends[owner[a]], segments[b][1])
    for place in range(1, len(ends)):
        ends[place] = max(ends[place], ends[place - 1])
    return ends


def _run(command: list[str]) -> list[str]:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


def _trimmed(samples: Samples, ends_ms: list[float]) -> Clip:
    """Cut what is not audible off both ends; the last word ends with the sound."""
    audible = np.flatnonzero(np.abs(samples.astype(np.int32)) > AUDIBLE)
    first, last = int(audible[0]), int(audible[-1]) + 1
    cut_ms, length_ms = (n * 1000 / SAMPLE_RATE_HZ for n in (first, last - first))
    ends = [min(max(end - cut_ms, 0.0), length_ms) for end in ends_ms]
    return Clip(samples[first:last], (*ends[:-1], length_ms))
