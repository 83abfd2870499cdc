"""What a retrieval found, stage by stage: the passages, and why they stand where they stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from apps.core.passages import Citation, Passage, Within
from apps.knowledge.index.base import StoredChunk


class Outcome(StrEnum):
    """How much of a search for documents came in time."""

    NONE = "none"  # no documents are searched
    COMPLETE = "complete"
    WORDS_ALONE = "words_alone"
    VECTOR_ALONE = "vector_alone"
    LATE = "late"  # nothing in time: the entries alone
    FAILED = "failed"  # nothing, for the index cannot be used


@dataclass(frozen=True, slots=True)
class Ranked:
    """A document's piece after the second stage.

    Attributes:
        stored: The piece and its document.
        score: In [0, 1], against ``COVERED_SCORE``.
        fused: Its score of the first stage.
        word_rank: Its place among those found by words, from 1; None when it is not among them.
        vector_rank: Its place among those found by vectors.
        cosine: How near its vector is; None when it is not among those found by vectors.
        features: What the second stage saw of it, by name.
        boost: What was added because it stands near what the last answer was made of.
    """

    stored: StoredChunk
    score: float
    fused: float
    word_rank: int | None
    vector_rank: int | None
    cosine: float | None
    features: Mapping[str, float]
    boost: float = 0.0

    def passage(self) -> Passage:
        """Return it as generation takes it."""
        chunk, document = self.stored.chunk, self.stored.document
        return Passage(
            entry_id=f"{document.id}#{chunk.position}",
            question=chunk.headings[-1] if chunk.headings else document.title,
            text=chunk.text,
            score=self.score,
            language=chunk.language,
            source=document.source,
            citation=Citation(
                document.title,
                document.source,
                headings=chunk.headings,
                page=chunk.page,
                document_id=document.id,
            ),
        )


@dataclass(frozen=True, slots=True)
class FoundDocuments:
    """What a search for documents found, best first, and how long each stage took."""

    outcome: Outcome
    ranked: tuple[Ranked, ...] = ()
    ms: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Lookup:
    """What was asked of the knowledge base."""

    query: str
    language: str
    profile: str
    within: Within


@dataclass(frozen=True, slots=True)
class Retrieved:
    """One retrieval.

    Attributes:
        passages: What it gave, best first.
        entries: What was found among the entries.
        insights: What was found among the objections that have an approved answer.
        documents: What was found among the documents.
        ms: How long each stage took, in milliseconds, and ``total``.
    """

    passages: tuple[Passage, ...]
    entries: tuple[Passage, ...] = ()
    insights: tuple[Passage, ...] = ()
    documents: FoundDocuments = field(default_factory=lambda: FoundDocuments(Outcome.NONE))
    ms: Mapping[str, float] = field(default_factory=dict)
