"""Nodes and edges as rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection, delete, func, insert, or_, select

from apps.core.clock import utc_hour, utc_now
from apps.knowledge.graph.base import Edge, EdgeType, Neighbour, Node, NodeType, Part
from apps.knowledge.index.base import Vectors
from apps.store.knowledge_tables import (
    kb_chunks,
    kb_documents,
    knowledge_graph_edges,
    knowledge_graph_nodes,
)

_AT_ONCE = 500
"""Rows of one statement: both databases bound how many parameters it may have."""
_MOST_NEIGHBOURS = 64

_node = knowledge_graph_nodes.c
_edge = knowledge_graph_edges.c
_COLUMNS = (
    _node.seq,
    _node.node_id,
    _node.node_type,
    _node.name,
    _node.text,
    _node.source,
    _node.space,
    _node.language,
    _node.data,
    _node.tenant,
)


def replace(
    conn: Connection,
    source: str,
    part: Part,
    vectors: Vectors,
    model: str,
    tenant: str,
    digest: str,
) -> None:
    """Put what a source gives in the place of what it gave before."""
    conn.execute(
        delete(knowledge_graph_nodes).where(_node.tenant == tenant, _node.source == source)
    )
    rows = [
        {
            "tenant": tenant,
            "node_id": node.id,
            "node_type": node.type.value,
            "name": node.name,
            "text": node.text,
            "language": node.language,
            "space": node.space,
            "source": source,
            "data": {"passages": list(node.passages), "digest": digest},
            "model": model,
            "embedding": vector,
            "at_hour": utc_hour(utc_now()),
        }
        for node, vector in zip(part.nodes, vectors, strict=True)
    ]
    if rows:
        conn.execute(insert(knowledge_graph_nodes).inline(), rows)
    connect(conn, source, part.edges, tenant)


def connect(conn: Connection, source: str, edges: Sequence[Edge], tenant: str) -> None:
    """Add edges whose nodes are there, in the place of those that were the same."""
    seqs = _seqs(conn, {i for edge in edges for i in (edge.start, edge.end)}, tenant)
    rows = {
        (seqs[edge.start], edge.type.value, seqs[edge.end]): edge.weight
        for edge in edges
        if edge.start in seqs and edge.end in seqs
    }
    for start, kind, end in rows:
        conn.execute(
            delete(knowledge_graph_edges).where(
                _edge.from_seq == start, _edge.edge_type == kind, _edge.to_seq == end
            )
        )
    if rows:
        conn.execute(
            insert(knowledge_graph_edges).inline(),
            [
                {
                    "tenant": tenant,
                    "edge_type": kind,
                    "from_seq": start,
                    "to_seq": end,
                    "weight": weight,
                    "source": source,
                    "at_hour": utc_hour(utc_now()),
                }
                for (start, kind, end), weight in rows.items()
            ],
        )


def version(conn: Connection) -> tuple[int, int]:
    """Return what changes whenever a node comes or goes."""
    row = conn.execute(select(func.coalesce(func.max(_node.seq), 0), func.count(_node.seq))).one()
    return int(row[0]), int(row[1])


def vectors(
    conn: Connection, types: Sequence[NodeType], model: str, tenant: str
) -> tuple[list[Node], Vectors]:
    """Return the nodes of some types that one embedder embedded, and their vectors."""
    found = conn.execute(
        select(*_COLUMNS, _node.embedding).where(
            _node.tenant == tenant,
            _node.node_type.in_([type_.value for type_ in types]),
            _node.model == model,
        )
    ).all()
    if not found:
        return [], np.zeros((0, 1), dtype=np.float32)
    return [as_node(row) for row in found], np.stack([row.embedding for row in found])


def nodes(conn: Connection, types: Sequence[NodeType], tenant: str, limit: int) -> tuple[Node, ...]:
    """Return nodes by type and name."""
    found = conn.execute(
        select(*_COLUMNS)
        .where(_node.tenant == tenant, _node.node_type.in_([type_.value for type_ in types]))
        .order_by(_node.node_type, _node.name, _node.seq)
        .limit(limit)
    )
    return tuple(as_node(row) for row in found)


def by_ids(conn: Connection, ids: Iterable[str], tenant: str) -> tuple[Node, ...]:
    """Return nodes by their ids."""
    found: list[Node] = []
    for some in _parts(ids):
        rows = conn.execute(
            select(*_COLUMNS).where(_node.tenant == tenant, _node.node_id.in_(some))
        )
        found += [as_node(row) for row in rows]
    return tuple(found)


def neighbours(
    conn: Connection, ids: Sequence[str], types: Sequence[EdgeType], tenant: str
) -> Mapping[str, tuple[Neighbour, ...]]:
    """Return what stands beside nodes, by their ids, the heaviest first."""
    seqs = _seqs(conn, ids, tenant)
    beside: dict[str, list[Neighbour]] = {}
    for own, seq in seqs.items():
        edges = conn.execute(
            select(knowledge_graph_edges)
            .where(
                or_(_edge.from_seq == seq, _edge.to_seq == seq),
                _edge.edge_type.in_([type_.value for type_ in types]),
            )
            .order_by(_edge.weight.desc(), _edge.seq)
            .limit(_MOST_NEIGHBOURS)
        ).all()
        others = {edge.to_seq if edge.from_seq == seq else edge.from_seq for edge in edges}
        known = {
            row.seq: as_node(row)
            for row in conn.execute(select(*_COLUMNS).where(_node.seq.in_(others)))
        }
        beside[own] = [
            Neighbour(
                known[edge.to_seq if edge.from_seq == seq else edge.from_seq],
                EdgeType(edge.edge_type),
                edge.weight,
                edge.from_seq == seq,
            )
            for edge in edges
        ]
    return {own: tuple(found) for own, found in beside.items()}


def headings_of(
    conn: Connection, passages: Iterable[tuple[str, int]], tenant: str
) -> list[tuple[str, tuple[str, ...]]]:
    """Return documents' ids with the headings of passages, given documents' ids and positions."""
    found = []
    for document, position in passages:
        row = conn.execute(
            select(kb_chunks.c.headings)
            .join(kb_documents)
            .where(
                kb_documents.c.tenant == tenant,
                kb_documents.c.document_id == document,
                kb_chunks.c.position == position,
            )
        ).first()
        if row is not None:
            found.append((document, tuple(row.headings)))
    return found


def sources(conn: Connection, tenant: str) -> frozenset[str]:
    """Return what the graph was made from."""
    found = conn.execute(select(_node.source).where(_node.tenant == tenant).distinct())
    return frozenset(found.scalars())


def digests(conn: Connection, tenant: str) -> dict[str, str]:
    """Return the documents that the graph was made from, each with what it was made of it."""
    found = conn.execute(
        select(_node.source, _node.data).where(
            _node.tenant == tenant, _node.node_type == NodeType.DOCUMENT.value
        )
    )
    return {row.source: str(row.data.get("digest", "")) for row in found}


def as_node(row: Any) -> Node:
    """Return a row as a node."""
    return Node(
        row.node_id,
        NodeType(row.node_type),
        row.name,
        row.text,
        row.source,
        row.space or "",
        row.language,
        tuple(row.data.get("passages", ())),
        row.tenant,
    )


def _seqs(conn: Connection, ids: Iterable[str], tenant: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for some in _parts(ids):
        rows = conn.execute(
            select(_node.node_id, _node.seq).where(_node.tenant == tenant, _node.node_id.in_(some))
        )
        found |= {row.node_id: row.seq for row in rows}
    return found


def _parts(ids: Iterable[str]) -> Iterable[list[str]]:
    wanted = list(dict.fromkeys(ids))
    return (wanted[start : start + _AT_ONCE] for start in range(0, len(wanted), _AT_ONCE))
