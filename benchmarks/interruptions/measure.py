"""What a caller heard, from the client's recording alone: silences, whole words, words begun."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from apps.core.audio import SAMPLE_BYTES, SAMPLE_RATE_HZ, pcm_to_samples
from apps.voice.word_times import displayed_starts_ms, marked_starts_ms

SAMPLES_PER_MS = SAMPLE_RATE_HZ // 1000
WINDOW_MS = 20
QUIET = 32768.0 * 10 ** (-50 / 20)
BREAK_MS = 100.0
"""Frames that come later than this after the one before begin something new."""

Recording = NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Word:
    """A word of an answer and its samples, from the first audible one to the last."""

    text: str
    samples: Recording


def words_of(
    text: str, reading: str, pcm: bytes, marks: dict[int, float], language: str
) -> list[Word]:
    """Return a sentence's displayed words with their audio, by the synthesiser's marks.

    Args:
        text: As it is displayed.
        reading: As it is spoken.
        pcm: Its audio.
        marks: Where the spoken words begin, in milliseconds.
        language: ``de`` or ``en``.
    """
    samples = pcm_to_samples(pcm)
    end = _last_audible(samples)
    end_ms = end / SAMPLES_PER_MS
    spoken, displayed = reading.split(), text.split()
    starts = marked_starts_ms(spoken, language, marks, end_ms)
    shown = displayed_starts_ms(displayed, spoken, starts, end_ms, language)
    edges = [min(round(ms * SAMPLES_PER_MS), end) for ms in shown] + [end]
    return [
        Word(word, _audible(samples[begin:until]))
        for word, begin, until in zip(displayed, edges, edges[1:], strict=False)
    ]


def breaks_ms(arrivals_ms: Sequence[float], after_ms: float) -> list[tuple[float, float]]:
    """Return when frames ceased and came again, for each break that ends after a moment."""
    return [(a, b) for a, b in pairwise(arrivals_ms) if b > after_ms and b - a >= BREAK_MS]


def silent_after_ms(recording: Recording, onset: int, until: int) -> float:
    """Return how long after a sample the recording falls silent, and stays so up to another.

    Silence is an RMS below -50 dBFS in every window of 20 ms, one each millisecond.
    """
    stretch = recording[onset:until].astype(np.float64)
    squares = np.concatenate(([0.0], np.cumsum(stretch * stretch)))
    window = WINDOW_MS * SAMPLES_PER_MS
    starts = np.arange(0, max(len(stretch), 1), SAMPLES_PER_MS)
    ends = np.minimum(starts + window, len(stretch))
    rms = np.sqrt((squares[ends] - squares[starts]) / window)
    loud = np.flatnonzero(rms >= QUIET)
    return float(loud[-1] + 1) if len(loud) else 0.0


def heard_whole(recording: Recording, words: Sequence[Word], begin: int = 0) -> list[bool]:
    """Tell of each word whether its very samples were heard without a gap, in order.

    Args:
        recording: What the client played.
        words: Of the answer, in order.
        begin: The answer's first sample in the recording.
    """
    data, at = recording.tobytes(), begin * SAMPLE_BYTES
    whole: list[bool] = []
    for word in words:
        found = _find(data, word.samples.tobytes(), at)
        whole.append(found is not None)
        at = found if found is not None else at
    return whole


def words_heard(recording: Recording, words: Sequence[Word], begin: int = 0) -> int:
    """Return how many words in a row were heard: those of which more than half was played."""
    halves = [Word(w.text, w.samples[: len(w.samples) // 2 + 1]) for w in words]
    whole = heard_whole(recording, halves, begin)
    return whole.index(False) if False in whole else len(whole)


def _audible(samples: Recording) -> Recording:
    """Return samples without the quiet before and behind them."""
    last = _last_audible(samples)
    return samples[len(samples) - _last_audible(samples[::-1]) : last]


def _last_audible(samples: Recording) -> int:
    """Return the end of the last audible sample, 0 without one."""
    audible = np.flatnonzero(np.abs(samples.astype(np.int32)) > QUIET)
    return int(audible[-1]) + 1 if len(audible) else 0


def _find(data: bytes, part: bytes, at: int) -> int | None:
    """Return where a part ends that begins at a whole sample from `at` on, None without one."""
    found = data.find(part, at)
    while found >= 0 and found % SAMPLE_BYTES:
        found = data.find(part, found + 1)
    return found + len(part) if found >= 0 else None
