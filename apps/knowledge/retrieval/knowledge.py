"""Everything that answers: entries, approved insights and documents, behind one search."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Protocol

from apps.core.passages import COVERED_SCORE, ENTRIES_ALONE, Passage, Within
from apps.knowledge.index.base import Scope, Vectors
from apps.knowledge.retrieval.closeness import asked, passage_terms
from apps.knowledge.retrieval.documents import DocumentSearch
from apps.knowledge.retrieval.found import FoundDocuments, Lookup, Outcome, Retrieved
from apps.knowledge.retrieval.meaning import QuestionMeaning
from apps.knowledge.retrieval.merge import gives_way, merge
from apps.knowledge.retrieval.second_stage import terms_of
from apps.knowledge.retriever import Retriever


class Graph(Protocol):
    """What retrieval uses of the knowledge graph."""

    async def near(self, passages: tuple[str, ...], scope: Scope) -> Mapping[str, float]:
        """Return what stands near passages, by passage or document id, each in [0, 1]."""
        ...

    async def objections(self, said: str, scope: Scope) -> tuple[Passage, ...]:
        """Return the approved answers to an objection, best first."""
        ...


Observer = Callable[[Lookup, Retrieved], None]
"""Told of each retrieval with its question; must return at once."""


class KnowledgeBase:
    """The entries of a knowledge folder, with documents and a graph where there are some.

    Args:
        entries: Searched first; the rest adds to it.
        documents: None searches entries alone.
        graph: None uses no relations.
        observer: Told of each retrieval; may be None.
        meaning: Makes a question's vector for the entries' rankers that know meanings
            (``Retriever.teach``); None ranks by words alone.
    """

    def __init__(
        self,
        entries: Retriever,
        documents: DocumentSearch | None = None,
        graph: Graph | None = None,
        observer: Observer | None = None,
        *,
        meaning: QuestionMeaning | None = None,
    ) -> None:
        self._entries, self._documents = entries, documents
        self._graph, self._observer = graph, observer
        self._meaning = meaning

    async def search(
        self,
        query: str,
        *,
        language: str,
        profile: str,
        k: int = 5,
        within: Within = ENTRIES_ALONE,
    ) -> tuple[Passage, ...]:
        """Return the passages that may answer a question, best first.

        Args:
            query: The question, as it was understood.
            language: ``de`` or ``en``; only what is in this language is found.
            profile: The profile whose entries are searched.
            k: At most so many passages.
            within: Which documents are searched, and what the question follows.
        """
        return (await self.look(query, language, profile, k, within)).passages

    async def look(
        self, query: str, language: str, profile: str, k: int, within: Within
    ) -> Retrieved:
        """Search, and return every stage's findings and times with the passages."""
        began = perf_counter()
        scope = Scope(within.spaces, language, within.tenant)
        others = asyncio.create_task(self._beside_entries(query, scope, within.follows))
        try:
            await asyncio.sleep(0)  # their queries run in threads while the entries are ranked here
            ms: dict[str, float] = {}
            vector = await self._vector(query, language, profile, ms)
            entries_began = perf_counter()
            entries = await self._entries.search(
                query, language=language, profile=profile, k=k, vector=vector
            )
            ms["entries"] = _ms_since(entries_began)
            insights, documents = await others
        finally:
            others.cancel()
        found = Retrieved(
            merge(
                entries,
                insights,
                [ranked.passage() for ranked in documents.ranked],
                k,
                yields=self._yields(query, language, profile, entries, documents),
            ),
            entries,
            insights,
            documents,
            {**documents.ms, **ms, "total": _ms_since(began)},
        )
        if self._observer is not None:
            self._observer(Lookup(query, language, profile, within), found)
        return found

    async def _vector(
        self, query: str, language: str, profile: str, ms: dict[str, float]
    ) -> Vectors | None:
        """Return the question's vector, where one tells anything and comes in time."""
        if self._meaning is None or not self._entries.knows_meanings(profile, language):
            return None
        began = perf_counter()
        vector = await self._meaning.of(query)
        ms["meaning"] = _ms_since(began)
        return vector

    async def _beside_entries(
        self, query: str, scope: Scope, follows: tuple[str, ...]
    ) -> tuple[tuple[Passage, ...], FoundDocuments]:
        near: Mapping[str, float] = {}
        if self._graph is not None and follows:
            near = await self._graph.near(follows, scope)
        return await asyncio.gather(self._objections(query, scope), self._find(query, scope, near))

    async def _objections(self, query: str, scope: Scope) -> tuple[Passage, ...]:
        return () if self._graph is None else await self._graph.objections(query, scope)

    async def _find(self, query: str, scope: Scope, near: Mapping[str, float]) -> FoundDocuments:
        if self._documents is None or not scope.spaces:
            return FoundDocuments(Outcome.NONE)
        return await self._documents.find(query, scope, near=near)

    def _yields(
        self,
        query: str,
        language: str,
        profile: str,
        entries: tuple[Passage, ...],
        documents: FoundDocuments,
    ) -> bool:
        """Tell whether the best entry covers the question, and yet a document has more of it."""
        best = documents.ranked[0] if documents.ranked else None
        if best is None or best.score < COVERED_SCORE:
            return False
        if not entries or entries[0].score < COVERED_SCORE:
            return False
        entry = self._entries.entry(profile, language, entries[0].entry_id)
        if entry is None:
            return False
        text = "\n".join((*entry.variants, *entry.sentences))
        terms = passage_terms(text, (entry.question,), entry.topic, language)
        return gives_way(asked(query, language), terms, terms_of(best.stored, language))

    def vocabulary(self, profile: str, language: str, limit: int = 50) -> tuple[str, ...]:
        """Return the profile's most telling words, most telling first, as bias words."""
        return self._entries.vocabulary(profile, language, limit)

    def question(self, profile: str, language: str, entry_id: str) -> str | None:
        """Return an entry's canonical question, or None when there is no such entry."""
        return self._entries.question(profile, language, entry_id)


def _ms_since(began: float) -> float:
    return round((perf_counter() - began) * 1000, 2)
