"""A recogniser that knows what is said, and errs by a rule: see README.md, "The oracle".

It stands in where no recogniser's weights are at hand, German above all, and makes figures that
depend on turn-taking alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Protocol

from apps.voice.turn_events import AllWords, Words
from benchmarks.turns.sound import Recording
from benchmarks.turns.utterances import Utterance

DELAY_MS = 100.0
WRONG = 0.15
SURE = {True: (0.6, 1.0), False: (0.2, 0.8)}
"""Between what a right and a wrong word's confidence is drawn."""

COUGH_WORD = 0.3
"""How often a cough is taken for a word."""


class Recogniser(Protocol):
    """What turn-taking hears words from."""

    def partial(self, at_ms: float) -> Words | None:
        """Return what it tells about the present utterance at a moment, None for nothing new."""
        ...

    def final(self, ended_ms: float) -> tuple[float, AllWords]:
        """Return the final transcript of what ended at a moment, and when it is there."""
        ...


@dataclass(frozen=True, slots=True)
class _Heard:
    text: str
    end_ms: float
    confidence: float


class Oracle:
    """Tells every word 100 ms after its true end, 15 % of them wrong.

    Args:
        recording: What is said.
        others: In each language, the words that a wrong one is drawn from.
        seed: Another seed makes other errors.
    """

    def __init__(
        self, recording: Recording, others: dict[str, tuple[str, ...]], seed: int = 0
    ) -> None:
        chance = Random(f"{seed} {recording.utterance.id}")
        vocabulary = others[recording.utterance.language]
        self._heard = [
            _misheard(chance, word.text, word.end_ms, vocabulary) for word in recording.words
        ]
        if not recording.words and chance.random() < COUGH_WORD:
            sure = chance.uniform(*SURE[False])
            self._heard = [_Heard(chance.choice(vocabulary), recording.last_ms, sure)]

    def partial(self, at_ms: float) -> Words:
        """Return the words that had ended `DELAY_MS` before a moment."""
        until_ms = at_ms - DELAY_MS
        said = [word.text for word in self._heard if word.end_ms <= until_ms]
        return Words(" ".join(said), until_ms)

    def final(self, ended_ms: float) -> tuple[float, AllWords]:
        """Return all words that had ended when the end was declared, `DELAY_MS` after that."""
        said = [word for word in self._heard if word.end_ms <= ended_ms]
        sure = sum(word.confidence for word in said) / len(said) if said else 0.0
        return ended_ms + DELAY_MS, AllWords(" ".join(word.text for word in said), sure)


def _misheard(chance: Random, word: str, end_ms: float, vocabulary: tuple[str, ...]) -> _Heard:
    right = chance.random() >= WRONG
    other = chance.choice([w for w in vocabulary if w != word])
    return _Heard(word if right else other, end_ms, chance.uniform(*SURE[right]))


def vocabulary(utterances: tuple[Utterance, ...]) -> dict[str, tuple[str, ...]]:
    """Return each language's words, every one as often as it is said in the set."""
    return {
        language: tuple(
            word for u in utterances if u.language == language for word in u.text.split()
        )
        for language in sorted({u.language for u in utterances})
    }
