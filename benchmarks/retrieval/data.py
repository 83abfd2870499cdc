"""The questions that the second stage is fitted and checked on, with the documents to find.

Two sets. ``town`` has documents of six offices of a fictional town and questions written for them,
among them some that no document answers. ``kfz`` has the answers of the sample's entries as if they
were documents, under their topics alone, and the entries' phrases as questions; half of the entries
are left out of the documents, so that their phrases have no answer there. Neither uses the frozen
questions of benchmarks/knowledge.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from apps.core.resources import resource
from apps.knowledge.entries import Entry, load_entries
from apps.knowledge.index.base import Chunk, Document

HERE = Path(__file__).parent
SPACE = "town"
_PHRASES = 4
"""Of each entry's phrases, so many are asked."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, and the piece that answers it: ``document#position``, or None."""

    text: str
    answer: str | None
    held_out: bool


@dataclass(frozen=True, slots=True)
class Collection:
    """Documents with their pieces, and questions about them."""

    name: str
    language: str
    documents: tuple[tuple[Document, tuple[Chunk, ...]], ...]
    questions: tuple[Asked, ...]


def collections(language: str) -> tuple[Collection, ...]:
    """Return both sets in a language."""
    return _town(language), _kfz(language)


def _town(language: str) -> Collection:
    folder = HERE / "documents" / language
    documents = tuple(_read(path, language) for path in sorted(folder.glob("*.md")))
    lines = (HERE / f"questions.{language}.jsonl").read_text(encoding="utf-8").splitlines()
    questions = tuple(
        Asked(row["question"], row["answer"], held_out=number % 2 == 1)
        for number, row in enumerate(map(json.loads, lines))
    )
    return Collection("town", language, documents, questions)


def _read(path: Path, language: str) -> tuple[Document, tuple[Chunk, ...]]:
    title, *sections = path.read_text(encoding="utf-8").removeprefix("# ").split("\n## ")
    chunks = []
    for position, section in enumerate(sections):
        heading, _, text = section.strip().partition("\n")
        chunks.append(Chunk(position, text.strip(), (heading,), None, language))
    return _document(path.stem, title.strip(), language), tuple(chunks)


def _kfz(language: str) -> Collection:
    entries = [entry for entry in load_entries(resource("knowledge")) if entry.language == language]
    kept = [entry for number, entry in enumerate(entries) if number % 2 == 0]
    documents = []
    where: dict[str, str] = {}
    for topic in sorted({entry.topic for entry in kept}):
        of_topic = [entry for entry in kept if entry.topic == topic]
        where |= {entry.id: f"{topic}#{place}" for place, entry in enumerate(of_topic)}
        chunks = tuple(
            Chunk(place, entry.answer, (), None, language) for place, entry in enumerate(of_topic)
        )
        documents.append((_document(topic, topic, language), chunks))
    return Collection("kfz", language, tuple(documents), tuple(_phrases(entries, where)))


def _phrases(entries: Sequence[Entry], where: dict[str, str]) -> Iterator[Asked]:
    rng = Random(7)
    for number, entry in enumerate(entries):
        for text in rng.sample(entry.variants, min(_PHRASES, len(entry.variants))):
            yield Asked(text, where.get(entry.id), held_out=number % 4 >= 2)


def _document(name: str, title: str, language: str) -> Document:
    return Document(
        id=name,
        space=SPACE,
        title=title,
        source=f"{name}.md",
        media_type="text/markdown",
        language=language,
        sha256="",
        size=0,
        mtime_ns=0,
        quality=1.0,
    )
