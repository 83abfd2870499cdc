"""The index on PostgreSQL: full text by its GIN index, vectors by pgvector's HNSW."""

from __future__ import annotations

import numpy as np
from sqlalchemy import Connection, text

from apps.knowledge.index.base import Embedder, Hit, Scope, Vectors
from apps.knowledge.index.database import DatabaseIndex
from apps.knowledge.index.pgwords import PgWords
from apps.store import pgvector
from apps.store.database import Database
from apps.store.vector_types import as_pgvector

EF_SEARCH = 200
"""Nodes that HNSW keeps in view: docs/index-stores.md has recall and time by it."""


class PgVectorIndex(DatabaseIndex):
    """Documents in one PostgreSQL database.

    Raises:
        StoreError: The server has no pgvector, or an older one.
    """

    def __init__(self, database: Database, embedder: Embedder) -> None:
        super().__init__(database, embedder)
        self._words = PgWords()
        self._nearest = text(  # the name and the number are checked, and no value is in it
            _NEAREST.format(
                distance=f"{pgvector.cast(embedder.dimensions)} <=> CAST(:vector AS halfvec)",
                model=pgvector.of_model(embedder.name),
            )
        )
        with database.transaction() as conn:
            pgvector.ensure(conn)
            pgvector.index_vectors(conn, embedder.name, embedder.dimensions)

    async def by_words(self, query: str, scope: Scope, k: int) -> tuple[Hit, ...]:
        """Return the passages that full text search ranks best, best first.

        Raises:
            StoreError: The database refuses.
        """
        return await self._read(lambda conn: self._words.search(conn, query, scope, k))

    async def by_vector(self, vector: Vectors, scope: Scope, k: int) -> tuple[Hit, ...]:
        """Return the passages nearest by cosine, best first; shape of the vector: (dimensions,).

        Raises:
            StoreError: The database refuses.
        """
        return await self._read(lambda conn: self._search(conn, vector, scope, k))

    async def load(self) -> int:
        """Return how many passages there are; the server itself holds them."""
        return await self._read(lambda conn: int(conn.execute(_COUNT).scalar_one()))

    def _search(self, conn: Connection, vector: Vectors, scope: Scope, k: int) -> tuple[Hit, ...]:
        if not scope.spaces or not np.any(vector):
            return ()
        # Where a filter leaves too few of those in view, HNSW looks further until there are k.
        conn.execute(_SETTINGS, {"ef": str(min(1000, max(EF_SEARCH, 2 * k)))})
        values = {
            "vector": as_pgvector(vector),
            "tenant": scope.tenant,
            "spaces": list(scope.spaces),
            "language": scope.language,
            "k": k,
        }
        return tuple(Hit(key, score) for key, score in conn.execute(self._nearest, values))


_NEAREST = """
SELECT key, 1 - distance FROM (
    SELECT key, {distance} AS distance FROM kb_chunks
    WHERE {model} AND tenant = :tenant AND space = ANY(:spaces)
    AND (CAST(:language AS text) IS NULL OR language = :language)
    ORDER BY distance LIMIT :k
) AS found ORDER BY distance, key
"""
_SETTINGS = text(
    "SELECT set_config('hnsw.ef_search', :ef, true),"
    " set_config('hnsw.iterative_scan', 'relaxed_order', true)"
)
_COUNT = text("SELECT count(*) FROM kb_chunks")
