"""What a call has of the graph: answers to objections, and what stands near the last answer."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping

import structlog

from apps.core.errors import TomError
from apps.core.passages import Citation, Passage
from apps.knowledge.graph.base import EdgeType, GraphStore, Neighbour, Node, NodeHit, NodeType
from apps.knowledge.index.base import Chunk, Document, Embedder, Scope, StoredChunk
from apps.knowledge.retrieval.second_stage import Candidate, CoveredCosine, rank

DEADLINE_MS = 60.0
"""The graph only adds: what takes longer is done without."""
_OBJECTIONS = 8
_SAME_SECTION = 1.0
_SAME_DOCUMENT = 0.4
_MOST_NEAR = 200
_ASKS = {
    "en": re.compile(
        r"(?:and |but |so )?(?:what|how|when|where|who|which|why|can|could|may|do|does|did|is|are"
        r"|am|will|would|should|must)\b",
        re.IGNORECASE,
    ),
    "de": re.compile(
        r"(?:und |aber |also )?(?:was|wie|wann|wo|woher|wohin|wer|welche[rsnm]?|warum|wieso|kann"
        r"|könnte|darf|muss|soll|ist|sind|gibt|geht|hat|haben|brauche|kostet|zahle)\b",
        re.IGNORECASE,
    ),
}
log = structlog.get_logger(__name__)


class KnowledgeGraph:
    """Searches the graph for a call.

    Args:
        store: Holds it.
        embedder: Its vectors are those of the graph's nodes.
        deadline_ms: After so long a call goes on without it.
        covered_cosine: For an embedder that knows meanings.
    """

    def __init__(
        self,
        store: GraphStore,
        embedder: Embedder,
        *,
        deadline_ms: float = DEADLINE_MS,
        covered_cosine: CoveredCosine | None = None,
    ) -> None:
        self._store, self._embedder = store, embedder
        self._deadline_s, self._covered_cosine = deadline_ms / 1000, covered_cosine

    async def near(self, passages: tuple[str, ...], scope: Scope) -> Mapping[str, float]:
        """Return what stands near passages, by passage or document id, each in [0, 1].

        That is the section itself, what belongs to the same heading or is like it, and, less near,
        the rest of its document. Nothing where the graph is late or cannot be read.
        """
        try:
            async with asyncio.timeout(self._deadline_s):
                return await self._near(passages, scope)
        except TimeoutError:
            return {}
        except TomError as error:
            log.warning("graph_not_searched", code=error.code, reason=error.message)
            return {}

    async def _near(self, passages: tuple[str, ...], scope: Scope) -> dict[str, float]:
        found: dict[str, float] = {}
        for passage in passages:
            _raise(found, passage, _SAME_SECTION)
            if "#" in passage:
                _raise(found, passage.rpartition("#")[0], _SAME_DOCUMENT)
        own = await self._store.of_passages(passages, scope)
        beside = await self._store.neighbours(
            [node.id for node in own], scope.tenant, (EdgeType.BELONGS_TO, EdgeType.SIMILAR_TO)
        )
        for node in own:
            _note(found, node, _SAME_SECTION)
            for neighbour in beside.get(node.id, ()):
                _note(found, neighbour.node, _nearness(neighbour))
        return dict(sorted(found.items(), key=lambda item: -item[1])[:_MOST_NEAR])

    async def objections(self, said: str, scope: Scope) -> tuple[Passage, ...]:
        """Return the approved answers to an objection, best first; none for a question.

        An objection that was heard is one whose words, in one of its phrases, are those of a known
        one; what handles it becomes the passage. Nothing where the graph is late.
        """
        if not scope.spaces or _ASKS[scope.language or "en"].match(said.strip()):
            return ()
        try:
            async with asyncio.timeout(self._deadline_s):
                vectors = await self._embedder.embed([said])
                hits = await self._store.search(
                    vectors[0], (NodeType.OBJECTION,), scope, _OBJECTIONS
                )
                return await self._answers(said, hits, scope)
        except TimeoutError:
            return ()
        except TomError as error:
            log.warning("graph_not_searched", code=error.code, reason=error.message)
            return ()

    async def _answers(
        self, said: str, hits: tuple[NodeHit, ...], scope: Scope
    ) -> tuple[Passage, ...]:
        if not hits:
            return ()
        ranked = rank(
            said,
            scope.language or "en",
            [_candidate(number, hit) for number, hit in enumerate(hits)],
            covered_cosine=self._covered_cosine,
        )
        nodes = {number: hit.node for number, hit in enumerate(hits)}
        handled = await self._store.neighbours(
            [node.id for node in nodes.values()], scope.tenant, (EdgeType.HANDLES,)
        )
        return tuple(
            _passage(nodes[one.stored.key], neighbour.node, one.score)
            for one in ranked
            for neighbour in handled.get(nodes[one.stored.key].id, ())[:1]
            if neighbour.outgoing
        )


def _candidate(number: int, hit: NodeHit) -> Candidate:
    """Return an objection as the second stage sees a passage: its phrases under its name."""
    node = hit.node
    text = f"{node.name}\n{node.text}".strip()
    chunk = Chunk(0, text, (node.name,), None, node.language or "")
    document = Document(
        node.source, node.space, "", node.source, "", node.language or "", "", 0, 0, 1.0
    )
    stored = StoredChunk(number, chunk, document)
    return Candidate(stored, hit.score, None, number + 1, hit.score)


def _passage(objection: Node, strategy: Node, score: float) -> Passage:
    return Passage(
        entry_id=objection.source,
        question=objection.name,
        text=strategy.text,
        score=score,
        language=objection.language or "",
        source=objection.source,
        citation=Citation(objection.name, objection.source, entry_id=objection.source),
    )


def _nearness(neighbour: Neighbour) -> float:
    if neighbour.edge is EdgeType.SIMILAR_TO:
        return neighbour.weight
    return _SAME_SECTION if neighbour.node.type is NodeType.CONCEPT else _SAME_DOCUMENT


def _note(found: dict[str, float], node: Node, nearness: float) -> None:
    for passage in node.passages:
        _raise(found, passage, nearness)


def _raise(found: dict[str, float], name: str, nearness: float) -> None:
    found[name] = max(found.get(name, 0.0), nearness)
