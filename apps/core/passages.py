"""A passage: what retrieval hands to generation."""

from __future__ import annotations

from dataclasses import dataclass

# From this score of its best passage on a question counts as covered (docs/knowledge.md).
COVERED_SCORE = 0.5


@dataclass(frozen=True, slots=True)
class Passage:
    """One entry of the knowledge base that may answer a question.

    Attributes:
        entry_id: The entry's stable id, e.g. ``reg-new``.
        question: Its canonical question.
        text: Its answer: self-contained, speakable sentences.
        score: In [0, 1]; how well it fits, against ``COVERED_SCORE``.
        language: ``de`` or ``en``.
        source: Where it stands, for citations: ``kfz/en/registration.md#reg-new``.
    """

    entry_id: str
    question: str
    text: str
    score: float
    language: str
    source: str
