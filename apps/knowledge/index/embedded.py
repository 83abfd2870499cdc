"""The embedded index: SQLite keeps documents and finds words, memory holds the vectors.

The database is the truth. The vectors in memory are read from it at the start, and brought up to
date at each search: passages have rising keys, and what was removed is noted, so two numbers say
how far a process has read. Nothing else is kept on disk that could be stale.
"""

from __future__ import annotations

from apps.knowledge.index import words
from apps.knowledge.index.base import Embedder, Hit, Scope, Vectors
from apps.knowledge.index.database import DatabaseIndex
from apps.knowledge.index.memory import VectorMemory
from apps.store.database import Database


class EmbeddedIndex(DatabaseIndex):
    """Documents in one SQLite database."""

    def __init__(self, database: Database, embedder: Embedder) -> None:
        super().__init__(database, embedder)
        self._memory = VectorMemory(embedder.name, embedder.dimensions)

    async def by_words(self, query: str, scope: Scope, k: int) -> tuple[Hit, ...]:
        """Return the passages that BM25 ranks best, best first.

        Raises:
            StoreError: The database refuses.
        """
        return await self._read(lambda conn: words.search(conn, query, scope, k))

    async def by_vector(self, vector: Vectors, scope: Scope, k: int) -> tuple[Hit, ...]:
        """Return the passages nearest by cosine, best first; shape of the vector: (dimensions,).

        Raises:
            StoreError: The database refuses.
        """
        return await self._read(lambda conn: self._memory.search(conn, vector, scope, k))

    async def load(self) -> int:
        """Read the vectors now, before the first search; returns how many there are.

        Raises:
            StoreError: The database refuses.
        """
        return await self._read(self._memory.refresh)
