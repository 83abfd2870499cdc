"""Makes the graph's parts: from documents' headings, from entries, and from insights. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from apps.core.sentences import split_sentences
from apps.knowledge.entries import Entry
from apps.knowledge.graph.base import Edge, EdgeType, Node, NodeType, Part, node_id
from apps.knowledge.index.base import Chunk, Document
from apps.store.insights import Insight

_FOUND_BY = 2
"""Sentences of a section that it is found by."""


def of_document(document: Document, chunks: Sequence[Chunk]) -> Part:
    """Return a document, a concept for each of its headings, and what belongs to what.

    A section belongs to the one above it, the widest to the document. What has no heading above it
    is the document's own.
    """
    own = _node(
        document, NodeType.DOCUMENT, (), document.title, _first(chunks), _no_heading(chunks)
    )
    sections: dict[tuple[str, ...], list[Chunk]] = {}
    for chunk in chunks:
        for depth in range(1, len(chunk.headings) + 1):
            sections.setdefault(chunk.headings[:depth], [])
        if chunk.headings:
            sections[chunk.headings].append(chunk)
    nodes, edges = [own], []
    for path, found in sections.items():
        concept = _node(document, NodeType.CONCEPT, path, path[-1], _first(found), found)
        parent = _id(document, NodeType.CONCEPT, path[:-1]) if path[:-1] else own.id
        nodes.append(concept)
        edges.append(Edge(EdgeType.BELONGS_TO, concept.id, parent))
    return Part(tuple(nodes), tuple(edges))


def of_entries(profile: str, language: str, entries: Iterable[Entry], tenant: str) -> Part:
    """Return a concept for each of a profile's entries, and the topics that they belong to."""
    source = f"entries:{profile}:{language}"
    nodes: dict[str, Node] = {}
    edges = []
    for entry in entries:
        topic = node_id(tenant, NodeType.TOPIC, source, entry.topic)
        concept = node_id(tenant, NodeType.CONCEPT, source, entry.id)
        nodes[topic] = Node(
            topic, NodeType.TOPIC, entry.topic, "", source, profile, language, (), tenant
        )
        nodes[concept] = Node(
            concept,
            NodeType.CONCEPT,
            entry.question,
            " ".join((*entry.variants[:_FOUND_BY], *entry.sentences[:_FOUND_BY])),
            source,
            profile,
            language,
            (entry.id,),
            tenant,
        )
        edges.append(Edge(EdgeType.BELONGS_TO, concept, topic))
    return Part(tuple(nodes.values()), tuple(edges))


def of_insight(insight: Insight) -> Part:
    """Return an objection, the strategy that handles it, and for whom it works."""
    source = f"insight:{insight.id}"

    def node(type_: NodeType, name: str, text: str) -> Node:
        own = node_id(insight.tenant, type_, source)
        space, language = insight.space, insight.language
        return Node(own, type_, name, text, source, space, language, (), insight.tenant)

    objection = node(NodeType.OBJECTION, insight.objection, "\n".join(insight.phrases))
    strategy = node(NodeType.STRATEGY, insight.objection, insight.strategy)
    nodes, edges = [objection, strategy], [Edge(EdgeType.HANDLES, objection.id, strategy.id)]
    if insight.persona:
        persona = node(NodeType.PERSONA, insight.persona, "")
        nodes.append(persona)
        edges.append(Edge(EdgeType.EFFECTIVE_FOR, strategy.id, persona.id))
    return Part(tuple(nodes), tuple(edges))


def _node(
    document: Document,
    type_: NodeType,
    path: tuple[str, ...],
    name: str,
    text: str,
    chunks: Sequence[Chunk],
) -> Node:
    passages = tuple(f"{document.id}#{chunk.position}" for chunk in chunks)
    return Node(
        _id(document, type_, path),
        type_,
        name,
        " ".join((*path, text)),
        document.id,
        document.space,
        document.language,
        passages,
        document.tenant,
    )


def _id(document: Document, type_: NodeType, path: tuple[str, ...]) -> str:
    return node_id(document.tenant, type_, document.id, *path)


def _first(chunks: Sequence[Chunk]) -> str:
    return " ".join(split_sentences(chunks[0].text)[:_FOUND_BY]) if chunks else ""


def _no_heading(chunks: Sequence[Chunk]) -> list[Chunk]:
    return [chunk for chunk in chunks if not chunk.headings]
