"""How entries, approved insights and documents become one ranking. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from apps.core.passages import COVERED_SCORE, Passage
from apps.knowledge.retrieval.closeness import Asked, PassageTerms

YIELDS_FROM = 0.2
"""An entry that lacks so much more of the question's words than a document has gives way to it."""


def merge(
    entries: Sequence[Passage],
    insights: Sequence[Passage],
    documents: Sequence[Passage],
    k: int,
    *,
    yields: bool = False,
) -> tuple[Passage, ...]:
    """Return at most k passages, the one that the answer rests on first.

    Entries are written and approved as answers, so where one covers the question it leads;
    documents answer what no entry covers. An insight is approved as well, and leads where it fits
    at least as well as the best entry. Behind the leader comes what else covers the question,
    whatever it is of, so that an answer may rest on both; then the rest.

    Args:
        entries: Of the knowledge base, best first.
        insights: Approved answers to objections, best first.
        documents: Documents' pieces, best first.
        k: At most so many.
        yields: Whether the best entry gives way to the best document (``gives_way``).
    """
    approved = sorted((*insights, *entries), key=_by_score)
    leads = [p for p in approved if p.score >= COVERED_SCORE][:1]
    if yields and documents and documents[0].score >= COVERED_SCORE:
        leads = [documents[0]]
    others = sorted((p for p in (*approved, *documents) if p not in leads), key=_by_score)
    covering = [p for p in others if p.score >= COVERED_SCORE]
    rest = [p for p in others if p.score < COVERED_SCORE]
    return tuple((*leads, *covering, *rest)[:k])


def gives_way(question: Asked, entry: PassageTerms, document: PassageTerms) -> bool:
    """Tell whether an entry lacks what a question is about, and a document has it.

    An office's entries cover "open on Saturday"; asked when the library is open on Saturday, they
    are as sure as ever. That they lack the library, only its words tell.

    Args:
        question: The question's words.
        entry: The best entry, its phrases and its answer.
        document: The best document's piece.
    """
    had_by_entry = _shares(question, entry)
    had_by_document = _shares(question, document)
    return had_by_document - had_by_entry >= YIELDS_FROM


def _shares(question: Asked, passage: PassageTerms) -> float:
    matched = [passage.whole.match(term) for term in question.terms]
    return sum(matched) / len(matched) if matched else 0.0


def _by_score(passage: Passage) -> float:
    return -passage.score
