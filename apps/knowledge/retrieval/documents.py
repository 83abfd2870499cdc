"""Searches documents: by words and by vectors at once, fused, then ranked by the second stage."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from time import perf_counter

import structlog

from apps.core.errors import TomError
from apps.knowledge.index.base import Embedder, Hit, PassageIndex, Scope
from apps.knowledge.retrieval.found import FoundDocuments, Outcome, Ranked
from apps.knowledge.retrieval.fusion import fuse
from apps.knowledge.retrieval.second_stage import Candidate, CoveredCosine, rank

DEADLINE_MS = 150.0
CANDIDATES = 50
"""Pieces that each half of the first stage may bring."""
LOOKED_AT = 20
"""The best of them by both halves, which the second stage looks at: more of them find no more."""
_FIRST_STAGE_SHARE = 0.7

log = structlog.get_logger(__name__)


class _Clock:
    """Measures stages, and what is left of a deadline."""

    def __init__(self, deadline_ms: float) -> None:
        self._began, self._deadline_ms = perf_counter(), deadline_ms
        self.ms: dict[str, float] = {}

    def passed_ms(self) -> float:
        return (perf_counter() - self._began) * 1000

    def left_s(self, share: float = 1.0) -> float:
        return max(0.0, self._deadline_ms * share - self.passed_ms()) / 1000

    async def timed(self, stage: str, work: Awaitable[Sequence[Hit]]) -> Sequence[Hit]:
        began = perf_counter()
        found = await work
        self.ms[stage] = round((perf_counter() - began) * 1000, 2)
        return found


class DocumentSearch:
    """Both stages over one index.

    Args:
        index: The documents' pieces.
        embedder: Makes the question's vector; its vectors are those of the index.
        deadline_ms: After so long a search gives what it has.
        covered_cosine: For an embedder that knows meanings.
    """

    def __init__(
        self,
        index: PassageIndex,
        embedder: Embedder,
        *,
        deadline_ms: float = DEADLINE_MS,
        covered_cosine: CoveredCosine | None = None,
    ) -> None:
        self._index, self._embedder = index, embedder
        self._deadline_ms, self._covered_cosine = deadline_ms, covered_cosine
        self._late: set[asyncio.Task[Sequence[Hit]]] = set()

    async def find(
        self, question: str, scope: Scope, *, near: Mapping[str, float] | None = None
    ) -> FoundDocuments:
        """Return what may answer a question, best first, with what came before the deadline.

        Args:
            question: The question in full.
            scope: Whose documents, of which spaces, in which language; a language must be named.
            near: What stands near the passages of the last answer, for a follow-up (``rank``).
        """
        clock = _Clock(self._deadline_ms)
        outcome, halves = await self._first_stage(question, scope, clock)
        if not any(halves):
            return FoundDocuments(outcome, ms=clock.ms)
        try:
            async with asyncio.timeout(clock.left_s()):
                ranked = await self._second_stage(question, scope, halves, near, clock)
        except TimeoutError:
            return FoundDocuments(Outcome.LATE, ms=clock.ms)
        except TomError as error:
            return FoundDocuments(_failed(error), ms=clock.ms)
        return FoundDocuments(outcome, ranked, clock.ms)

    async def _first_stage(
        self, question: str, scope: Scope, clock: _Clock
    ) -> tuple[Outcome, tuple[Sequence[Hit], Sequence[Hit]]]:
        tasks = [
            asyncio.create_task(
                clock.timed("words", self._index.by_words(question, scope, CANDIDATES))
            ),
            asyncio.create_task(clock.timed("vector", self._by_vector(question, scope))),
        ]
        try:
            await asyncio.wait(tasks, timeout=clock.left_s(_FIRST_STAGE_SHARE))
            in_time = [task.done() for task in tasks]
        finally:
            for task in tasks:
                self._let_go(task)
        words, vector = (
            _of(task) if came else None for task, came in zip(tasks, in_time, strict=True)
        )
        return _outcome(words, vector, all(in_time)), (words or (), vector or ())

    async def _by_vector(self, question: str, scope: Scope) -> Sequence[Hit]:
        vectors = await self._embedder.embed([question])
        return await self._index.by_vector(vectors[0], scope, CANDIDATES)

    def _let_go(self, task: asyncio.Task[Sequence[Hit]]) -> None:
        """Cancel what is not done; nobody waits for a driver to notice."""
        if not task.done():
            task.cancel()
            self._late.add(task)
            task.add_done_callback(self._gone)

    def _gone(self, task: asyncio.Task[Sequence[Hit]]) -> None:
        self._late.discard(task)
        if not task.cancelled():
            task.exception()  # it came too late to matter

    async def _second_stage(
        self,
        question: str,
        scope: Scope,
        halves: tuple[Sequence[Hit], Sequence[Hit]],
        near: Mapping[str, float] | None,
        clock: _Clock,
    ) -> tuple[Ranked, ...]:
        began = perf_counter()
        candidates = await self._candidates(*halves)
        clock.ms["load"] = round((perf_counter() - began) * 1000, 2)
        began = perf_counter()
        # In a thread: what is counted here is no reason to let calls' audio wait.
        ranked = await asyncio.to_thread(
            rank,
            question,
            scope.language or "en",
            candidates,
            near=near,
            covered_cosine=self._covered_cosine,
        )
        clock.ms["second"] = round((perf_counter() - began) * 1000, 2)
        return ranked

    async def _candidates(self, words: Sequence[Hit], vector: Sequence[Hit]) -> list[Candidate]:
        fused = fuse([[hit.key for hit in words], [hit.key for hit in vector]])[:LOOKED_AT]
        scores = dict(fused)
        word_ranks = {hit.key: place for place, hit in enumerate(words, start=1)}
        vector_ranks = {hit.key: place for place, hit in enumerate(vector, start=1)}
        cosines = {hit.key: hit.score for hit in vector}
        return [
            Candidate(
                stored,
                scores[stored.key],
                word_ranks.get(stored.key),
                vector_ranks.get(stored.key),
                cosines.get(stored.key),
            )
            for stored in await self._index.chunks([key for key, _ in fused])
        ]


def _of(task: asyncio.Task[Sequence[Hit]]) -> Sequence[Hit] | None:
    """Return what a task that is done found; None where it failed.

    A defect is raised: only what a server or a file may do is expected here.
    """
    error = task.exception()
    if error is None:
        return task.result()
    if not isinstance(error, TomError):
        raise error
    _failed(error)
    return None


def _failed(error: TomError) -> Outcome:
    log.warning("documents_not_searched", code=error.code, reason=error.message)
    return Outcome.FAILED


def _outcome(words: Sequence[Hit] | None, vector: Sequence[Hit] | None, in_time: bool) -> Outcome:
    """Return how much came, given each half's hits and whether both were done in time."""
    if words is not None and vector is not None:
        return Outcome.COMPLETE
    if words is not None:
        return Outcome.WORDS_ALONE
    if vector is not None:
        return Outcome.VECTOR_ALONE
    return Outcome.FAILED if in_time else Outcome.LATE
