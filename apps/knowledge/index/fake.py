"""An index in memory and an embedder without weights, for tests, demonstrations and benchmarks."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from math import log
from zlib import crc32

import numpy as np

from apps.core.ids import DEFAULT_TENANT
from apps.knowledge.index.base import Chunk, Document, Hit, Scope, StoredChunk, Vectors
from apps.knowledge.terms import content_pieces, meanings

_K1, _B = 1.2, 0.75


class FakeEmbedder:
    """Character n-grams of a text's content words, hashed into a vector of unit length.

    Args:
        language: Whose stop words are left out.
        dimensions: Of each vector.
        delay_s: Each call takes so long.
    """

    def __init__(self, language: str = "en", dimensions: int = 256, delay_s: float = 0.0) -> None:
        self.name, self.dimensions = "fake", dimensions
        self._language, self.delay_s = language, delay_s

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one row of unit length a text; a text without a content word gives zeros."""
        await asyncio.sleep(self.delay_s)
        rows = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            for piece in content_pieces(text, self._language):
                row[crc32(piece.encode()) % self.dimensions] += 1
            row /= float(np.linalg.norm(row)) or 1.0
        return rows


class FakeIndex:
    """All chunks in a dictionary, searched from one end to the other.

    Args:
        delay_s: Each search by words takes so long.

    Attributes:
        writes: What was done, in its order: ``replace``, ``touch`` or ``remove``, and the id.
    """

    def __init__(self, delay_s: float = 0.0) -> None:
        self.delay_s = delay_s
        self.writes: list[tuple[str, str]] = []
        self._documents: dict[tuple[str, str], Document] = {}
        self._chunks: dict[int, tuple[StoredChunk, Vectors]] = {}
        self._last_key = 0

    async def replace(self, document: Document, chunks: Sequence[Chunk], vectors: Vectors) -> None:
        """Put a document in the place of what it was before."""
        self._forget(document.tenant, document.id)
        self._documents[document.tenant, document.id] = document
        for chunk, vector in zip(chunks, vectors, strict=True):
            self._last_key += 1
            self._chunks[self._last_key] = StoredChunk(self._last_key, chunk, document), vector
        self.writes.append(("replace", document.id))

    async def touch(self, document: Document) -> None:
        """Note new facts of a document whose chunks stay."""
        if (document.tenant, document.id) in self._documents:
            self._documents[document.tenant, document.id] = document
            for key in self._keys_of(document.tenant, document.id):
                stored, vector = self._chunks[key]
                self._chunks[key] = replace(stored, document=document), vector
            self.writes.append(("touch", document.id))

    async def remove(self, ids: Sequence[str], *, tenant: str = DEFAULT_TENANT) -> int:
        """Take documents out; returns how many there were."""
        gone = [name for name in ids if (tenant, name) in self._documents]
        for name in gone:
            self._forget(tenant, name)
            self.writes.append(("remove", name))
        return len(gone)

    async def documents(
        self, *, tenant: str = DEFAULT_TENANT, space: str | None = None
    ) -> tuple[Document, ...]:
        """Return what is indexed, by id."""
        known = sorted(self._documents.values(), key=lambda document: document.id)
        return tuple(d for d in known if d.tenant == tenant and space in (None, d.space))

    async def by_words(self, query: str, scope: Scope, k: int) -> tuple[Hit, ...]:
        """Return the best chunks by BM25, best first."""
        await asyncio.sleep(self.delay_s)
        seen = {
            stored.key: meanings(_text(stored), stored.chunk.language)
            for stored, _ in self._in(scope)
        }
        wanted = set(meanings(query, scope.language or "en"))
        return _best([Hit(key, score) for key, score in _bm25(wanted, seen).items()], k)

    async def by_vector(self, vector: Vectors, scope: Scope, k: int) -> tuple[Hit, ...]:
        """Return the nearest chunks by cosine, best first."""
        hits = [Hit(stored.key, float(own @ vector)) for stored, own in self._in(scope)]
        return _best(hits, k)

    async def chunks(self, keys: Sequence[int]) -> tuple[StoredChunk, ...]:
        """Return chunks by their keys, in that order."""
        return tuple(self._chunks[key][0] for key in keys if key in self._chunks)

    def _in(self, scope: Scope) -> list[tuple[StoredChunk, Vectors]]:
        return [
            (stored, vector)
            for stored, vector in self._chunks.values()
            if stored.document.tenant == scope.tenant
            and stored.document.space in scope.spaces
            and scope.language in (None, stored.chunk.language)
        ]

    def _keys_of(self, tenant: str, name: str) -> list[int]:
        return [
            key
            for key, (stored, _) in self._chunks.items()
            if (stored.document.tenant, stored.document.id) == (tenant, name)
        ]

    def _forget(self, tenant: str, name: str) -> None:
        self._documents.pop((tenant, name), None)
        for key in self._keys_of(tenant, name):
            del self._chunks[key]


def _text(stored: StoredChunk) -> str:
    return " ".join((stored.document.title, *stored.chunk.headings, stored.chunk.text))


def _best(hits: Sequence[Hit], k: int) -> tuple[Hit, ...]:
    """Return the first hits, best first; what does not fit at all is no hit."""
    fitting = [hit for hit in hits if hit.score > 0]
    return tuple(sorted(fitting, key=lambda hit: (-hit.score, hit.key))[:k])


def _bm25(wanted: set[str], seen: dict[int, list[str]]) -> dict[int, float]:
    mean = sum(map(len, seen.values())) / (len(seen) or 1) or 1.0
    having = Counter(word for found in seen.values() for word in set(found))
    scores = {}
    for key, found in seen.items():
        counts = Counter(found)
        scores[key] = sum(
            log(1 + (len(seen) - having[word] + 0.5) / (having[word] + 0.5))
            * counts[word]
            * (_K1 + 1)
            / (counts[word] + _K1 * (1 - _B + _B * len(found) / mean))
            for word in wanted
            if counts[word]
        )
    return scores
