"""The embedded index: SQLite keeps documents and finds words, memory holds the vectors.

The database is the truth. The vectors in memory are read from it at the first search, and brought
up to date at each: passages have rising keys, and what was removed is noted, so two numbers say how
far a process has read. Nothing else is kept on disk that could be stale.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy import Connection

from apps.core.ids import DEFAULT_TENANT
from apps.knowledge.index import rows, words
from apps.knowledge.index.base import (
    Chunk,
    Document,
    Embedder,
    Hit,
    Scope,
    StoredChunk,
    Vectors,
)
from apps.knowledge.index.memory import VectorMemory
from apps.store.database import Database

T = TypeVar("T")


class EmbeddedIndex:
    """Documents in one SQLite database; several processes may use it at once.

    Args:
        database: Migrated; closed with the index.
        embedder: Whose vectors are held; those of another are passed over (see ``outdated``).
    """

    def __init__(self, database: Database, embedder: Embedder) -> None:
        self._db = database
        self._embedder = embedder
        self._memory = VectorMemory(embedder.name, embedder.dimensions)
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="index")

    async def replace(self, document: Document, chunks: Sequence[Chunk], vectors: Vectors) -> None:
        """Put a document in the place of what it was before, all or nothing; durable on return.

        Raises:
            StoreError: The vectors do not fit, or the database refuses.
        """
        rows.check_vectors(chunks, vectors, self._embedder.dimensions)
        prepared = await self._in_thread(
            lambda: rows.prepare(document, chunks, vectors, self._embedder.name)
        )
        await self._db.join(rows.replace, document, prepared)

    async def touch(self, document: Document) -> None:
        """Note new facts of a document whose passages stay; one that is not there is left alone.

        Raises:
            StoreError: The database refuses.
        """
        await self._db.join(rows.touch, document)

    async def remove(self, ids: Sequence[str], *, tenant: str = DEFAULT_TENANT) -> int:
        """Take documents out of every part of the index; returns how many there were.

        Raises:
            StoreError: The database refuses.
        """
        return await self._db.run(rows.remove, list(ids), tenant)

    async def documents(
        self, *, tenant: str = DEFAULT_TENANT, space: str | None = None
    ) -> tuple[Document, ...]:
        """Return what is indexed, by id.

        Raises:
            StoreError: The database refuses.
        """
        return await self._read(lambda conn: rows.documents(conn, tenant, space))

    async def outdated(self, *, tenant: str = DEFAULT_TENANT) -> tuple[str, ...]:
        """Return the ids of documents that another embedder has embedded: replace them.

        Raises:
            StoreError: The database refuses.
        """
        return await self._read(lambda conn: rows.outdated(conn, self._embedder.name, tenant))

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

    async def chunks(self, keys: Sequence[int]) -> tuple[StoredChunk, ...]:
        """Return passages by their keys, in that order; those that are gone are left out.

        Raises:
            StoreError: The database refuses.
        """
        return await self._read(lambda conn: rows.chunks(conn, keys))

    async def load(self) -> int:
        """Read the vectors now, before the first search; returns how many there are.

        Raises:
            StoreError: The database refuses.
        """
        return await self._read(self._memory.refresh)

    async def aclose(self) -> None:
        """Let go of the threads and the database."""
        await asyncio.to_thread(self._threads.shutdown)
        await self._db.aclose()

    async def _read(self, fn: Callable[[Connection], T]) -> T:
        def read() -> T:
            with self._db.reading() as conn:
                return fn(conn)

        return await self._in_thread(read)

    async def _in_thread(self, fn: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, fn)
