"""A small index and embedder in memory, deterministic: for tests, benchmarks and demonstrations."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence

import numpy as np

from apps.core.ids import DEFAULT_TENANT
from apps.core.words import words
from apps.knowledge.index.base import Chunk, Document, Hit, Scope, StoredChunk, Vectors


class FakeEmbedder:
    """A text's vector counts its words' hashes.

    Args:
        dimensions: Of each vector.
    """

    def __init__(self, dimensions: int = 32) -> None:
        self.name, self.dimensions = f"fake-{dimensions}", dimensions

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one row of unit length a text."""
        rows = np.full((len(texts), self.dimensions), 1e-6, np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in words(text):
                row[zlib.crc32(word.encode()) % self.dimensions] += 1
        unit: Vectors = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return unit


class FakeIndex:
    """Holds everything in dictionaries, and counts words where others rank.

    Attributes:
        writes: What was done, in its order: ``replace``, ``touch`` or ``remove``, and the id.
    """

    def __init__(self) -> None:
        self.writes: list[tuple[str, str]] = []
        self._documents: dict[tuple[str, str], Document] = {}
        self._chunks: dict[int, StoredChunk] = {}
        self._vectors: dict[int, Vectors] = {}
        self._last_key = 0

    async def replace(self, document: Document, chunks: Sequence[Chunk], vectors: Vectors) -> None:
        """Put a document in the place of what it was before."""
        self._forget(document.tenant, document.id)
        self._documents[document.tenant, document.id] = document
        for chunk, vector in zip(chunks, vectors, strict=True):
            self._last_key += 1
            self._chunks[self._last_key] = StoredChunk(self._last_key, chunk, document)
            self._vectors[self._last_key] = vector
        self.writes.append(("replace", document.id))

    async def touch(self, document: Document) -> None:
        """Note new facts of a document whose chunks stay."""
        if (document.tenant, document.id) in self._documents:
            self._documents[document.tenant, document.id] = document
            self.writes.append(("touch", document.id))

    async def remove(self, ids: Sequence[str], *, tenant: str = DEFAULT_TENANT) -> int:
        """Take documents out; returns how many there were."""
        gone = [one for one in ids if (tenant, one) in self._documents]
        for one in gone:
            self._forget(tenant, one)
            self.writes.append(("remove", one))
        return len(gone)

    async def documents(
        self, *, tenant: str = DEFAULT_TENANT, space: str | None = None
    ) -> tuple[Document, ...]:
        """Return what is indexed, by id."""
        found = (d for d in self._documents.values() if d.tenant == tenant)
        return tuple(sorted((d for d in found if space in (None, d.space)), key=lambda d: d.id))

    async def by_words(self, query: str, scope: Scope, k: int) -> tuple[Hit, ...]:
        """Return the chunks with most of a query's words, best first."""
        wanted = set(words(query))
        hits = (
            Hit(key, float(len(wanted & set(words(stored.chunk.text)))))
            for key, stored in self._visible(scope)
        )
        return _best((hit for hit in hits if hit.score > 0), k)

    async def by_vector(self, vector: Vectors, scope: Scope, k: int) -> tuple[Hit, ...]:
        """Return the chunks nearest by cosine, best first."""
        hits = (Hit(key, float(self._vectors[key] @ vector)) for key, _ in self._visible(scope))
        return _best(hits, k)

    async def chunks(self, keys: Sequence[int]) -> tuple[StoredChunk, ...]:
        """Return chunks by their keys."""
        return tuple(self._chunks[key] for key in keys if key in self._chunks)

    def _visible(self, scope: Scope) -> list[tuple[int, StoredChunk]]:
        return [
            (key, stored)
            for key, stored in self._chunks.items()
            if stored.document.tenant == scope.tenant
            and stored.document.space in scope.spaces
            and scope.language in (None, stored.chunk.language)
        ]

    def _forget(self, tenant: str, document_id: str) -> None:
        self._documents.pop((tenant, document_id), None)
        for key, stored in list(self._chunks.items()):
            if (stored.document.tenant, stored.document.id) == (tenant, document_id):
                del self._chunks[key], self._vectors[key]


def _best(hits: Iterable[Hit], k: int) -> tuple[Hit, ...]:
    return tuple(sorted(hits, key=lambda hit: (-hit.score, hit.key))[:k])
