"""A retrieval as a row of the retrieval log: ids, scores and times, and no word that was asked."""

from __future__ import annotations

from apps.core.ids import keyed_hash
from apps.core.passages import COVERED_SCORE
from apps.core.words import words
from apps.knowledge.retrieval.found import Lookup, Outcome, Retrieved
from apps.store.retrieval_log import RetrievalRow

_IN_TIME = (Outcome.NONE, Outcome.COMPLETE)


def row_of(lookup: Lookup, found: Retrieved, key: bytes) -> RetrievalRow:
    """Return the row of a retrieval.

    Args:
        lookup: What was asked.
        found: What came of it.
        key: The installation's secret hashing key.
    """
    return RetrievalRow(
        query_hash=keyed_hash(" ".join(words(lookup.query)), key, purpose="query"),
        profile=lookup.profile,
        language=lookup.language,
        spaces=lookup.within.spaces,
        candidates=[
            {"id": passage.entry_id, "score": round(passage.score, 3)} for passage in found.passages
        ],
        stages_ms=dict(found.ms),
        found=sum(passage.score >= COVERED_SCORE for passage in found.passages),
        deadline_hit=found.documents.outcome not in _IN_TIME,
        call_ref=lookup.within.call_ref or None,
        tenant=lookup.within.tenant,
    )
