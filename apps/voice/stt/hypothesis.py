"""A hypothesis of what was said, and how two of them over the same audio compare."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_WORD_EDGES = ".,;:!?…-–—\"'„“”‚‘’«»()[]¿¡"


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment of a hypothesis, as the model gives it.

    Attributes:
        text: Its words.
        end_ms: Where it ends, from the utterance's beginning.
        avg_logprob: Mean log probability of its tokens.
        no_speech_prob: In [0, 1]; how likely the window holds no speech.
        compression_ratio: Length by compressed length; high for text that repeats itself.
    """

    text: str
    end_ms: float
    avg_logprob: float = 0.0
    no_speech_prob: float = 0.0
    compression_ratio: float = 1.0

    @property
    def words(self) -> tuple[str, ...]:
        """The segment's words, as they are written."""
        return tuple(self.text.split())

    @property
    def confidence(self) -> float:
        """In [0, 1]: the geometric mean of the tokens' probabilities, less if it may be no speech.

        It ranks transcripts of one model; it is no calibrated probability of being right.
        """
        return min(1.0, math.exp(min(0.0, self.avg_logprob))) * (1.0 - self.no_speech_prob)

    @property
    def plausible(self) -> bool:
        """Whether it was probably spoken, and not made up over silence or noise.

        The thresholds are those of Whisper's own decoder (Radford et al. 2022, section 4.5).
        """
        silence = self.no_speech_prob > 0.6 and self.avg_logprob < -1.0
        return not silence and self.compression_ratio <= 2.4


def agreement(first: Sequence[str], second: Sequence[str]) -> int:
    """Return how many words two hypotheses begin with alike, whatever their case and commas."""
    count = 0
    for a, b in zip(first, second, strict=False):
        if _plain(a) != _plain(b):
            break
        count += 1
    return count


def aligned(committed: Sequence[str], words: Sequence[str]) -> int:
    """Return how many words of a new hypothesis stand for those already committed.

    A new hypothesis may write them differently ("I've" for "I have"), so it is the length of the
    prefix with the least edit distance to them; of equals one that ends with the same word, then
    the one nearest to their number.
    """
    known = [_plain(word) for word in committed]
    row = list(range(len(known) + 1))  # distances of the empty prefix to each prefix of known
    distances = [row[-1]]
    for position, word in enumerate(map(_plain, words), start=1):
        above, row = row, [position]
        for j, other in enumerate(known, start=1):
            row.append(min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (word != other)))
        distances.append(row[-1])

    def fit(count: int) -> tuple[int, bool, int]:
        ends_alike = bool(count and known and _plain(words[count - 1]) == known[-1])
        return distances[count], not ends_alike, abs(count - len(known))

    return min(range(len(distances)), key=fit)


def _plain(word: str) -> str:
    return word.strip(_WORD_EDGES).casefold() or word
