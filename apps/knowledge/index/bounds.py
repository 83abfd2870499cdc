"""Which of a question's words are searched for, so that no question takes long.

Ranking costs about a microsecond a passage that holds a word, and a word that a third of all
passages hold tells little. Pure: frequencies in, words out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import log

BUDGET = 6_000
"""Passages that one search ranks at most: about 5 ms with SQLite."""
_TOGETHER = 4
"""Common words that are asked for together; more would find nothing."""
_RANKED = 8
"""Words by which passages are ranked at most, the rarest."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to search for.

    Attributes:
        words: With how telling each is: BM25's idf, > 0.
        together: Whether a passage must hold all of them; else one is enough.
        besides: More of the question's words, too common to be searched for; they may still tell
            which of the passages that are found is better.
    """

    words: tuple[tuple[str, float], ...]
    together: bool = False
    besides: tuple[tuple[str, float], ...] = ()


def bounded(frequencies: Mapping[str, int], passages: int, budget: int = BUDGET) -> Wanted:
    """Return the rarest words whose passages are within the budget.

    Where each word alone is beyond it, the rarest of them are to be found together.

    Args:
        frequencies: In how many passages each word of the question stands.
        passages: How many there are.
        budget: How many may be ranked.
    """
    held = sorted((count, word) for word, count in frequencies.items() if count > 0)
    rare: list[str] = []
    left = budget
    for count, word in held:
        if count > left:
            break
        rare.append(word)
        left -= count
    chosen = rare or [word for _, word in held[:_TOGETHER]]
    weighed = [(word, idf(count, passages)) for count, word in held]
    searched = tuple(weighed[: len(chosen)])
    return Wanted(
        searched,
        together=not rare and len(searched) > 1,
        besides=tuple(weighed[len(searched) : _RANKED]),
    )


def idf(frequency: int, passages: int) -> float:
    """Return ln(1 + (N - n + 0.5) / (n + 0.5)) (Robertson and Zaragoza, 2009), > 0."""
    return log(1 + (max(passages, frequency) - frequency + 0.5) / (frequency + 0.5))
