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
Rows = NDArray[np.intp]

VERSION = 1
"""Raise it when the same text gets another vector: an index embeds its passages anew then."""

_NGRAM_SIZES = (3, 4, 5)
_BUCKETS = 8192
"""Vectors that n-grams share: two words that share a bucket alone are hardly nearer for it."""
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

    def learn(self, found: Iterable[str]) -> None:
        """Make the vectors of words, so that ``of`` knows them."""
        if len(self._rows) > _KNOWN_WORDS:
            self._rows.clear()
        new = [word for word in found if word not in self._rows]
        if not new:
            return
        start, end = len(self._rows), len(self._rows) + len(new)
        if end > len(self._vectors):
            room = np.empty((max(end, 2 * len(self._vectors)), self._dimensions), np.float32)
            room[:start] = self._vectors[:start]
            self._vectors = room
        self._vectors[start:end] = word_vectors(new, self._dimensions)
        self._rows.update(zip(new, range(start, end), strict=True))

    def of(self, found: Iterable[str]) -> Vectors:
        """Return the vectors of words, of unit length, shape (n, dimensions)."""
        return self._vectors[[self._rows[word] for word in found]]


def word_vectors(found: Sequence[str], dimensions: int) -> Vectors:
    """Return the vectors of folded words, of unit length, shape (n, dimensions)."""
    stems = np.array([zlib.crc32(stem(word, "de").encode()) for word in found], dtype=np.uint64)
    whole = _unit(_signs(stems, dimensions).astype(np.float32))
    buckets = _piece_signs(dimensions)
    parts = [buckets[rows].sum(axis=0, dtype=np.int32) for rows in _pieces(found)]
    return _unit(_STEM_SHARE * whole + (1 - _STEM_SHARE) * _unit(np.array(parts, np.float32)))


def _embed(texts: Sequence[str], known: _WordVectors) -> Vectors:
    """Return the texts' vectors; of few texts, for it learns all their words at once."""
    counted = [Counter(words(text)) for text in texts]
    known.learn(dict.fromkeys(word for counts in counted for word in counts))
    found = np.zeros((len(texts), known._dimensions), dtype=np.float32)
    for row, counts in enumerate(counted):
        if counts:
            weights = [(1 + log(n)) * _weight(word) for word, n in counts.items()]
            found[row] = np.asarray(weights, dtype=np.float32) @ known.of(counts)
    return _unit(found)


def _weight(word: str) -> float:
    if word in _stop_words():
        return _STOP_WEIGHT
    return _LEAST_WEIGHT + _WEIGHT_A_LETTER * min(len(word), _MOST_LETTERS)


def _pieces(found: Sequence[str]) -> list[Rows]:
    """Return the buckets of each word's n-grams of bytes, its edges marked."""
    marked = [f"<{word[:_LONGEST]}>".encode() for word in found]
    letters = np.frombuffer(b"".join(marked), dtype=np.uint8).astype(np.uint64)
    owners = np.repeat(np.arange(len(found)), [len(word) for word in marked])
    codes, whose = [], []
    for size in _NGRAM_SIZES:
        ends = len(letters) - size + 1
        within = owners[: max(ends, 0)] == owners[size - 1 :]
        code = np.full(len(within), size, dtype=np.uint64)
        for place in range(size):
            code = code * np.uint64(256) + letters[place : place + len(within)]
        codes.append(code[within])
        whose.append(owners[: len(within)][within])
    rows = (_mixed(np.concatenate(codes)) % np.uint64(_BUCKETS)).astype(np.intp)
    all_owners = np.concatenate(whose)
    order = np.argsort(all_owners, kind="stable")
    ends_of = np.cumsum(np.bincount(all_owners, minlength=len(found)))
    return np.split(rows[order], ends_of[:-1])


@cache
def _piece_signs(dimensions: int) -> NDArray[np.int8]:
    """Return the vectors of the buckets that n-grams are hashed into."""
    return _signs(np.arange(_BUCKETS, dtype=np.uint64), dimensions)


def _signs(numbers: Hashes, dimensions: int) -> NDArray[np.int8]:
    """Return a row of 1 and -1 for each number, as if drawn by lot, shape (n, dimensions)."""
    drawn = -(-dimensions // 64)  # 64 signs a draw
    draws: Hashes = np.arange(drawn, dtype=np.uint64) + numbers[:, None] * np.uint64(drawn)
    bits = np.unpackbits(_mixed(draws).astype("<u8").view(np.uint8), axis=1)[:, :dimensions]
    return bits.astype(np.int8) * np.int8(2) - np.int8(1)


def _mixed(values: Hashes) -> Hashes:
    """Return SplitMix64's output function (Steele, Lea and Flood, 2014): all bits depend on all."""
    values = values * np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _unit(rows: Vectors) -> Vectors:
    """Return rows of unit length; a row of zeros stays."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True).astype(np.float32)
    lengths[lengths == 0] = 1  # a row of zeros stays one
    found: Vectors = rows / lengths
    return found


@cache
def _stop_words() -> frozenset[str]:
    return lexicon("de").stop_words | lexicon("en").stop_words
