"""What is known beside the entries: documents, and how long looking something up may take."""

from __future__ import annotations

from pydantic import Field

from apps.settings.base import SettingsGroup


class KnowledgeSettings(SettingsGroup):
    """What is known, and how it is found."""

    knowledge_documents: bool = Field(
        True, description="Answer from documents, too, where no entry covers a question."
    )
    retrieval_deadline_ms: int = Field(
        150,
        ge=10,
        le=5000,
        description="After so long a search in documents gives what it has, and the turn goes on.",
    )
    covered_cosine: float = Field(
        0.0,
        ge=0.0,
        lt=1.0,
        description="With embeddings that know meanings: the cosine from which on a passage covers"
        " a question whatever its words are; 0 leaves it to the words. docs/retrieval.md",
    )
