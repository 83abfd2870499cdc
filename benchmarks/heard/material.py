"""Sentences of the sample knowledge base, spoken, with the moment at which each word begins."""

from __future__ import annotations

import random
import shutil
import subprocess
import tempfile
import wave
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import numpy as np

from apps.core.audio import SAMPLE_RATE_HZ, Samples, duration_ms
from apps.core.resources import resource
from apps.core.sentences import split_sentences
from apps.knowledge.entries import load_entries
from apps.llm.spoken import spoken_form
from apps.voice.tts.base import SpeechStyle, WordMark
from apps.voice.tts.espeak import EspeakTts
from apps.voice.workers.shaping import SpeechShaper, loudness_gain
from benchmarks.turns.voices import word_ends

RATES = (0.9, 1.0, 1.15)  # those of the policy's voices; a call keeps to one
FLITE_VOICES = ("slt", "rms")
_Choice = TypeVar("_Choice")
_CHUNK_BYTES = 1280  # 40 ms, as espeak-ng gives them


@dataclass(frozen=True, slots=True)
class Said:
    """One sentence as a synthesiser said it.

    Attributes:
        text: As it is displayed.
        reading: As it was read.
        language: ``de`` or ``en``.
        pieces: What the synthesiser yielded.
        starts_ms: Where each displayed word begins, by the engine itself.
    """

    text: str
    reading: str
    language: str
    pieces: tuple[bytes | WordMark, ...]
    starts_ms: tuple[float, ...]

    @property
    def length_ms(self) -> float:
        """How long it is."""
        return sum(duration_ms(piece) for piece in self.pieces if isinstance(piece, bytes))

    def without_marks(self) -> Said:
        """Return it as an engine says it that does not know where its words are."""
        return replace(self, pieces=tuple(p for p in self.pieces if isinstance(p, bytes)))

    def words_heard(self, played_ms: float) -> int:
        """Return how many words were heard, a word lasting until the next one begins."""
        ends = [*self.starts_ms[1:], self.length_ms]
        middles = [(start + end) / 2 for start, end in zip(self.starts_ms, ends, strict=True)]
        return sum(middle < played_ms for middle in middles)


def sentences(language: str, count: int, rng: random.Random) -> list[str]:
    """Return some of the answers' sentences, at least three words long."""
    found = [
        sentence
        for entry in load_entries(resource("knowledge"))
        if entry.language == language
        for part in entry.sentences
        for sentence in split_sentences(part)
        if len(sentence.split()) >= 3
    ]
    return rng.sample(list(dict.fromkeys(found)), count)


async def by_espeak(texts: Sequence[str], language: str) -> list[Said]:
    """Return sentences as espeak-ng says them, a third each at every rate."""
    engine = EspeakTts()
    await engine.start()
    try:
        return [
            await _espeak_says(engine, text, SpeechStyle(language, rate=rate))
            for text, rate in zip(texts, _shared_out(RATES, len(texts)), strict=True)
        ]
    finally:
        await engine.close()


async def _espeak_says(engine: EspeakTts, text: str, style: SpeechStyle) -> Said:
    reading = spoken_form(text, style.language)
    pieces = tuple([piece async for piece in engine.synthesise(reading, style)])
    marks = {p.word: p.at_ms for p in reversed(pieces) if isinstance(p, WordMark)}
    length_ms = sum(duration_ms(piece) for piece in pieces if isinstance(piece, bytes))
    starts = _filled(marks, len(reading.split()), length_ms)
    return Said(text, reading, style.language, pieces, _displayed(text, style.language, starts))


def by_flite(texts: Sequence[str]) -> Iterator[Said]:
    """Yield English sentences as flite's voices say them; none where flite is missing."""
    program = shutil.which("flite")
    if program is None:
        return
    with tempfile.TemporaryDirectory() as folder:
        for text, voice in zip(texts, _shared_out(FLITE_VOICES, len(texts)), strict=True):
            command = [program, "-voice", voice, "-o", f"{folder}/speech.wav"]
            yield _flite_says(command, text)


def _flite_says(command: list[str], text: str) -> Said:
    reading = spoken_form(text, "en")
    told = [part.rpartition(":") for part in _run([*command, "-psdur", "-t", reading])]
    pcm, cut_ms = _shaped(*_read(Path(command[-1])))
    segments = [(phone, float(end) * 1000 - cut_ms) for phone, _, end in told]
    alone = [_run([*command, "-ps", "-t", word]) for word in reading.split()]
    words = [[phone for phone in phones if phone != "pau"] for phones in alone]
    ends = word_ends([segment for segment in segments if segment[0] != "pau"], words)
    # A word begins where the one before it ends, or behind the pause between them.
    behind = {begin: end for (_, begin), (phone, end) in pairwise(segments) if phone == "pau"}
    starts = [0.0, *(behind.get(end, end) for end in ends[:-1])]
    chunks = tuple(pcm[at : at + _CHUNK_BYTES] for at in range(0, len(pcm), _CHUNK_BYTES))
    return Said(text, reading, "en", chunks, _displayed(text, "en", [*starts, duration_ms(pcm)]))


def _shared_out(choices: Sequence[_Choice], count: int) -> list[_Choice]:
    """Return as many of each choice, one after another: in a call the voice stays the same."""
    return [choices[at * len(choices) // count] for at in range(count)]


def _run(command: list[str]) -> list[str]:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


def _read(path: Path) -> tuple[Samples, int]:
    with wave.open(str(path)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), dtype="<i2"), file.getframerate()


def _shaped(samples: Samples, rate_hz: int) -> tuple[bytes, float]:
    """Return the PCM that a worker would make of it, and how much silence was cut, in ms."""
    shaper = SpeechShaper(rate_hz, loudness_gain(samples))
    pcm = shaper.push(samples) + shaper.flush()
    whole_ms = len(samples) * 1000 / rate_hz
    return pcm, max(0.0, whole_ms - len(pcm) * 1000 / (2 * SAMPLE_RATE_HZ))


def _filled(marks: dict[int, float], count: int, length_ms: float) -> list[float]:
    """Return where each spoken word begins and the last one ends; one without a mark is empty."""
    starts = [length_ms] * (count + 1)
    for word in reversed(range(count)):
        starts[word] = marks.get(word, starts[word + 1])
    return starts


def _displayed(text: str, language: str, starts_ms: Sequence[float]) -> tuple[float, ...]:
    """Return where the displayed words begin: behind what the words before them are read as.

    This is another way than the mouth's, which compares the two texts.
    """
    words = text.split()
    last = len(starts_ms) - 1
    read = [len(spoken_form(" ".join(words[:n]), language).split()) for n in range(len(words))]
    return tuple(starts_ms[min(count, last)] for count in np.maximum.accumulate(read))
