"""Where the words of a sentence begin in its audio, for engines that do not say it.

Three things are known: the words, how long each of them usually takes, and how loud the audio is.
Pauses are read off the level and laid on boundaries between words, those after a comma first, such
that the stretches of speech between them fit the words best; within a stretch the words share the
time by what each usually takes. A sentence that is still being made ends at an unknown word: there
the tempo of what was said before decides.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from apps.core.audio import FRAME_MS
from apps.voice.word_durations import ends_phrase, usual_ms

QUIET_DB = -28.0  # against the loud tenth of the audio
# A closure before "t" or "k" is as quiet as a pause, but shorter than this.
PAUSE_FRAMES = 100 // FRAME_MS

_WORD_SPREAD_MS = 65.0  # of a word's duration about the usual one
_TEMPO_SPREAD = 0.08
_TEMPO_WEIGHT_MS = 2000.0  # as much speech does the tempo so far count for
# Costs are negative logarithms of probabilities, as far as these are known.
_IN_PHRASE = 4.0
_MARK_WITHOUT_PAUSE = 2.0
_CLOSURE_PER_FRAME = 0.8
_MAX_MERGED = 3  # stretches that belong to one phrase, its pauses being closures


@dataclass(frozen=True, slots=True)
class Sentence:
    """What is known of a sentence that is being played.

    Attributes:
        words: As they are spoken.
        language: ``de`` or ``en``.
        levels: Of its audio so far in dBFS, one a frame.
        complete: Whether that is all of its audio.
        tempo: Actual over usual durations, in what was said before.
    """

    words: Sequence[str]
    language: str
    levels: Sequence[float]
    complete: bool
    tempo: float = 1.0


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Audio between two pauses, in frames; `pause` is how many quiet ones follow."""

    start: int
    end: int
    pause: int


@dataclass(frozen=True, slots=True)
class _Piece:
    """Words from `first` up to `last` and the frames in which they are said."""

    start: int
    end: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class _Path:
    """Pieces up to a pause, and how unlikely they are."""

    cost: float
    pieces: tuple[_Piece, ...] = ()

    @property
    def words(self) -> int:
        """How many words it holds."""
        return self.pieces[-1].last if self.pieces else 0


def tempo_after(sentence: Sentence) -> float:
    """Return the tempo to go by after a complete sentence; a longer one counts more."""
    said, usual = _said_and_usual_ms(sentence)
    return (_TEMPO_WEIGHT_MS * sentence.tempo + said) / (_TEMPO_WEIGHT_MS + usual)


def word_starts_ms(sentence: Sentence) -> list[float]:
    """Return where each word begins, in milliseconds, also those that are still to be made."""
    usual = list(accumulate((usual_ms(w, sentence.language) for w in sentence.words), initial=0.0))
    pieces = _laid(sentence, usual)
    starts: list[float] = []
    for piece in pieces:
        span = usual[piece.last] - usual[piece.first]
        scale = (piece.end - piece.start) * FRAME_MS / span if span else 0.0
        starts += [
            piece.start * FRAME_MS + (before - usual[piece.first]) * scale
            for before in usual[piece.first : piece.last]
        ]
    to_come = usual[len(starts)]
    end_ms = len(sentence.levels) * FRAME_MS
    return starts + [end_ms + each - to_come for each in usual[len(starts) : -1]]


def _said_and_usual_ms(sentence: Sentence) -> tuple[float, float]:
    """Return how long the sentence's speech is without its pauses, and how long it usually is."""
    frames = sum(stretch.end - stretch.start for stretch in _stretches(sentence.levels))
    usual = sum(usual_ms(word, sentence.language) for word in sentence.words)
    return (float(frames * FRAME_MS), usual) if frames and usual else (0.0, 0.0)


def quiet_below_dbfs(levels: Sequence[float]) -> float:
    """Return the level below which speech of these levels is quiet."""
    return sorted(levels)[len(levels) * 9 // 10] + QUIET_DB if levels else 0.0


def _stretches(levels: Sequence[float]) -> list[_Stretch]:
    found: list[_Stretch] = []
    quiet_dbfs = quiet_below_dbfs(levels)
    start = at = 0
    while at < len(levels):
        after = at
        while after < len(levels) and levels[after] < quiet_dbfs:
            after += 1
        if after - at >= PAUSE_FRAMES:
            found.append(_Stretch(start, at, after - at))
            start = after
        at = max(after, at + 1)
    found.append(_Stretch(start, len(levels), 0))
    return [stretch for stretch in found if stretch.end > stretch.start]


def _laid(sentence: Sentence, usual: Sequence[float]) -> tuple[_Piece, ...]:
    """Lay the stretches of speech on the words: the most likely of all ways to do so."""
    stretches = _stretches(sentence.levels)
    count = len(sentence.words)
    if not stretches or not count:
        return ()
    said_ms, usual_said_ms = _said_and_usual_ms(sentence)
    known = sentence.complete and usual_said_ms > 0
    costs = _Costs(sentence, usual, said_ms / usual_said_ms if known else sentence.tempo)
    # The best path to each number of words at each pause, by dynamic programming.
    best: list[dict[int, _Path]] = [{0: _Path(0.0)}]
    for end in range(1, len(stretches) + 1):
        here: dict[int, _Path] = {}
        for begin in range(max(0, end - _MAX_MERGED), end):
            merged = stretches[begin:end]
            closures = sum(map(costs.closure, merged[:-1]))
            for path in best[begin].values():
                for last in costs.likely_ends(merged, path.words):
                    cost = path.cost + closures + costs.piece(merged, path.words, last)
                    if last not in here or cost < here[last].cost:
                        piece = _Piece(merged[0].start, merged[-1].end, path.words, last)
                        here[last] = _Path(cost, (*path.pieces, piece))
        best.append(here)
    if sentence.complete:
        whole = _Piece(stretches[0].start, stretches[-1].end, 0, count)
        return best[-1].get(count, _Path(0.0, (whole,))).pieces
    return _open(costs, stretches, best)


def _open(
    costs: _Costs, stretches: Sequence[_Stretch], best: Sequence[Mapping[int, _Path]]
) -> tuple[_Piece, ...]:
    """Return the most likely pieces of audio that breaks off at an unknown word."""
    paths = list(best[-1].values()) if stretches[-1].pause else []
    for begin in range(max(0, len(stretches) - _MAX_MERGED), len(stretches)):
        merged = stretches[begin:]
        closures = sum(map(costs.closure, merged[:-1]))
        for path in best[begin].values():
            rest = costs.rest(merged[0].start, path)
            cost = path.cost + closures + costs.breaking_off(merged, rest)
            paths.append(_Path(cost, (*path.pieces, rest)))
    return min(paths, key=lambda path: path.cost).pieces


class _Costs:
    """How unlikely it is that some words are said in some audio: negative logarithms."""

    def __init__(self, sentence: Sentence, usual: Sequence[float], tempo: float) -> None:
        self._usual, self._tempo = usual, tempo
        self._phrase_ends = [ends_phrase(word) for word in sentence.words]
        self._ends_before = list(accumulate(map(int, self._phrase_ends), initial=0))

    def likely_ends(self, merged: Sequence[_Stretch], first: int) -> range:
        """Return up to which words a phrase that begins with `first` may go."""
        length = _length_ms(merged) / self._tempo
        slack = 3.0 * (_WORD_SPREAD_MS * 2 + length * 0.15)
        low = bisect_left(self._usual, self._usual[first] + length - slack)
        high = bisect_right(self._usual, self._usual[first] + length + slack)
        return range(max(first + 1, low), min(len(self._usual), high))

    def piece(self, merged: Sequence[_Stretch], first: int, last: int) -> float:
        """Return the cost of the words from `first` to `last` filling a phrase."""
        marks = self._ends_before[last - 1] - self._ends_before[first]
        end = 0.0 if self._phrase_ends[last - 1] or last == len(self._phrase_ends) else _IN_PHRASE
        deviation, spread = self._deviation(merged, first, last)
        return (
            deviation**2 / 2
            + math.log(spread / _WORD_SPREAD_MS)
            + marks * _MARK_WITHOUT_PAUSE
            + end
        )

    def closure(self, stretch: _Stretch) -> float:
        """Return the cost of the quiet behind a stretch being no pause."""
        return (stretch.pause - PAUSE_FRAMES + 1) * _CLOSURE_PER_FRAME

    def rest(self, start: int, path: _Path) -> _Piece:
        """Return all words that are left, as long as the tempo so far makes them."""
        said = sum(piece.end - piece.start for piece in path.pieces) * FRAME_MS
        usual = self._usual[path.words]
        tempo = (_TEMPO_WEIGHT_MS * self._tempo + said) / (_TEMPO_WEIGHT_MS + usual)
        frames = (self._usual[-1] - usual) * tempo / FRAME_MS
        return _Piece(start, start + round(frames), path.words, len(self._phrase_ends))

    def breaking_off(self, merged: Sequence[_Stretch], rest: _Piece) -> float:
        """Return the cost of the audio ending within the words that are left."""
        beyond_ms = (merged[-1].end - rest.end) * FRAME_MS
        _, spread = self._deviation(merged, rest.first, rest.last)
        cut = bisect_right(self._usual, self._usual[rest.first] + _length_ms(merged) / self._tempo)
        said = max(rest.first, min(cut, rest.last) - 1)
        marks = self._ends_before[said] - self._ends_before[rest.first]
        return max(0.0, beyond_ms / spread) ** 2 / 2 + marks * _MARK_WITHOUT_PAUSE

    def _deviation(self, merged: Sequence[_Stretch], first: int, last: int) -> tuple[float, float]:
        """Return how far a phrase is from its usual length, in spreads, and the spread in ms."""
        expected = (self._usual[last] - self._usual[first]) * self._tempo
        spread = math.hypot(
            _WORD_SPREAD_MS * math.sqrt(max(1, last - first)), _TEMPO_SPREAD * expected
        )
        return (_length_ms(merged) - expected) / spread, spread


def _length_ms(merged: Sequence[_Stretch]) -> float:
    return float((merged[-1].end - merged[0].start) * FRAME_MS)
