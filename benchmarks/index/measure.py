"""Fills an index, asks it, and says what that took."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from apps.knowledge.index.base import Chunk, Document, Embedder, Hit, Scope, Vectors
from apps.knowledge.index.database import DatabaseIndex

K = 50
"""Candidates that a question asks of each kind of search."""
_AT_ONCE = 20
"""Documents that are stored at the same moment, and share a commit."""

Times = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Asked:
    """A question with its vector, and where it is asked."""

    text: str
    vector: Vectors = field(repr=False)
    scope: Scope


@dataclass(frozen=True, slots=True)
class Filled:
    """How an index was filled.

    Attributes:
        passages: How many.
        embed_s: Spent on vectors, by the wall clock.
        store_s: Spent on storing.
    """

    passages: int
    embed_s: float
    store_s: float


async def fill(
    index: DatabaseIndex, embedder: Embedder, given: Iterable[tuple[Document, list[Chunk]]]
) -> tuple[Filled, Vectors]:
    """Put documents in; returns how long that took, and the vectors in their order."""
    embed_s = store_s = 0.0
    every: list[Vectors] = []
    documents = iter(given)
    while part := list(islice(documents, _AT_ONCE)):
        start_s = time.perf_counter()
        vectors = await embedder.embed([chunk.text for _, chunks in part for chunk in chunks])
        between_s = time.perf_counter()
        ends = np.cumsum([len(chunks) for _, chunks in part])
        await asyncio.gather(
            *(
                index.replace(document, chunks, own)
                for (document, chunks), own in zip(part, np.split(vectors, ends[:-1]), strict=True)
            )
        )
        embed_s += between_s - start_s
        store_s += time.perf_counter() - between_s
        every.append(vectors.astype(np.float16))
    joined = np.concatenate(every).astype(np.float32)
    return Filled(len(joined), embed_s, store_s), joined


async def times(asked: Sequence[Asked], search: Callable[[Asked], Awaitable[object]]) -> Times:
    """Return how many milliseconds each question took, one at a time."""
    found = []
    for question in asked:
        start_s = time.perf_counter()
        await search(question)
        found.append(1000 * (time.perf_counter() - start_s))
    return np.array(found)


async def both(index: DatabaseIndex, asked: Asked) -> tuple[tuple[Hit, ...], tuple[Hit, ...]]:
    """Return what a fused search asks for: by words and by vector, at the same time."""
    by_words = index.by_words(asked.text, asked.scope, K)
    by_vector = index.by_vector(asked.vector, asked.scope, K)
    words, vectors = await asyncio.gather(by_words, by_vector)
    return words, vectors


async def recall(
    index: DatabaseIndex,
    asked: Sequence[Asked],
    exact: Callable[[Asked], NDArray[np.float32]],
    k: int = 10,
) -> float:
    """Return the share of the k nearest that is found, beside an exact search.

    One that is as near as the k-th, within the stored vectors' precision, counts as found.

    Args:
        index: What is asked.
        asked: The questions.
        exact: Returns the cosines of all passages in a question's scope, in falling order.
        k: How many.
    """
    found = []
    for question in asked:
        cosines = exact(question)[:k]
        hits = await index.by_vector(question.vector, question.scope, k)
        good = sum(hit.score >= cosines[-1] - 1e-3 for hit in hits[:k])
        found.append(good / len(cosines))
    return float(np.mean(found))


async def lag(work: Awaitable[object]) -> tuple[Times, Times]:
    """Return by how many ms the event loop was late, at rest for a second and during the work."""
    late: list[float] = []

    async def watch() -> None:
        while True:
            start_s = time.perf_counter()
            await asyncio.sleep(0.001)
            late.append(1000 * (time.perf_counter() - start_s) - 1)

    watcher = asyncio.create_task(watch())
    await asyncio.sleep(1)
    at_rest = np.array(late)
    late.clear()
    await work
    watcher.cancel()
    return at_rest, np.array(late)
