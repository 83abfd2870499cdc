"""Which language a text is in, German or English, by its commonest words. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from apps.core.words import fold


def _names(text: str) -> frozenset[str]:
    return frozenset(fold(text).split())


# Words of one language that are no words of the other, folded ("die" and "was" are both).
_GERMAN = _names(
    """
    der das und ist ein eine einen einem einer nicht mit auf für von den dem des sich auch es sie
    wird werden wir ihr ihre ihren bei oder nach wie aus zum zur als wenn kann können muss müssen
    haben sind über bis noch nur durch ab im am ich mein meine dass diese dieser dieses hier wer wo
    welche welcher welches keine kein sein soll unter vor zwischen gegen ohne bitte
    """
)
_ENGLISH = _names(
    """
    the and is of to a for with on at by from that this it you your are be or not we our can must
    have has if which who where when how what do does there their they as an will should may any
    all i my please it's don't into than then these those under before between without
    """
)
_LEAST_HITS = 2
_SURE_MARGIN = 1.5
STOP_WORDS = _GERMAN | _ENGLISH


@dataclass(slots=True)
class LanguageTally:
    """How many common words of each language a text has."""

    de: int = 0
    en: int = 0

    def add(self, words: Sequence[str]) -> None:
        """Count words, given folded."""
        self.de += sum(map(_GERMAN.__contains__, words))
        self.en += sum(map(_ENGLISH.__contains__, words))

    def merge(self, other: LanguageTally) -> None:
        """Add another's counts."""
        self.de += other.de
        self.en += other.en

    @property
    def language(self) -> str | None:
        """``de``, ``en``, or None where the words do not tell."""
        more, less = max(self.de, self.en), min(self.de, self.en)
        if more < _LEAST_HITS or more < less * _SURE_MARGIN:
            return None
        return "de" if self.de > self.en else "en"
