"""The tables of what TOM knows: documents and their passages, the graph, and what was looked up.

They are migrated with all others. On PostgreSQL they stand beside them; on SQLite the documents and
the graph are kept in a file of their own (docs/index-stores.md), which can be built anew.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from apps.store.schema import JSON_VALUE, NAME, REF, SEQ, UtcDateTime, metadata, seq, tenant
from apps.store.vector_types import Embedding, Terms

LANGUAGE = String(8)


def beside_alembic(name: str | None, type_: str, parent_names: Any = None) -> bool:
    """Tell whether alembic compares this with the tables of the code.

    It knows neither FTS5's tables nor the indexes that only pgvector or only ``tsvector`` has.
    """
    del parent_names
    name = name or ""
    return not (
        (type_ == "table" and name.startswith("kb_words"))
        or (type_ == "index" and name.startswith(("hnsw_", "gin_")))
    )


def _vector() -> tuple[Column[Any], Column[Any]]:
    """A vector, and the name of the embedder that made it."""
    return Column("model", NAME, nullable=True), Column("embedding", Embedding, nullable=True)


kb_documents = Table(
    "kb_documents",
    metadata,
    seq(),
    tenant(),
    Column("document_id", Text, nullable=False),
    Column("space", NAME, nullable=False),
    Column("title", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("media_type", NAME, nullable=False),
    Column("language", LANGUAGE, nullable=False),
    Column("sha256", REF, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("quality", Float, nullable=False),
    Column("recipe", NAME, nullable=False, server_default=""),
    Column("chunks", Integer, nullable=False),
    Column("at_hour", UtcDateTime, nullable=False),
    UniqueConstraint("tenant", "document_id"),
    Index(None, "tenant", "space"),
    sqlite_autoincrement=True,
)

kb_chunks = Table(
    "kb_chunks",
    metadata,
    Column("key", SEQ, primary_key=True, autoincrement=True),
    Column(
        "document_seq",
        SEQ,
        ForeignKey("kb_documents.seq", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    tenant(),
    Column("space", NAME, nullable=False),
    Column("language", LANGUAGE, nullable=False),
    Column("position", Integer, nullable=False),
    Column("text", Text, nullable=False),
    Column("headings", JSON_VALUE, nullable=False),
    Column("page", Integer, nullable=True),
    Column("scope", Text, nullable=False),
    Column("words", Terms, nullable=False),
    *_vector(),
    sqlite_autoincrement=True,
)

kb_removed = Table(
    "kb_removed",
    metadata,
    seq(),
    Column("first_key", BigInteger, nullable=False),
    Column("last_key", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)
"""Passages that went, a row a document: what other processes hold in memory is brought up to date
by it."""

knowledge_graph_nodes = Table(
    "knowledge_graph_nodes",
    metadata,
    seq(),
    tenant(),
    Column("node_id", REF, nullable=False),
    Column("node_type", NAME, nullable=False),
    Column("name", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("language", LANGUAGE, nullable=True),
    Column("space", NAME, nullable=True),
    Column("source", Text, nullable=False),
    Column("data", JSON_VALUE, nullable=False, server_default="{}"),
    *_vector(),
    Column("at_hour", UtcDateTime, nullable=False),
    UniqueConstraint("tenant", "node_id"),
    Index(None, "tenant", "node_type"),
    Index(None, "tenant", "source"),
    sqlite_autoincrement=True,
)

knowledge_graph_edges = Table(
    "knowledge_graph_edges",
    metadata,
    seq(),
    tenant(),
    Column("edge_type", NAME, nullable=False),
    Column(
        "from_seq",
        SEQ,
        ForeignKey("knowledge_graph_nodes.seq", ondelete="CASCADE"),
        nullable=False,
    ),
    Column(
        "to_seq",
        SEQ,
        ForeignKey("knowledge_graph_nodes.seq", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    Column("weight", Float, nullable=False),
    Column("source", Text, nullable=False),
    Column("at_hour", UtcDateTime, nullable=False),
    UniqueConstraint("from_seq", "edge_type", "to_seq"),
    Index(None, "tenant", "source"),
    sqlite_autoincrement=True,
)

rag_retrieval_log = Table(
    "rag_retrieval_log",
    metadata,
    seq(),
    tenant(),
    Column("call_ref", REF, nullable=True, index=True),
    Column("turn_id", Integer, nullable=True),
    Column("profile", NAME, nullable=False),
    Column("language", LANGUAGE, nullable=False),
    Column("spaces", JSON_VALUE, nullable=False),
    Column("query_hash", REF, nullable=False),
    Column("candidates", JSON_VALUE, nullable=False),
    Column("stages_ms", JSON_VALUE, nullable=False),
    Column("found", Integer, nullable=False),
    Column("deadline_hit", Boolean, nullable=False),
    Column("at_hour", UtcDateTime, nullable=False, index=True),
    sqlite_autoincrement=True,
)

global_insights = Table(
    "global_insights",
    metadata,
    seq(),
    tenant(),
    Column("insight_id", REF, nullable=False),
    Column("action", String(16), nullable=False),
    Column("language", LANGUAGE, nullable=False),
    Column("space", NAME, nullable=False),
    Column("objection", Text, nullable=False),
    Column("phrases", JSON_VALUE, nullable=False),
    Column("strategy", Text, nullable=False),
    Column("persona", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("at_hour", UtcDateTime, nullable=False),
    Index(None, "tenant", "insight_id"),
    sqlite_autoincrement=True,
)
"""What was learned about objections, append-only: proposed, then approved or withdrawn."""
