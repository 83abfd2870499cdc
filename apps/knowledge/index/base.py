"""What an index of passages is: documents in, the nearest passages out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from apps.core.ids import DEFAULT_TENANT

Vectors = NDArray[np.float32]
"""Rows of unit length, shape (n, dimensions)."""


@dataclass(frozen=True, slots=True)
class Document:
    """A document as it is indexed.

    Attributes:
        id: Lasting and unique in its tenant: its space and its path there, ``kfz/fees/2026.pdf``.
        space: The knowledge space that it belongs to; a profile searches its spaces.
        title: What a person calls it.
        source: Where it came from: a path below the watched folder, or an address.
        media_type: Such as ``application/pdf``.
        language: ``de`` or ``en``.
        sha256: Of its bytes, hexadecimal.
        size: Of its bytes.
        mtime_ns: When its file was last changed, as the file system says; a nanosecond before where
            it was read so soon that its bytes are to be compared once more.
        quality: In [0, 1].
        tenant: Whose it is.
        recipe: How it was read: a fingerprint of the readers' version and of its space's rules
            (languages, what is public), and of what detects personal data. A document of another
            recipe is read again.
    """

    id: str
    space: str
    title: str
    source: str
    media_type: str
    language: str
    sha256: str
    size: int
    mtime_ns: int
    quality: float
    tenant: str = DEFAULT_TENANT
    recipe: str = ""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a document: what is found, cited and spoken.

    Attributes:
        position: Its place in the document, from 0.
        text: Self-contained sentences without personal data.
        headings: The headings above it, the widest first.
        page: Its page from 1, where the document has pages.
        language: ``de`` or ``en``.
    """

    position: int
    text: str
    headings: tuple[str, ...]
    page: int | None
    language: str


@dataclass(frozen=True, slots=True)
class Scope:
    """What a search may see.

    Attributes:
        spaces: Knowledge spaces.
        language: ``de`` or ``en``; None for any.
        tenant: Whose documents.
    """

    spaces: tuple[str, ...]
    language: str | None = None
    tenant: str = DEFAULT_TENANT


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that was found: its key in the index, and how well it fits (more is better)."""

    key: int
    score: float


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """A chunk with the document that it is of."""

    key: int
    chunk: Chunk
    document: Document


class Embedder(Protocol):
    """Turns texts into vectors whose cosine says how alike they are.

    Attributes:
        name: Says which vectors these are: an index holds those of one name alone.
        dimensions: Of each vector.
    """

    name: str
    dimensions: int

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one row of unit length a text.

        Raises:
            EngineError: The server that makes them failed.
        """
        ...


class PassageIndex(Protocol):
    """Holds documents' chunks, and finds them by their words and by their vectors."""

    async def replace(self, document: Document, chunks: Sequence[Chunk], vectors: Vectors) -> None:
        """Put a document in the place of what it was before, all or nothing; durable on return."""
        ...

    async def touch(self, document: Document) -> None:
        """Note new facts of a document whose chunks stay, such as when its file was changed.

        One that is not indexed is left alone.
        """
        ...

    async def remove(self, ids: Sequence[str], *, tenant: str = DEFAULT_TENANT) -> int:
        """Take documents out of every part of the index; returns how many there were."""
        ...

    async def documents(
        self, *, tenant: str = DEFAULT_TENANT, space: str | None = None
    ) -> tuple[Document, ...]:
        """Return what is indexed, by id."""
        ...

    async def by_words(self, query: str, scope: Scope, k: int) -> tuple[Hit, ...]:
        """Return the chunks that full text (BM25 or the server's like) ranks best, best first."""
        ...

    async def by_vector(self, vector: Vectors, scope: Scope, k: int) -> tuple[Hit, ...]:
        """Return the chunks nearest by cosine, best first; shape of the vector: (dimensions,)."""
        ...

    async def chunks(self, keys: Sequence[int]) -> tuple[StoredChunk, ...]:
        """Return chunks by their keys, in that order; those that are gone are left out."""
        ...
