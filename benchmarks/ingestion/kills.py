"""Kills ingestion at random moments while documents come, change and go, and looks what is left."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import numpy as np

from apps.knowledge.documents.ingest import Ingester
from apps.knowledge.documents.limits import Limits
from apps.knowledge.documents.parsing import ProcessParser
from apps.knowledge.documents.reading import Passage, Task, read
from apps.knowledge.index.base import Scope
from apps.knowledge.index.hashing import HashingEmbedder
from apps.knowledge.index.opening import open_index
from benchmarks.ingestion import material

_DOCUMENTS, _CHANGED, _NEW, _GONE = 40, 6, 3, 3
_SECTIONS = 3
_LONGEST_S = 0.7
_EVERYTHING = 1_000_000
_COMMON_WORDS = "der die das und ist nicht Fahrzeug Zulassung Kennzeichen"

Indexed = dict[str, tuple[str, tuple[str, ...]]]
"""By document: its SHA-256 and its passages."""


def kill_often(home: Path, *, runs: int, seed: int = 7) -> str:
    """Kill so many runs; returns what was found, in a sentence.

    After each kill the index must hold whole documents only, each as its file once was, and find
    nothing else; after a last run that nobody kills it must hold what lies in the folder.

    Raises:
        RuntimeError: It does not.
    """
    draw, said = random.Random(seed), material.sentences()["de"]
    root, where = home / "documents", home / "knowledge.db"
    material.write(root, _DOCUMENTS, seed=seed, sections=_SECTIONS)
    once: dict[str, tuple[str, ...]] = {}
    at_work = 0
    for number in range(runs):
        _disturb(root, draw, said, number)
        wanted = lying(root, once)
        at_work += _run(root, where, kill_after_s=draw.uniform(0.0, _LONGEST_S))
        held = asyncio.run(indexed(where))
        _check(
            {d: passages for d, (_, passages) in held.items()},
            {d: once[sha] for d, (sha, _) in held.items()},
        )
    _run(root, where, kill_after_s=None)
    _check(asyncio.run(indexed(where)), wanted)
    told = "every document whole, none twice, none left over"
    return f"{runs} runs, {at_work} of them killed at work: {told}"


def _disturb(root: Path, draw: random.Random, said: list[str], number: int) -> None:
    """Change some documents, add some, remove some."""
    paths = sorted(root.rglob("*.md"))
    for path in draw.sample(paths, _CHANGED):
        path.write_text(material.document(said, draw, _SECTIONS), encoding="utf-8")
    for path in draw.sample(paths, _GONE):
        path.unlink()
    for n in range(_NEW):
        path = root / "kfz" / "de" / f"new-{number}-{n}.md"
        path.write_text(material.document(said, draw, _SECTIONS), encoding="utf-8")


def lying(root: Path, once: dict[str, tuple[str, ...]]) -> Indexed:
    """Return what lies in the folder, and remember what each file's bytes give."""
    found: Indexed = {}
    for path in root.rglob("*.md"):
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        if sha256 not in once:
            passages = (one for one in read(Task(str(path))) if isinstance(one, Passage))
            once[sha256] = tuple(passage.text for passage in passages)
        found[path.relative_to(root).as_posix()] = (sha256, once[sha256])
    return found


def _run(root: Path, where: Path, *, kill_after_s: float | None) -> bool:
    """Ingest in a process of its own; returns whether it was killed before it was done."""
    command = [sys.executable, "-m", "benchmarks.ingestion.kills", str(root), str(where)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it has opened the index and begins
        if kill_after_s is None:
            return process.wait() != 0
        time.sleep(kill_after_s)
        process.kill()
        return process.wait() != 0


async def indexed(where: Path) -> Indexed:
    """Return what an index holds, and check that it finds nothing beyond that."""
    embedder = HashingEmbedder()
    index = open_index(where, embedder)
    try:
        documents = {document.id: document for document in await index.documents()}
        scope = Scope(("kfz",))
        anything = np.full(embedder.dimensions, embedder.dimensions**-0.5, np.float32)
        hits = await index.by_vector(anything, scope, _EVERYTHING)
        by_words = await index.by_words(_COMMON_WORDS, scope, _EVERYTHING)
        stored = await index.chunks([hit.key for hit in hits])
        keys = {hit.key for hit in hits}
        if len(stored) != len(hits) or not {hit.key for hit in by_words} <= keys:
            raise RuntimeError("The index finds passages that it does not hold.")
    finally:
        await index.aclose()
    texts: dict[str, dict[int, str]] = defaultdict(dict)
    for one in stored:
        if one.document.id not in documents or one.chunk.position in texts[one.document.id]:
            raise RuntimeError(f"A passage of {one.document.id} is left over, or there twice.")
        texts[one.document.id][one.chunk.position] = one.chunk.text
    return {
        name: (document.sha256, tuple(text for _, text in sorted(texts[name].items())))
        for name, document in documents.items()
    }


def _check(held: object, wanted: object) -> None:
    if held != wanted:
        raise RuntimeError("The index does not hold what the documents say.")


async def _ingest(root: Path, where: Path) -> None:
    """Be the process that is killed."""
    embedder, parser = HashingEmbedder(), ProcessParser()
    index = open_index(where, embedder)
    ingester = Ingester(index, embedder, parser, root=root, limits=Limits())
    await parser.start()
    os.write(1, b"begun\n")
    try:
        async for _ in ingester.run(await ingester.look()):
            pass
    finally:
        await parser.close()
        await index.aclose()


if __name__ == "__main__":
    asyncio.run(_ingest(Path(sys.argv[1]), Path(sys.argv[2])))
