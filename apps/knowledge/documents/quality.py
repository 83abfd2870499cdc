"""How much a document is worth being found: its length, its readability, its domain. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp

from apps.knowledge.documents.language import STOP_WORDS

# What counts fully. Prose of both languages has a good third of its words among the commonest.
_WORDS_HALFWAY = 25
_SHARE_OF_LETTERS = 0.70
_SHARE_OF_STOP_WORDS = 0.15
_LONGEST_SENTENCE, _LONGEST_WORD = 60.0, 30
_SHARE_OF_DOMAIN = 0.05
# How much each counts: the exponents of a weighted geometric mean, so that garbage, which is long
# and of no language, is not saved by its length.
_LENGTH, _READABILITY, _DOMAIN = 0.3, 0.5, 0.2
_FLOOR_OF_DOMAIN = 0.2


@dataclass(slots=True)
class QualityTally:
    """Counts of a document's text, passage by passage."""

    signs: int = 0
    letters: int = 0
    words: int = 0
    wordlike: int = 0
    stop_words: int = 0
    sentences: int = 0
    domain_words: int = 0

    def add(self, text: str, words: Sequence[str], domain: frozenset[str]) -> None:
        """Count a passage.

        Args:
            text: As it is indexed.
            words: Its words, folded.
            domain: Words of the space's domain, folded.
        """
        self.signs += len(text) - text.count(" ")
        self.letters += sum(map(str.isalpha, text))
        self.words += len(words)
        self.wordlike += sum(len(word) <= _LONGEST_WORD for word in filter(str.isalpha, words))
        self.stop_words += sum(map(STOP_WORDS.__contains__, words))
        self.sentences += max(1, sum(text.count(sign) for sign in ".!?;:"))
        self.domain_words += sum(map(domain.__contains__, words)) if domain else 0

    def length(self) -> float:
        """Return how much there is to read, in [0, 1): a half at 25 words."""
        return 1 - exp(-self.words * 0.693 / _WORDS_HALFWAY)

    def readability(self) -> float:
        """Return how much it looks like sentences of a language, in [0, 1]."""
        if not self.words or not self.signs:
            return 0.0
        letters = min(1.0, self.letters / self.signs / _SHARE_OF_LETTERS)
        wordlike = self.wordlike / self.words
        common = min(1.0, self.stop_words / self.words / _SHARE_OF_STOP_WORDS)
        short = min(1.0, _LONGEST_SENTENCE * self.sentences / self.words)
        # Tables have few common words and are worth something all the same.
        return letters * wordlike * (0.4 + 0.6 * common) * short

    def domain(self) -> float:
        """Return how much it speaks of the domain, in [0.2, 1]."""
        share = self.domain_words / self.words if self.words else 0.0
        return max(_FLOOR_OF_DOMAIN, min(1.0, share / _SHARE_OF_DOMAIN))

    def quality(self, *, has_domain: bool) -> float:
        """Return length^0.3 * readability^0.5 * domain^0.2, in [0, 1].

        Args:
            has_domain: Whether words of the domain are known; else it counts as fitting.
        """
        fit: float = self.domain() ** _DOMAIN if has_domain else 1.0
        worth: float = self.length() ** _LENGTH * self.readability() ** _READABILITY * fit
        return round(worth, 4)
