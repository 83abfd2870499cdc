"""Runs it: `python -m benchmarks.ingestion`, with `--kills 200` for kills at random moments."""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import resource
import tempfile
import time
from pathlib import Path

from apps.core import redaction
from apps.core.redaction import PublicFacts
from apps.knowledge.documents.chunking import BASE_CHARS, cut
from apps.knowledge.documents.ingest import Ingester
from apps.knowledge.documents.limits import Limits
from apps.knowledge.documents.parsing import ProcessParser
from apps.knowledge.documents.readers import reader_of
from apps.knowledge.documents.reading import Passage, Task, read
from apps.knowledge.documents.sniff import MARKDOWN
from apps.knowledge.documents.watch import follow
from apps.knowledge.index.base import PassageIndex, Scope
from apps.knowledge.index.hashing import HashingEmbedder
from apps.knowledge.index.opening import open_index
from benchmarks.ingestion import material
from benchmarks.ingestion.kills import kill_often

_ALONE = 200
_CHANGES = 20


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--documents", type=int, default=2000, help="Some 16 passages each.")
    options.add_argument("--kills", type=int, default=0, help="Runs that are killed.")
    given = options.parse_args()
    print(f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory() as home:
        root = Path(home) / "documents"
        if given.kills:
            print(kill_often(Path(home), runs=given.kills))
            return
        material.write(root, given.documents)
        alone(root)
        asyncio.run(whole(root, Path(home) / "knowledge.db"))


def alone(root: Path) -> None:
    """Measure each step on its own, in one process."""
    paths = sorted(root.rglob("*.md"))[:_ALONE]
    public, reader = PublicFacts.of([]), reader_of(MARKDOWN)
    started, cpu_s = time.perf_counter(), time.process_time()
    passages = sum(isinstance(one, Passage) for p in paths for one in read(Task(str(p))))
    took_s, cpu_s = time.perf_counter() - started, time.process_time() - cpu_s
    print(
        f"parse, redact and cut: {passages / took_s:,.0f} passages/s,"
        f" {passages / cpu_s:,.0f} a second of CPU time ({passages} passages)"
    )
    blocks = []
    started = time.process_time()
    for path in paths:
        with path.open("rb") as file:
            blocks += list(reader(file, Limits()))
    parsed_s = time.process_time() - started
    started = time.process_time()
    for block in blocks:
        redaction.redact(block.text, public)
    redacted_s = time.process_time() - started
    started = time.process_time()
    pieces = sum(1 for _ in cut(blocks, BASE_CHARS))
    cut_s = time.process_time() - started
    for name, step_s in (("parse", parsed_s), ("redact", redacted_s), ("cut", cut_s)):
        print(f"  {name} alone: {pieces / step_s:,.0f} passages a second of CPU time")


async def whole(root: Path, where: Path) -> None:
    """Measure ingestion into the embedded index, its memory, and changes that are followed."""
    embedder, parser = HashingEmbedder(), ProcessParser()
    index = open_index(where, embedder)
    ingester = Ingester(index, embedder, parser, root=root, limits=Limits())
    try:
        work = await ingester.look()
        started, cpu_s = time.perf_counter(), time.process_time()
        passages, done, marks = 0, 0, []
        async for outcome in ingester.run(work):
            passages, done = passages + outcome.passages, done + 1
            if done % max(1, work.plan.size // 4) == 0:
                marks.append((passages, _resident_mib()))
        took_s, cpu_s = time.perf_counter() - started, time.process_time() - cpu_s
        print(f"into the index: {passages / took_s:,.0f} passages/s ({done} documents)")
        print(f"  of embedding and writing: {passages / cpu_s:,.0f} a second of CPU time")
        print(f"  load average of the machine: {os.getloadavg()[0]:.1f}")
        print("  memory: " + ", ".join(f"{mib:.0f} MiB at {n:,}" for n, mib in marks))
        started = time.perf_counter()
        await ingester.look()
        print(f"looking again: {time.perf_counter() - started:.2f} s, nothing read")
        await followed(root, ingester, index)
    finally:
        await parser.close()
        await index.aclose()
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"the parser's process: {children.ru_maxrss / 1024:.0f} MiB at most")


async def followed(root: Path, ingester: Ingester, index: PassageIndex) -> None:
    """Measure from a file's being written until its new word is found."""
    stop, ready = asyncio.Event(), asyncio.Event()

    async def begin() -> None:
        ready.set()

    async def go() -> None:
        async for _ in follow(ingester, root, stop, quiet_s=0.2, ready=begin):
            pass

    task = asyncio.create_task(go())
    await ready.wait()
    path = sorted(root.rglob("*.md"))[7]
    text, waits = path.read_text(encoding="utf-8"), []
    for number in range(_CHANGES):
        word = f"zauberwort{number:04d}"
        path.write_text(f"{text}\nDas {word} ist neu.\n", encoding="utf-8")
        written = time.perf_counter()
        while not await index.by_words(word, Scope(("kfz",)), 1):  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.005)
        waits.append(time.perf_counter() - written)
    stop.set()
    await task
    waits.sort()
    print(
        f"a change is found after: median {waits[len(waits) // 2]:.2f} s, at most {waits[-1]:.2f} s"
    )


def _resident_mib() -> float:
    """Return what this process has in memory now; its peak where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return pages * resource.getpagesize() / 2**20


if __name__ == "__main__":
    main()
