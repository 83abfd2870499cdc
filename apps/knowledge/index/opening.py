"""Opens the index that fits the database."""

from __future__ import annotations

from pathlib import Path

from apps.knowledge.index.base import Embedder
from apps.knowledge.index.database import DatabaseIndex
from apps.knowledge.index.embedded import EmbeddedIndex
from apps.knowledge.index.pgvector import PgVectorIndex
from apps.store.database import open_database


def open_index(where: Path | str, embedder: Embedder) -> DatabaseIndex:
    """Return the index in a database: a file's is embedded, PostgreSQL's is by pgvector.

    Blocks for as long as the migrations take.

    Args:
        where: A file (SQLite) or a URL, as ``open_database`` takes it.
        embedder: Makes the vectors of passages and questions.

    Raises:
        ConfigError: The URL is none, or of a database that TOM does not know.
        StoreError: It cannot be opened, or PostgreSQL has no pgvector.
    """
    database = open_database(where)
    if database.is_sqlite:
        return EmbeddedIndex(database, embedder)
    try:
        return PgVectorIndex(database, embedder)
    except BaseException:
        database.close()
        raise
