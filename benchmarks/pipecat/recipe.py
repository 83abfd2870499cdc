"""What both servers share: the script of a call, and engines that cost nothing but their delays.

Only NumPy and the standard library are imported, so that either server's environment can run it.
Times of a line are milliseconds from its first sound.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

WORD_DELAY_MS = 100.0
"""A word is recognised so long after its end."""
FINAL_DELAY_S = 0.1
"""The final transcript comes so long after the end of speech was declared."""
LLM_DELAY_S = 0.1
"""The first token comes so long after the question."""
TTS_DELAY_S = 0.1
"""The first audio of a sentence comes so long after its text."""

GREETING = "Hello, you are speaking with an automatic assistant."
ANSWER = "The fee is twenty eight euros, and you can pay it at the counter."
MS_PER_CHAR = 60.0
CHUNK_MS = 100
TONE_HZ = 220.0
AMPLITUDE = 5000.0
SOUND = 300
"""A sample of this size or more is sound to the recogniser: -41 dBFS."""
_AFTER_LINE_MS = 400.0


@dataclass(frozen=True, slots=True)
class Word:
    """A word and the moment at which it has been said."""

    text: str
    end_ms: float


@dataclass(frozen=True, slots=True)
class Segment:
    """Words said without a pause."""

    start_ms: float
    words: tuple[Word, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that the caller says.

    Attributes:
        name: What it is for.
        barge_in: Whether it is said into the assistant's answer to the line before.
        segments: Its words; the caller pauses between two segments.
        ulaw: Its audio, 8 kHz µ-law in hexadecimal, whole frames of 20 ms.
        end_ms: The end of its last audible frame.
    """

    name: str
    barge_in: bool
    segments: tuple[Segment, ...]
    ulaw: str
    end_ms: float


def save_lines(lines: Sequence[Line], path: Path) -> None:
    """Write the script of a call."""
    path.write_text(json.dumps([asdict(line) for line in lines]), encoding="utf-8")


def load_lines(path: Path) -> tuple[Line, ...]:
    """Read the script of a call."""
    return tuple(_line(fields) for fields in json.loads(path.read_text(encoding="utf-8")))


def _line(fields: dict[str, Any]) -> Line:
    segments = tuple(
        Segment(s["start_ms"], tuple(Word(**word) for word in s["words"]))
        for s in fields["segments"]
    )
    return Line(**{**fields, "segments": segments})


def speech(text: str, rate_hz: int) -> list[bytes]:
    """Return what the synthesiser makes of a sentence: a tone, in chunks of 100 ms of PCM."""
    moments = np.arange(round(len(text) * MS_PER_CHAR * rate_hz / 1000)) / rate_hz
    tone = AMPLITUDE * np.sin(2 * np.pi * TONE_HZ * moments)
    pcm = tone.astype("<i2").tobytes()
    size = 2 * rate_hz * CHUNK_MS // 1000
    return [pcm[i : i + size] for i in range(0, len(pcm), size)]


class Oracle:
    """The recogniser of one call: it knows the script, and hears only where in it the caller is.

    The first sound begins the next line, and from then on the audio itself is the clock. Where a
    server feeds only what it takes for speech, it calls `skipped` before it feeds on: the next
    sound is then the next segment of the line, or the next line where there is none.

    Args:
        lines: What the caller says, over and over.
        rate_hz: The rate of the audio that is fed.
    """

    def __init__(self, lines: Sequence[Line], rate_hz: int) -> None:
        self._lines, self._rate_hz = lines, rate_hz
        self._line = -1
        self._at_ms: float | None = None  # None between two lines
        self._shown = self._finished = 0
        self._skipped = False

    def hear(self, pcm: bytes) -> bool:
        """Take 20 ms of 16-bit PCM; returns whether another word is recognised with it."""
        samples: NDArray[np.int16] = np.frombuffer(pcm, "<i2")
        if (self._at_ms is None or self._skipped) and not self._take_up(samples):
            return False
        assert self._at_ms is not None
        self._at_ms += len(samples) / self._rate_hz * 1000
        words, before = self._words(), self._shown
        self._shown = max(before, _count(words, self._at_ms - WORD_DELAY_MS))
        if self._at_ms > words[-1].end_ms + _AFTER_LINE_MS:
            self._at_ms = None
        return self._shown > before

    def skipped(self) -> None:
        """Say that some audio was not fed."""
        self._skipped = True

    def partial(self) -> str:
        """Return the words recognised since the last final transcript."""
        return _text(self._words()[self._finished : self._shown])

    def final(self) -> str:
        """Return all words that have been said since the last final transcript."""
        words = self._words()
        said = len(words) if self._at_ms is None else _count(words, self._at_ms)
        text = _text(words[self._finished : said])
        self._finished = self._shown = max(self._finished, said)
        return text

    def _take_up(self, samples: NDArray[np.int16]) -> bool:
        """Find the place in the script that a sound belongs to; False when there is no sound."""
        if not len(samples) or np.abs(samples).max() < SOUND:
            return False
        ahead = []
        if self._at_ms is not None:
            segments = self._lines[self._line % len(self._lines)].segments
            ahead = [s.start_ms for s in segments if s.start_ms > self._at_ms]
        if ahead:
            self._at_ms = ahead[0]
        elif self._at_ms is None or self._over():
            self._line += 1
            self._at_ms, self._shown, self._finished = 0.0, 0, 0
        self._skipped = False
        return True

    def _over(self) -> bool:
        assert self._at_ms is not None
        return self._at_ms >= self._words()[-1].end_ms

    def _words(self) -> list[Word]:
        if self._line < 0:
            return []
        segments = self._lines[self._line % len(self._lines)].segments
        return [word for segment in segments for word in segment.words]


def _count(words: Sequence[Word], until_ms: float) -> int:
    return sum(word.end_ms <= until_ms for word in words)


def _text(words: Sequence[Word]) -> str:
    return " ".join(word.text for word in words)
