"""Feeds the graph: from the documents of an index, from entries, and from approved insights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import Connection, select

from apps.knowledge.entries import Entry
from apps.knowledge.graph.base import Edge, EdgeType, NodeType, Part
from apps.knowledge.graph.build import of_document, of_entries, of_insight
from apps.knowledge.graph.store import GraphDatabase
from apps.knowledge.index.base import Chunk, Document, Embedder, Scope, Vectors
from apps.store.database import Database
from apps.store.insights import Insight
from apps.store.knowledge_tables import kb_chunks, kb_documents

ALIKE_FROM = 0.45
"""Cosine from which on two concepts are similar; docs/knowledge-graph.md has what it finds."""
MOST_ALIKE = 5
_AT_ONCE = 200
"""Documents between two looks for what is alike, for each look reads every concept's vector."""
_NO_VECTORS = np.zeros((0, 1), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Fed:
    """What one feeding changed: sources put in, sources taken out, and edges of similarity."""

    put: int = 0
    removed: int = 0
    similar: int = 0


class Feeder:
    """Brings the graph to what is known.

    Args:
        store: The graph.
        embedder: Makes its vectors.
        database: Where the index keeps its documents.
    """

    def __init__(self, store: GraphDatabase, embedder: Embedder, database: Database) -> None:
        self._store, self._embedder, self._db = store, embedder, database

    async def documents(self, tenant: str, told: Callable[[int, int], None] | None = None) -> Fed:
        """Take in documents that are new or changed, and take out those that are gone.

        Args:
            tenant: Whose.
            told: Told how many of how many are done; may be None.
        """
        known = await self._store.digests(tenant)
        there = await self._db.query(_documents, tenant)
        gone = [source for source in known if source not in there and ":" not in source]
        for source in gone:
            await self._nodes(source, Part(), tenant)
        new = [document for name, document in there.items() if known.get(name) != document.sha256]
        similar = 0
        for start in range(0, len(new), _AT_ONCE):
            similar += await self._take_in(new[start : start + _AT_ONCE], tenant)
            if told is not None:
                told(min(start + _AT_ONCE, len(new)), len(new))
        return Fed(len(new), len(gone), similar)

    async def _take_in(self, documents: Sequence[Document], tenant: str) -> int:
        """Put some documents in, then look once for what is like their concepts."""
        parts = []
        for document in documents:
            chunks = await self._db.query(_chunks, document.id, tenant)
            part = of_document(document, chunks)
            parts.append(
                (document.id, part, await self._nodes(document.id, part, tenant, document))
            )
        return sum([await self._liken(*one, tenant) for one in parts])

    async def entries(
        self, profile: str, language: str, entries: Sequence[Entry], tenant: str
    ) -> Fed:
        """Take in a profile's entries in one language."""
        part = of_entries(profile, language, entries, tenant)
        source = f"entries:{profile}:{language}"
        vectors = await self._nodes(source, part, tenant)
        return Fed(1, 0, await self._liken(source, part, vectors, tenant))

    async def insights(self, approved: Iterable[Insight], tenant: str) -> Fed:
        """Bring the graph to the approved insights: others leave it."""
        wanted = {f"insight:{insight.id}": insight for insight in approved}
        known = await self._store.sources(tenant)
        gone = [s for s in known if s.startswith("insight:") and s not in wanted]
        for source in gone:
            await self._nodes(source, Part(), tenant)
        new = [source for source in wanted if source not in known]
        for source in new:
            await self._nodes(source, of_insight(wanted[source]), tenant)
        return Fed(len(new), len(gone))

    async def _nodes(
        self, source: str, part: Part, tenant: str, document: Document | None = None
    ) -> Vectors:
        texts = [f"{node.name} {node.text}".strip() for node in part.nodes]
        vectors = await self._embedder.embed(texts) if texts else _NO_VECTORS
        digest = "" if document is None else document.sha256
        await self._store.replace(source, part, vectors, tenant, digest)
        return vectors

    async def _liken(self, source: str, part: Part, vectors: Vectors, tenant: str) -> int:
        edges = await self._alike(part, vectors, tenant)
        await self._store.connect(source, edges, tenant)
        return len(edges)

    async def _alike(self, part: Part, vectors: Vectors, tenant: str) -> list[Edge]:
        """Return edges to the few nearest concepts: a new one is compared, all others are not."""
        edges = []
        for node, vector in zip(part.nodes, vectors, strict=True):
            if node.type is not NodeType.CONCEPT:
                continue
            scope = Scope((node.space,), node.language, tenant)
            hits = await self._store.search(vector, (NodeType.CONCEPT,), scope, MOST_ALIKE + 1)
            edges += [
                Edge(EdgeType.SIMILAR_TO, node.id, hit.node.id, round(min(1.0, hit.score), 4))
                for hit in hits
                if hit.node.id != node.id and hit.score >= ALIKE_FROM
            ][:MOST_ALIKE]
        return edges


def _documents(conn: Connection, tenant: str) -> dict[str, Document]:
    table = kb_documents.c
    rows = conn.execute(select(kb_documents).where(table.tenant == tenant))
    return {
        row.document_id: Document(
            row.document_id,
            row.space,
            row.title,
            row.source,
            row.media_type,
            row.language,
            row.sha256,
            row.size,
            row.mtime_ns,
            row.quality,
            row.tenant,
        )
        for row in rows
    }


def _chunks(conn: Connection, document_id: str, tenant: str) -> list[Chunk]:
    table = kb_chunks.c
    rows = conn.execute(
        select(table.position, table.text, table.headings, table.page, table.language)
        .join(kb_documents)
        .where(kb_documents.c.tenant == tenant, kb_documents.c.document_id == document_id)
        .order_by(table.position)
    )
    return [
        Chunk(row.position, row.text, tuple(row.headings), row.page, row.language) for row in rows
    ]
