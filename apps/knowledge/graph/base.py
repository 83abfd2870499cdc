"""What the graph is made of: nodes, typed edges, and what a store of them does."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from apps.core.ids import DEFAULT_TENANT
from apps.knowledge.index.base import Scope, Vectors


class NodeType(StrEnum):
    """What a node stands for."""

    CONCEPT = "concept"  # a heading's section, or an entry's question
    DOCUMENT = "document"
    TOPIC = "topic"
    OBJECTION = "objection"
    STRATEGY = "strategy"
    PERSONA = "persona"
    SCRIPT = "script"
    COMPANY = "company"


class EdgeType(StrEnum):
    """What relates two nodes."""

    HANDLES = "handles"
    EFFECTIVE_FOR = "effective_for"
    BELONGS_TO = "belongs_to"
    SIMILAR_TO = "similar_to"


_PARTS = (NodeType.CONCEPT, NodeType.DOCUMENT, NodeType.SCRIPT)
_WHOLES = (NodeType.CONCEPT, NodeType.DOCUMENT, NodeType.TOPIC, NodeType.COMPANY)
ALLOWED: Mapping[EdgeType, frozenset[tuple[NodeType, NodeType]]] = {
    EdgeType.HANDLES: frozenset({(NodeType.OBJECTION, NodeType.STRATEGY)}),
    EdgeType.EFFECTIVE_FOR: frozenset({(NodeType.STRATEGY, NodeType.PERSONA)}),
    EdgeType.BELONGS_TO: frozenset((part, whole) for part in _PARTS for whole in _WHOLES),
    EdgeType.SIMILAR_TO: frozenset({(NodeType.CONCEPT, NodeType.CONCEPT)}),
}
"""Which types an edge may lead from and to. An objection is handled by a strategy: the edge leads
from the objection, so that a call finds its answer along it."""


@dataclass(frozen=True, slots=True)
class Node:
    """A node.

    Attributes:
        id: Unique in its tenant; from ``node_id``.
        type: What it stands for.
        name: What a person calls it.
        text: What it is found by, beside its name; of a strategy, what is said.
        source: What it was made from: a document's id, ``entries:kfz:en``, ``insight:ab12``. What
            is made from a source is replaced as a whole.
        space: Its knowledge space.
        language: ``de`` or ``en``; None for any.
        passages: Ids of the passages that it stands for.
        tenant: Whose it is.
    """

    id: str
    type: NodeType
    name: str
    text: str
    source: str
    space: str
    language: str | None = None
    passages: tuple[str, ...] = ()
    tenant: str = DEFAULT_TENANT


@dataclass(frozen=True, slots=True)
class Edge:
    """A typed edge between two nodes' ids, with a weight in [0, 1]."""

    type: EdgeType
    start: str
    end: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class NodeHit:
    """A node that was found, and how near it is (cosine)."""

    node: Node
    score: float


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A node beside another one, and the edge between them."""

    node: Node
    edge: EdgeType
    weight: float
    outgoing: bool


@dataclass(frozen=True, slots=True)
class Part:
    """All that one source gives to the graph."""

    nodes: tuple[Node, ...] = ()
    edges: tuple[Edge, ...] = field(default=())


class GraphStore(Protocol):
    """Keeps nodes and edges, and finds nodes by their vectors."""

    async def replace(
        self, source: str, part: Part, vectors: Vectors, tenant: str, digest: str = ""
    ) -> None:
        """Put what a source gives in the place of what it gave before; an empty part removes it."""
        ...

    async def connect(self, source: str, edges: Sequence[Edge], tenant: str) -> None:
        """Add edges between nodes of any source; they go with their nodes."""
        ...

    async def search(
        self, vector: Vectors, types: Sequence[NodeType], scope: Scope, k: int
    ) -> tuple[NodeHit, ...]:
        """Return the nodes of some types nearest by cosine, best first."""
        ...

    async def neighbours(
        self, ids: Sequence[str], tenant: str, types: Sequence[EdgeType] = tuple(EdgeType)
    ) -> Mapping[str, tuple[Neighbour, ...]]:
        """Return what stands beside nodes, by their ids, the heaviest first."""
        ...

    async def of_passages(self, passages: Sequence[str], scope: Scope) -> tuple[Node, ...]:
        """Return the nodes that stand for passages."""
        ...

    async def nodes(
        self, tenant: str, types: Sequence[NodeType] = tuple(NodeType), limit: int = 1000
    ) -> tuple[Node, ...]:
        """Return nodes by type and name."""
        ...


def node_id(tenant: str, type_: NodeType, source: str, *path: str) -> str:
    """Return a node's id: the same things always have the same one."""
    key = "\0".join((tenant, type_.value, source, *path))
    return hashlib.blake2b(key.encode(), digest_size=16).hexdigest()


def check(part: Part) -> None:
    """Refuse edges that no such nodes may have.

    Raises:
        ValueError: An edge leads between types that it does not relate.
    """
    types = {node.id: node.type for node in part.nodes}
    for edge in part.edges:
        if edge.start in types and edge.end in types:
            pair = (types[edge.start], types[edge.end])
            if pair not in ALLOWED[edge.type]:
                raise ValueError(f"{edge.type} does not relate {pair[0]} and {pair[1]}")
