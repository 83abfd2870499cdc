"""The index on PostgreSQL: full text by its GIN index, vectors in memory or by pgvector's HNSW.

HNSW finds less the less the vectors form groups: of vectors without weights, 0.70 of the ten
nearest at 20,000 passages with 200 nodes in view, and 0.94 with 1,000 (docs/adr/0020). So a
collection that fits into memory is searched exactly, as the embedded one is.
"""

from __future__ import annotations

import numpy as np
import structlog
from sqlalchemy import Connection, text

from apps.core.errors import StoreError
from apps.knowledge.index.base import Embedder, Hit, Scope, Vectors
from apps.knowledge.index.database import DatabaseIndex
from apps.knowledge.index.memory import VectorMemory
from apps.knowledge.index.pgwords import PgWords
from apps.store import pgvector
from apps.store.database import Database
from apps.store.vector_types import as_pgvector

_log = structlog.get_logger(__name__)

EXACT_UP_TO = 200_000
"""Passages of an index whose vectors are held in memory: 1.5 kB each with 384 dimensions."""
EF_SEARCH = 400
"""Nodes that HNSW keeps in view: docs/index-stores.md has recall and time by it."""


class PgVectorIndex(DatabaseIndex):
    """Documents in one PostgreSQL database.

    Args:
        database: Migrated; closed with the index.
        embedder: Whose vectors are searched.
        exact_up_to: An index that has more passages when it is opened is searched by HNSW, which
            the first such opening makes: that takes minutes, in which others search exactly.

    Raises:
        StoreError: The server has no pgvector, or an older one.
    """

    def __init__(
        self, database: Database, embedder: Embedder, *, exact_up_to: int = EXACT_UP_TO
    ) -> None:
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
            exact = int(conn.execute(_COUNT).scalar_one()) <= exact_up_to
        if not exact:
            # Kept up beside exact search, the index would make storing ten times slower.
            exact = not _indexed(database, embedder)
        self._memory = VectorMemory(embedder.name, embedder.dimensions) if exact else None

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
        memory = self._memory
        search = self._search if memory is None else memory.search
        return await self._read(lambda conn: search(conn, vector, scope, k))

    async def load(self) -> int:
        """Read the vectors now, where memory holds them; returns how many passages there are."""
        if self._memory is not None:
            return await self._read(self._memory.refresh)
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


def _indexed(database: Database, embedder: Embedder) -> bool:
    """Return whether HNSW can be searched; where it cannot be made, exact search goes on."""
    try:
        with database.maintaining() as conn:
            return pgvector.index_vectors(conn, embedder.name, embedder.dimensions)
    except StoreError as error:
        _log.warning("vector_index_failed", code=error.code, reason=error.message)
        return False


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
