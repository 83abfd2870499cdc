"""pgvector in a database of TOM's: the extension, the vectors' columns, and their HNSW index."""

from __future__ import annotations

import hashlib
import re

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from apps.core.errors import StoreError

_log = structlog.get_logger(__name__)

OLDEST = (0, 8)
"""The first that goes on searching (iterative scan) where a filter leaves too few."""
MOST_DIMENSIONS = 4000
"""Of an HNSW index over 16-bit floats."""

M, EF_CONSTRUCTION = 32, 128
"""Twice pgvector's own: vectors without weights form few groups, which costs HNSW recall."""
_COLUMN = (
    "SELECT 1 FROM pg_attribute WHERE attrelid = to_regclass('{table}')"
    " AND attname = 'embedding' AND NOT attisdropped"
)
_VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('{name}')"
_PLAIN = re.compile(r"[\w./+-]+", re.ASCII)
_TABLES = ("kb_chunks", "knowledge_graph_nodes")
_HINT = (
    "Install pgvector 0.8 or newer on the server (Debian: postgresql-NN-pgvector), let its"
    " administrator run CREATE EXTENSION vector in TOM's database, or keep documents in a file:"
    " docs/index-stores.md."
)


def ensure(conn: Connection) -> None:
    """Make sure of the extension and of the columns that hold vectors.

    The migrations make both where they can; a server that had no pgvector then may have it now.

    Raises:
        StoreError: The server has none, an older one, or this user may not create it.
    """
    version = _version(conn)
    if version is None:
        try:
            with conn.begin_nested():
                conn.exec_driver_sql("CREATE EXTENSION IF NOT EXISTS vector")
        except SQLAlchemyError as error:
            raise StoreError("The PostgreSQL server has no pgvector.", hint=_HINT) from error
        version = _version(conn)
    if version is None or version < OLDEST:
        raise StoreError("The PostgreSQL server's pgvector is too old.", hint=_HINT)
    for table in _TABLES:
        # Asked first: to alter a table, were it for nothing, waits for a long index build.
        if conn.exec_driver_sql(_COLUMN.format(table=table)).first() is None:
            conn.exec_driver_sql(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS embedding vector")


def index_vectors(conn: Connection, model: str, dimensions: int) -> bool:
    """Make the HNSW index over one embedder's vectors of passages, where it is not there yet.

    It holds 16-bit floats, which halves it; docs/index-stores.md has what that costs. The graph's
    vectors need none: they are searched in memory. Meanwhile others read and write as always.

    Args:
        conn: Outside a transaction (``Database.maintaining``); its session ends soon.
        model: The embedder's name.
        dimensions: Of its vectors.

    Returns:
        Whether it is there now; False while another process makes it.

    Raises:
        StoreError: There are more dimensions than pgvector indexes.
    """
    if dimensions > MOST_DIMENSIONS:
        raise StoreError(
            f"pgvector indexes at most {MOST_DIMENSIONS} dimensions, not {dimensions}.",
            hint="Choose an embedder of fewer.",
        )
    name = _index_name(model)
    if not conn.exec_driver_sql(f"SELECT pg_try_advisory_lock(hashtext('{name}'))").scalar():
        return False
    valid = conn.exec_driver_sql(_VALID.format(name=name)).scalar()
    if valid:
        return True
    _log.info("vector_index_begun", index=name, hint="This takes minutes, once.")
    # It waits for whoever reads or writes now, and takes what it takes.
    conn.exec_driver_sql("SET lock_timeout = 0; SET statement_timeout = 0")
    conn.exec_driver_sql(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")  # what a kill has left
    conn.exec_driver_sql(
        f"CREATE INDEX CONCURRENTLY {name} ON kb_chunks USING hnsw"
        f" ({cast(dimensions)} halfvec_cosine_ops)"
        f" WITH (m = {M}, ef_construction = {EF_CONSTRUCTION}) WHERE {of_model(model)}"
    )
    return True


def cast(dimensions: int) -> str:
    """Return the expression that is indexed: a query must order by the same."""
    return f"(embedding::halfvec({dimensions}))"


def of_model(model: str) -> str:
    """Return the condition of the index: a query must have the same, as written here.

    Raises:
        StoreError: The name cannot stand in a statement.
    """
    if not _PLAIN.fullmatch(model):
        raise StoreError(
            "The embedder's name has characters that an index cannot be named by.",
            hint="Letters, digits and ./+_- can.",
        )
    return f"model = '{model}'"


def _index_name(model: str) -> str:
    return f"hnsw_kb_chunks_{hashlib.sha256(model.encode()).hexdigest()[:12]}"


def _version(conn: Connection) -> tuple[int, ...] | None:
    asked = "SELECT extversion FROM pg_extension WHERE extname = 'vector'"
    found = conn.exec_driver_sql(asked).scalar()
    return None if found is None else tuple(int(part) for part in str(found).split(".")[:2])
