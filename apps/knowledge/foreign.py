"""Words of subjects that a knowledge base does not know: what speaks for refusing a question.

"Is the swimming pool open on Sunday" is asked in words that an office with opening times knows
well, all but its subject. A lexicon names the subjects that callers ask about anywhere; a word that
a base uses itself is no foreign one there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path

import yaml

from apps.core.words import words
from apps.knowledge.terms import lexicon

# What tells inflections of one noun apart. Lighter than ``terms.stem``, which cuts "career" to
# "car" and "Zeitung" to "Zeit": here a wrong match refuses a caller.
_ENDINGS = {"en": ("s",), "de": ("ern", "en", "er", "em", "es", "e", "n", "s")}
_SHORTEST = {"en": 3, "de": 4}

# A German compound is known by a part of at least so many letters at its beginning or end, with
# at least so many left: fewer may be an ending.
_PART = 5
_REST = 3
_LINKS = ("", "s", "n", "en", "e")

# A word of so many phrases that callers use is the base's own.
_OWN_FROM = 2

# The words of a text as they are compared; a term of the lexicon is one or more of them.
Term = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ForeignTerms:
    """What the lexicon of foreign subjects says.

    Attributes:
        by_topic: The terms of each topic.
    """

    by_topic: Mapping[str, tuple[Term, ...]]

    def without(self, topic: str) -> ForeignTerms:
        """Return the same without a topic."""
        return ForeignTerms({name: t for name, t in self.by_topic.items() if name != topic})


@cache
def foreign_terms(language: str) -> ForeignTerms:
    """Return a language's foreign subjects, read once."""
    path = Path(__file__).with_name("lexicon") / f"foreign.{language}.yaml"
    data: dict[str, str] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return ForeignTerms(
        {
            topic: tuple(_plain(words(term.replace("_", " ")), language) for term in terms.split())
            for topic, terms in data.items()
        }
    )


class ForeignSubjects:
    """The subjects that a knowledge base says nothing about.

    Args:
        own: The base's canonical questions and sentences: what stands in them is not foreign.
        language: ``de`` or ``en``.
        terms: The foreign subjects; None takes the language's.
        asked: The base's other phrases. What stands in several of them is not foreign either; what
            stands in one alone was mentioned by the way.
    """

    def __init__(
        self,
        own: Iterable[str],
        language: str,
        terms: ForeignTerms | None = None,
        *,
        asked: Iterable[str] = (),
    ) -> None:
        self._language = language
        self._silent = lexicon(language).stop_words
        known = terms if terms is not None else foreign_terms(language)
        every = set(chain.from_iterable(known.by_topic.values()))
        self._longest = max(map(len, every), default=1)
        told = set(chain.from_iterable(map(self._runs, own)))
        often = Counter(chain.from_iterable(map(self._runs, asked)))
        told |= {term for term, count in often.items() if count >= _OWN_FROM}
        self._own = frozenset(term[0] for term in told if len(term) == 1)
        self._phrases = {term for term in every if len(term) > 1} - told
        foreign = {term[0] for term in every if len(term) == 1} - self._own - self._silent
        if language == "de":
            foreign -= set(chain.from_iterable(map(_parts, self._own)))
        self._words = frozenset(foreign)

    def _runs(self, text: str) -> set[Term]:
        """Return a text's words, and its words side by side, as long as foreign terms are."""
        plain = _plain(words(text), self._language)
        return {
            plain[at : at + size]
            for size in range(1, self._longest + 1)
            for at in range(len(plain) - size + 1)
        }

    def share(self, query: str) -> float:
        """Return which part of a question's telling words names foreign subjects, 0 to 1."""
        found = words(query)
        plain = _plain(found, self._language)
        foreign = others = at = 0
        while at < len(found):
            size = self._phrase_at(plain, at)
            if size or self._is_foreign(plain[at]):
                foreign += 1
            elif found[at] not in self._silent:
                others += 1
            at += size or 1
        return foreign / (foreign + others) if foreign else 0.0

    def _phrase_at(self, plain: Term, at: int) -> int:
        """Return how many words the longest foreign term of several has there, 0 for none."""
        sizes = range(min(self._longest, len(plain) - at), 1, -1)
        return next((size for size in sizes if plain[at : at + size] in self._phrases), 0)

    def _is_foreign(self, word: str) -> bool:
        if word in self._own or word in self._silent:
            return False
        return word in self._words or (self._language == "de" and self._is_compound(word))

    def _is_compound(self, word: str) -> bool:
        """Return whether a word ends with a foreign part, or begins so without an own end.

        "Hundetrainer" is foreign by its beginning; "Hundeanhänger" is not, to who knows trailers.
        """
        if any(word[at:] in self._words for at in range(_REST, len(word) - _PART + 1)):
            return True
        heads = (at for at in range(_PART, len(word) - _REST + 1) if word[:at] in self._words)
        return any(
            not any(word[at:].removeprefix(link) in self._own for link in _LINKS) for at in heads
        )


def _plain(found: Sequence[str], language: str) -> Term:
    """Return folded words without the endings of inflection."""
    return tuple(_uninflected(word, language) for word in found)


def _uninflected(word: str, language: str) -> str:
    if language == "en" and word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if language == "en" and word.endswith("ss"):
        return word
    for ending in _ENDINGS[language]:
        if word.endswith(ending) and len(word) - len(ending) >= _SHORTEST[language]:
            return word[: -len(ending)]
    return word


def _parts(word: str) -> Iterator[str]:
    """Yield the beginnings and ends of a word that may be parts of a compound."""
    for at in range(_PART, len(word)):
        yield word[:at]
        yield word[-at:]
