"""The graph in the knowledge database, SQLite's or PostgreSQL's: nodes, edges, and their search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from sqlalchemy import Connection

from apps.knowledge.graph import rows
from apps.knowledge.graph.base import (
    Edge,
    EdgeType,
    Neighbour,
    Node,
    NodeHit,
    NodeType,
    Part,
    check,
    node_id,
)
from apps.knowledge.index.base import Scope, Vectors
from apps.store.database import Database

_Held = tuple[tuple[int, int], list[Node], Vectors]


class GraphDatabase:
    """Nodes and edges in one database; several processes may use it at once.

    The vectors of the types that are searched are held in memory, and read again when a node has
    come or gone: a call searches objections, of which there are few.

    Args:
        database: Migrated; closed by whoever opened it.
        model: The embedder's name: nodes that another one embedded are not found.
    """

    def __init__(self, database: Database, model: str) -> None:
        self._db, self._model = database, model
        self._held: dict[tuple[str, tuple[NodeType, ...]], _Held] = {}

    async def replace(
        self, source: str, part: Part, vectors: Vectors, tenant: str, digest: str = ""
    ) -> None:
        """Put what a source gives in the place of what it gave before; an empty part removes it.

        Args:
            source: What gives it.
            part: Its nodes and edges.
            vectors: One row a node.
            tenant: Whose it is.
            digest: Of the source, so that it is known when it has changed.

        Raises:
            StoreError: The database refuses.
            ValueError: An edge relates what it must not.
        """
        check(part)
        await self._db.run(rows.replace, source, part, vectors, self._model, tenant, digest)

    async def connect(self, source: str, edges: Sequence[Edge], tenant: str) -> None:
        """Add edges between nodes of any source; they go with their nodes."""
        await self._db.run(rows.connect, source, edges, tenant)

    async def search(
        self, vector: Vectors, types: Sequence[NodeType], scope: Scope, k: int
    ) -> tuple[NodeHit, ...]:
        """Return the nodes of some types nearest by cosine, best first; exact.

        A node without a space or a language is found in all of them.
        """
        return await self._db.query(self._search, vector, tuple(types), scope, k)

    def _search(
        self, conn: Connection, vector: Vectors, types: tuple[NodeType, ...], scope: Scope, k: int
    ) -> tuple[NodeHit, ...]:
        nodes, vectors = self._vectors(conn, types, scope.tenant)
        if not nodes:
            return ()
        scores = vectors @ vector
        hits = [
            NodeHit(nodes[i], float(scores[i]))
            for i in np.argsort(-scores, kind="stable").tolist()
            if nodes[i].space in ("", *scope.spaces)
            and (scope.language is None or nodes[i].language in (None, scope.language))
        ]
        return tuple(hits[:k])

    def _vectors(
        self, conn: Connection, types: tuple[NodeType, ...], tenant: str
    ) -> tuple[list[Node], Vectors]:
        # No lock: queries of one event loop take turns at each statement, and one that waited for
        # another's lock would wait for ever. Two that find it stale read it twice, and no harm.
        now = rows.version(conn)
        held = self._held.get((tenant, types))
        if held is None or held[0] != now:
            held = (now, *rows.vectors(conn, types, self._model, tenant))
            self._held[(tenant, types)] = held
        return held[1], held[2]

    async def neighbours(
        self, ids: Sequence[str], tenant: str, types: Sequence[EdgeType] = tuple(EdgeType)
    ) -> Mapping[str, tuple[Neighbour, ...]]:
        """Return what stands beside nodes, by their ids, the heaviest first."""
        return await self._db.query(rows.neighbours, list(ids), list(types), tenant)

    async def of_passages(self, passages: Sequence[str], scope: Scope) -> tuple[Node, ...]:
        """Return the nodes that stand for passages: entries', and the last headings' of pieces."""
        return await self._db.query(_of_passages, list(passages), scope)

    async def nodes(
        self, tenant: str, types: Sequence[NodeType] = tuple(NodeType), limit: int = 1000
    ) -> tuple[Node, ...]:
        """Return nodes by type and name."""
        return await self._db.query(rows.nodes, list(types), tenant, limit)

    async def digests(self, tenant: str) -> dict[str, str]:
        """Return the documents in the graph, each with its digest."""
        return await self._db.query(rows.digests, tenant)

    async def sources(self, tenant: str) -> frozenset[str]:
        """Return what the graph was made from."""
        return await self._db.query(rows.sources, tenant)


def _of_passages(conn: Connection, passages: Sequence[str], scope: Scope) -> tuple[Node, ...]:
    tenant = scope.tenant
    pieces = [_piece(passage) for passage in passages if "#" in passage]
    wanted = [
        node_id(tenant, NodeType.CONCEPT, document, *headings)
        if headings
        else node_id(tenant, NodeType.DOCUMENT, document)
        for document, headings in rows.headings_of(conn, pieces, tenant)
    ]
    wanted += [
        node_id(tenant, NodeType.CONCEPT, f"entries:{space}:{scope.language}", passage)
        for passage in passages
        if "#" not in passage
        for space in scope.spaces
    ]
    return rows.by_ids(conn, wanted, tenant)


def _piece(passage: str) -> tuple[str, int]:
    document, _, position = passage.rpartition("#")
    return document, int(position) if position.isdigit() else -1
