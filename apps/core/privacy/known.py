"""Names that were found once in a document, wherever else they stand in it. Pure.

A model that finds somebody in one sentence misses them in another.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from hashlib import blake2b
from itertools import pairwise

from apps.core.privacy.names import names_in
from apps.core.redaction import Detector, Finding, Kind
from apps.core.redaction.public import TITLES

_WORD = re.compile(r"[^\W\d_]+")
_BETWEEN = re.compile(r"(?:[.,]? |['’.-])")


class KnownNames:
    """Names of two words and more, and their family names behind "Frau" and the like."""

    def __init__(self) -> None:
        self._by_first: dict[str, set[tuple[str, ...]]] = {}
        self._families: set[str] = set()

    def add(self, finding: Finding) -> None:
        """Know a name; one of a single word may be an ordinary word elsewhere, and is not kept."""
        name = tuple(finding.value.split())
        if finding.kind is Kind.NAME and len(name) > 1:
            self._by_first.setdefault(name[0], set()).add(name)
            self._families.add(name[-1])

    def find(self, text: str) -> Iterator[Finding]:
        """Yield where they stand in a text."""
        if not self._by_first:
            return
        words = [(match.group().lower(), *match.span()) for match in _WORD.finditer(text)]
        for at, (word, start, end) in enumerate(words):
            for name in self._by_first.get(word, ()):
                last = at + len(name) - 1
                if last < len(words) and self._stands(name, words[at : last + 1], text):
                    yield from names_in(text, start, words[last][2])
            family = _as_in(word, self._families)
            if family and at and words[at - 1][0] in TITLES and text[start].isupper():
                yield Finding(Kind.NAME, start, end, family)

    def _stands(self, name: tuple[str, ...], words: list[tuple[str, int, int]], text: str) -> bool:
        """Whether words are a name, the last one maybe in the genitive, and close together."""
        *given, family = (word for word, _, _ in words)
        together = all(_BETWEEN.fullmatch(text, one[2], other[1]) for one, other in pairwise(words))
        return together and tuple(given) == name[:-1] and bool(_as_in(family, {name[-1]}))


def _as_in(word: str, names: set[str]) -> str:
    """Return a name as it is known where a word is it, or its genitive; empty for no such."""
    plain = word if word in names else word.removesuffix("s")
    return plain if plain in names else ""


class Recalling:
    """A detector that has each text looked at once, and knows names from all texts before.

    Give it all texts of a document, and then again: the second time no name that was found
    anywhere is missed elsewhere.

    Args:
        detector: What looks.
    """

    def __init__(self, detector: Detector) -> None:
        self._detector, self._known = detector, KnownNames()
        self._found: dict[bytes, tuple[Finding, ...]] = {}

    def find(self, text: str, language: str) -> Iterator[Finding]:
        """Yield what is personal in a text; see ``Detector``."""
        key = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        if key not in self._found:
            self._found[key] = tuple(self._detector.find(text, language))
            for finding in self._found[key]:
                self._known.add(finding)
        yield from self._found[key]
        yield from self._known.find(text)
