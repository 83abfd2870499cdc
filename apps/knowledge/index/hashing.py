"""Vectors that need no weights: hashed pieces of words, projected to a fixed dimension.

A word's vector is that of its stem plus that of its character n-grams, so that "Zulassung" is near
"Zulassungsbescheinigung" and near a misspelling of itself; a text's vector is the weighted sum of
its words' (Bojanowski et al., "Enriching word vectors with subword information", 2017, with signs
drawn by a hash in the place of learned weights: Achlioptas, "Database-friendly random
projections", 2003). Nothing is learned from the collection, so no vector changes when it grows.
"""

from __future__ import annotations

import asyncio
import threading
import time
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from math import log

import numpy as np
from numpy.typing import NDArray

from apps.core.words import words
from apps.knowledge.index.base import Vectors
from apps.knowledge.terms import lexicon, stem

Hashes = NDArray[np.uint64]

VERSION = 1
"""Raise it when the same text gets another vector: an index embeds its passages anew then."""

_NGRAM_SIZES = (3, 4, 5)
_LONGEST = 40
"""Letters of a word that are looked at; the longest German compounds of offices have fewer."""
_STEM_SHARE = 0.4
"""How much of a word's length is its stem's; the rest it shares with words of like spelling."""
_STOP_WEIGHT = 0.1
_LEAST_WEIGHT, _WEIGHT_A_LETTER, _MOST_LETTERS = 0.4, 0.05, 12
"""Long words are rarer, and say more: the nearest to an inverse document frequency without one."""
_KNOWN_WORDS = 20_000
"""Words whose vectors are kept: 30 MB with 384 dimensions."""
_AT_ONCE = 16
"""Texts between two moments at which a thread lets the event loop go on: about 2 ms."""
_INLINE = 4
"""So many texts take less time than a turn in a thread."""


class HashingEmbedder:
    """Embeds German and English without weights, deterministically.

    Args:
        dimensions: Of the vectors.
    """

    def __init__(self, dimensions: int = 384) -> None:
        self.dimensions = dimensions
        self.name = f"hashed-words-{dimensions}-v{VERSION}"
        self._few, self._many = _WordVectors(dimensions), _WordVectors(dimensions)
        self._turn = threading.Lock()

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one row of unit length a text; a text without a word gives a row of zeros."""
        if len(texts) <= _INLINE:
            return _embed(texts, self._few)
        return await asyncio.to_thread(self._embed_many, texts)

    def _embed_many(self, texts: Sequence[str]) -> Vectors:
        found = np.empty((len(texts), self.dimensions), dtype=np.float32)
        with self._turn:
            for start in range(0, len(texts), _AT_ONCE):
                some = slice(start, start + _AT_ONCE)
                found[some] = _embed(texts[some], self._many)
                time.sleep(0)  # lets go of the interpreter, which the event loop may wait for
        return found


class _WordVectors:
    """The vectors of the words that were met, a row a word; all are forgotten when it is full."""

    def __init__(self, dimensions: int) -> None:
        self._dimensions = dimensions
        self._rows: dict[str, int] = {}
        self._vectors: Vectors = np.empty((256, dimensions), dtype=np.float32)

    def of(self, found: Iterable[str]) -> Vectors:
        """Return the vectors of a text's words, of unit length, shape (n, dimensions)."""
        if len(self._rows) > _KNOWN_WORDS:
            self._rows.clear()
        rows = [row if (row := self._rows.get(w)) is not None else self._learn(w) for w in found]
        return self._vectors[rows]

    def _learn(self, word: str) -> int:
        row = self._rows[word] = len(self._rows)
        if row >= len(self._vectors):
            self._vectors = np.concatenate([self._vectors, np.empty_like(self._vectors)])
        self._vectors[row] = word_vector(word, self._dimensions)
        return row


def word_vector(word: str, dimensions: int) -> Vectors:
    """Return a folded word's vector, of unit length."""
    marked = f"<{word[:_LONGEST]}>"
    pieces = [marked[i : i + n] for n in _NGRAM_SIZES for i in range(len(marked) - n + 1)]
    whole = _projected([f"={stem(word, 'de')}"], dimensions)
    return _unit(_STEM_SHARE * whole + (1 - _STEM_SHARE) * _projected(pieces, dimensions))


def _embed(texts: Sequence[str], known: _WordVectors) -> Vectors:
    found = np.zeros((len(texts), known._dimensions), dtype=np.float32)
    stop_words = _stop_words()
    for row, text in enumerate(texts):
        counts = Counter(words(text))
        if counts:
            weights = [
                (1 + log(n)) * (_STOP_WEIGHT if word in stop_words else _weight(word))
                for word, n in counts.items()
            ]
            found[row] = _unit(np.asarray(weights, dtype=np.float32) @ known.of(counts))
    return found


def _weight(word: str) -> float:
    return _LEAST_WEIGHT + _WEIGHT_A_LETTER * min(len(word), _MOST_LETTERS)


def _projected(features: Sequence[str], dimensions: int) -> Vectors:
    """Return the sum of the features' vectors of random signs, of unit length."""
    hashes = np.array([zlib.crc32(feature.encode()) for feature in features], dtype=np.uint64)
    drawn = -(-dimensions // 64)  # 64 signs a number
    numbers: Hashes = np.arange(drawn, dtype=np.uint64) + hashes[:, None] * np.uint64(drawn)
    bits = np.unpackbits(_mixed(numbers).astype("<u8").view(np.uint8), axis=1)[:, :dimensions]
    return _unit((2.0 * bits.sum(axis=0) - len(features)).astype(np.float32))


def _mixed(values: Hashes) -> Hashes:
    """Return SplitMix64's output function (Steele, Lea and Flood, 2014): all bits depend on all."""
    values = values * np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _unit(vector: Vectors) -> Vectors:
    length = float(np.linalg.norm(vector))
    return vector / np.float32(length) if length else vector


@cache
def _stop_words() -> frozenset[str]:
    return lexicon("de").stop_words | lexicon("en").stop_words
