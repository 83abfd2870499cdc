"""How entries, approved insights and documents become one ranking. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from apps.core.passages import COVERED_SCORE, Passage


def merge(
    entries: Sequence[Passage],
    insights: Sequence[Passage],
    documents: Sequence[Passage],
    k: int,
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
    """
    approved = sorted((*insights, *entries), key=_score)
    leads = [p for p in approved if p.score >= COVERED_SCORE][:1]
    others = sorted((p for p in (*approved, *documents) if p not in leads), key=_score)
    covering = [p for p in others if p.score >= COVERED_SCORE]
    rest = [p for p in others if p.score < COVERED_SCORE]
    return tuple((*leads, *covering, *rest)[:k])


def _score(passage: Passage) -> float:
    return -passage.score
