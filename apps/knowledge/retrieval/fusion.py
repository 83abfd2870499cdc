"""Fuses rankings by reciprocal rank. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)

RANK_CONSTANT = 60
"""k of the paper: how much the first places count before the later ones."""


def fuse(rankings: Sequence[Sequence[Key]], *, k: int = RANK_CONSTANT) -> list[tuple[Key, float]]:
    """Return what stands in any ranking with its fused score, best first.

    A thing's score is the sum over the rankings of 1 / (k + rank), rank from 1 (Cormack, Clarke and
    Büttcher, Reciprocal Rank Fusion outperforms Condorcet and individual rank learning methods,
    SIGIR 2009). Scores of different kinds (BM25, cosines) need not be compared for it. Ties keep
    the order in which things were first seen.

    Args:
        rankings: Each the best first; what stands twice in one counts by its better place.
        k: More lets later places count for more.
    """
    scores: dict[Key, float] = {}
    for ranking in rankings:
        for rank, key in enumerate(dict.fromkeys(ranking), start=1):
            scores[key] = scores.get(key, 0.0) + 1.0 / (k + rank)
    return sorted(scores.items(), key=lambda item: -item[1])
