"""A passage: what retrieval hands to generation, and what it is cited by."""

from __future__ import annotations

from dataclasses import dataclass

from apps.core.ids import DEFAULT_TENANT

# From this score of its best passage on a question counts as covered (docs/knowledge.md).
COVERED_SCORE = 0.5


@dataclass(frozen=True, slots=True)
class Citation:
    """Where a passage stands, for whoever wants to look it up.

    Attributes:
        title: What a person calls the document; of an entry, its question.
        source: Where it lies: a path, an address, ``kfz/en/registration.md#reg-new``.
        headings: The headings above the passage, the widest first.
        page: Its page from 1, where the document has pages.
        document_id: The document; empty for what comes from no document.
        entry_id: The entry of the knowledge base; empty for what comes from no entry.
    """

    title: str
    source: str
    headings: tuple[str, ...] = ()
    page: int | None = None
    document_id: str = ""
    entry_id: str = ""

    def as_dict(self) -> dict[str, object]:
        """Return what is known of it, for the event log and the caller's side."""
        known = {
            "title": self.title,
            "source": self.source,
            "headings": list(self.headings),
            "page": self.page,
            "document": self.document_id,
            "entry": self.entry_id,
        }
        return {name: value for name, value in known.items() if value}


@dataclass(frozen=True, slots=True)
class Passage:
    """An entry of the knowledge base, or a piece of a document, that may answer a question.

    Attributes:
        entry_id: Its stable id: the entry's, e.g. ``reg-new``, or ``kfz/fees.pdf#3`` for a
            document's fourth piece.
        question: The entry's canonical question; of a document's piece, the heading above it.
        text: Its answer: self-contained, speakable sentences.
        score: In [0, 1]; how well it fits, against ``COVERED_SCORE``.
        language: ``de`` or ``en``.
        source: Where it stands, for citations: ``kfz/en/registration.md#reg-new``.
        citation: What it is cited by; None stands for the question and the source.
    """

    entry_id: str
    question: str
    text: str
    score: float
    language: str
    source: str
    citation: Citation | None = None

    @property
    def cited(self) -> Citation:
        """What it is cited by."""
        own = Citation(self.question, self.source, entry_id=self.entry_id)
        return own if self.citation is None else self.citation

    @property
    def of_document(self) -> bool:
        """Whether it is a piece of a document, whose first sentence need not be its answer."""
        return self.citation is not None and bool(self.citation.document_id)


@dataclass(frozen=True, slots=True)
class Within:
    """What a search may see beside a profile's entries, and what it follows.

    Attributes:
        spaces: The knowledge spaces whose documents are searched; none searches no document.
        tenant: Whose they are.
        follows: The ids of the passages that the last answer rested on, where the question
            follows it up.
        call_ref: Keyed hash of the call that asks; empty outside a call.
    """

    spaces: tuple[str, ...] = ()
    tenant: str = DEFAULT_TENANT
    follows: tuple[str, ...] = ()
    call_ref: str = ""


ENTRIES_ALONE = Within()
