"""An index in a database: what SQLite's and PostgreSQL's have in common."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy import Connection

from apps.core.ids import DEFAULT_TENANT
from apps.knowledge.index import rows
from apps.knowledge.index.base import Chunk, Document, Embedder, Hit, Scope, StoredChunk, Vectors
from apps.store.database import Database

T = TypeVar("T")

_READERS = 4
"""Threads that search: a question takes two at once, one for its words and one for its vector."""


class DatabaseIndex(ABC):
    """A ``PassageIndex`` whose truth is a database; several processes may use it at once.

    Args:
        database: Migrated; closed with the index.
        embedder: Whose vectors are searched; those of another are passed over (see ``outdated``).
    """

    def __init__(self, database: Database, embedder: Embedder) -> None:
        self._db = database
        self._embedder = embedder
        self._threads = ThreadPoolExecutor(_READERS, thread_name_prefix="index")

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

    @abstractmethod
    async def by_words(self, query: str, scope: Scope, k: int) -> tuple[Hit, ...]:
        """Return the passages that full text ranks best, best first.

        Raises:
            StoreError: The database refuses.
        """

    @abstractmethod
    async def by_vector(self, vector: Vectors, scope: Scope, k: int) -> tuple[Hit, ...]:
        """Return the passages nearest by cosine, best first; shape of the vector: (dimensions,).

        Raises:
            StoreError: The database refuses.
        """

    @abstractmethod
    async def load(self) -> int:
        """Do before the first search what would make it slow; returns how many vectors there are.

        Raises:
            StoreError: The database refuses.
        """

    async def chunks(self, keys: Sequence[int]) -> tuple[StoredChunk, ...]:
        """Return passages by their keys, in that order; those that are gone are left out.

        Raises:
            StoreError: The database refuses.
        """
        return await self._read(lambda conn: rows.chunks(conn, keys))

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
