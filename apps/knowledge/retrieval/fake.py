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
        """Return one row of unit length a text."""
        await asyncio.sleep(self.delay_s)
        rows = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            for piece in content_pieces(text, self._language):
                row[crc32(piece.encode()) % self.dimensions] += 1
            row /= float(np.linalg.norm(row)) or 1.0
        return rows


class FakeIndex:
    """All pieces in a list, searched from one end to the other.

    Args:
        delay_s: Each search by words takes so long.
    """

    def __init__(self, delay_s: float = 0.0) -> None:
        self.delay_s = delay_s
        self._documents: dict[tuple[str, str], Document] = {}
        self._pieces: dict[int, tuple[StoredChunk, Vectors]] = {}
        self._next = 1

    async def replace(self, document: Document, chunks: Sequence[Chunk], vectors: Vectors) -> None:
        """Put a document in the place of what it was before."""
        await self.remove([document.id], tenant=document.tenant)
        self._documents[(document.tenant, document.id)] = document
        for chunk, vector in zip(chunks, vectors, strict=True):
            self._pieces[self._next] = (StoredChunk(self._next, chunk, document), vector)
            self._next += 1

    async def touch(self, document: Document) -> None:
        """Note new facts of a document whose pieces stay."""
        if (document.tenant, document.id) in self._documents:
            self._documents[(document.tenant, document.id)] = document
            self._pieces = {
                key: (replace(stored, document=document), vector)
                if (stored.document.tenant, stored.document.id) == (document.tenant, document.id)
                else (stored, vector)
                for key, (stored, vector) in self._pieces.items()
            }

    async def remove(self, ids: Sequence[str], *, tenant: str = DEFAULT_TENANT) -> int:
        """Take documents out; returns how many there were."""
        gone = [known for name in ids if (known := self._documents.pop((tenant, name), None))]
        names = {document.id for document in gone}
        self._pieces = {
            key: piece
            for key, piece in self._pieces.items()
            if piece[0].document.tenant != tenant or piece[0].document.id not in names
        }
        return len(gone)

    async def documents(
        self, *, tenant: str = DEFAULT_TENANT, space: str | None = None
    ) -> tuple[Document, ...]:
        """Return what is indexed, by id."""
        known = sorted(self._documents.values(), key=lambda document: document.id)
        return tuple(d for d in known if d.tenant == tenant and space in (None, d.space))

    async def by_words(self, query: str, scope: Scope, k: int) -> tuple[Hit, ...]:
        """Return the best pieces by BM25, best first."""
        await asyncio.sleep(self.delay_s)
        seen = {
            stored.key: meanings(_text(stored), stored.chunk.language)
            for stored, _ in self._in(scope)
        }
        wanted = set(meanings(query, scope.language or "en"))
        scores = _bm25(wanted, seen)
        return _best([Hit(key, score) for key, score in scores.items() if score > 0], k)

    async def by_vector(self, vector: Vectors, scope: Scope, k: int) -> tuple[Hit, ...]:
        """Return the nearest pieces by cosine, best first."""
        found = [Hit(stored.key, float(own @ vector)) for stored, own in self._in(scope)]
        return _best([hit for hit in found if hit.score > 0], k)

    async def chunks(self, keys: Sequence[int]) -> tuple[StoredChunk, ...]:
        """Return pieces by their keys, in that order."""
        return tuple(self._pieces[key][0] for key in keys if key in self._pieces)

    def _in(self, scope: Scope) -> list[tuple[StoredChunk, Vectors]]:
        return [
            (stored, vector)
            for stored, vector in self._pieces.values()
            if stored.document.tenant == scope.tenant
            and stored.document.space in scope.spaces
            and scope.language in (None, stored.chunk.language)
        ]


def _text(stored: StoredChunk) -> str:
    return " ".join((stored.document.title, *stored.chunk.headings, stored.chunk.text))


def _best(hits: Sequence[Hit], k: int) -> tuple[Hit, ...]:
    return tuple(sorted(hits, key=lambda hit: -hit.score)[:k])


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
