"""The second stage: looks at what the first one found, word by word, and says how sure it is. Pure.

The score is a logistic regression over the features of ``closeness``, fitted so that 0.5 parts what
answers a question from what does not (docs/retrieval.md has the data and the figures;
``python -m benchmarks.retrieval --fit`` fits it again).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp

import numpy as np
from numpy.typing import NDArray

from apps.knowledge.index.base import StoredChunk
from apps.knowledge.retrieval.closeness import (
    FEATURES,
    PassageTerms,
    alike,
    asked,
    closeness,
    passage_terms,
    standing,
    weights,
)
from apps.knowledge.retrieval.found import Ranked

INPUTS = (*FEATURES, "fused")
"""What the score is made of: the features, and the first stage's score relative to the best."""
MOST_BOOST = 0.15
"""What standing near the last answer's passages adds to a score, at most."""
_VARIETY = 0.3
_SAME = 0.85
_VARIED = 10


@dataclass(frozen=True, slots=True)
class Calibration:
    """How the inputs become a score: 1 / (1 + exp(-(bias + weights . inputs)))."""

    bias: float
    weights: tuple[float, ...]

    def score(self, inputs: NDArray[np.float64]) -> float:
        """Return a score in [0, 1]."""
        total = self.bias + float(np.dot(self.weights, inputs))
        return 1.0 / (1.0 + exp(-max(-60.0, min(60.0, total))))


# In the order of INPUTS.
CALIBRATIONS: Mapping[str, Calibration] = {
    "en": Calibration(-5.93, (1.04, 1.44, 1.89, 0.41, 0.38, 0.99, 0.73, 0.04, 2.60)),
    "de": Calibration(-5.30, (1.59, 1.73, 0.93, 0.45, 1.69, 1.25, 0.00, 0.00, 2.51)),
}


@dataclass(frozen=True, slots=True)
class CoveredCosine:
    """From which cosine on a passage counts as covering whatever its words are.

    Only for vectors that know meanings; those made of words say nothing that words do not.
    """

    even_chance: float
    slope: float = 20.0

    def score(self, cosine: float) -> float:
        """Return a score in [0, 1]: 0.5 at the even chance."""
        return 1.0 / (1.0 + exp(-self.slope * (cosine - self.even_chance)))


@dataclass(frozen=True, slots=True)
class Candidate:
    """What the first stage knows of a piece."""

    stored: StoredChunk
    fused: float
    word_rank: int | None
    vector_rank: int | None
    cosine: float | None


def terms_of(stored: StoredChunk, language: str) -> PassageTerms:
    """Return a stored piece as it is compared with a question."""
    return passage_terms(stored.chunk.text, stored.chunk.headings, stored.document.title, language)


def rank(
    question: str,
    language: str,
    candidates: Sequence[Candidate],
    *,
    near: Mapping[str, float] | None = None,
    covered_cosine: CoveredCosine | None = None,
) -> tuple[Ranked, ...]:
    """Return candidates with their scores, best first; near duplicates stand behind the others.

    Args:
        question: The question in full.
        language: ``de`` or ``en``.
        candidates: What the first stage found, best first.
        near: Passage ids (``document#position``) and documents' ids, with how near they stand to
            what the last answer was made of, in [0, 1].
        covered_cosine: For vectors that know meanings; None leaves the score to the words.
    """
    if not candidates:
        return ()
    ranked = []
    seen = seen_by_words(question, language, candidates)
    for candidate, (_, inputs) in zip(candidates, seen, strict=True):
        score = _score(inputs, candidate, language, covered_cosine)
        boost = MOST_BOOST * _nearness(candidate.stored, near or {})
        ranked.append(_ranked(candidate, score, boost, inputs))
    order = sorted(range(len(ranked)), key=lambda i: -ranked[i].score)
    return _varied([(ranked[i], seen[i][0]) for i in order])


def seen_by_words(
    question: str, language: str, candidates: Sequence[Candidate]
) -> list[tuple[PassageTerms, NDArray[np.float64]]]:
    """Return for each candidate its terms and its inputs, shape (9,)."""
    query = asked(question, language)
    terms = [terms_of(candidate.stored, language) for candidate in candidates]
    stands = standing(query, terms)
    weight = weights(stands)
    best = max(candidate.fused for candidate in candidates) or 1.0
    return [
        (passage, np.append(closeness(query, passage, row, weight), candidate.fused / best))
        for candidate, passage, row in zip(candidates, terms, stands, strict=True)
    ]


def _score(
    inputs: NDArray[np.float64],
    candidate: Candidate,
    language: str,
    covered_cosine: CoveredCosine | None,
) -> float:
    shares_words = bool(inputs[0])
    by_words = CALIBRATIONS[language].score(inputs) if shares_words else 0.0
    if covered_cosine is None or candidate.cosine is None:
        return by_words
    return max(by_words, covered_cosine.score(candidate.cosine))


def _nearness(stored: StoredChunk, near: Mapping[str, float]) -> float:
    own = near.get(f"{stored.document.id}#{stored.chunk.position}", 0.0)
    return min(1.0, max(own, near.get(stored.document.id, 0.0)))


def _ranked(
    candidate: Candidate, score: float, boost: float, inputs: NDArray[np.float64]
) -> Ranked:
    return Ranked(
        stored=candidate.stored,
        score=min(1.0, score + boost),
        fused=candidate.fused,
        word_rank=candidate.word_rank,
        vector_rank=candidate.vector_rank,
        cosine=candidate.cosine,
        features=dict(zip(INPUTS, map(float, inputs), strict=True)),
        boost=boost,
    )


def _varied(ordered: Sequence[tuple[Ranked, PassageTerms]]) -> tuple[Ranked, ...]:
    """Return pieces by maximal marginal relevance: the best first, then what says something else.

    Carbonell and Goldstein, The Use of MMR, Diversity-Based Reranking (SIGIR 1998), with the words'
    Jaccard similarity. What says nearly the same as a better piece goes behind it. Only the first
    pieces change places: nobody is given more.
    """
    left, later = list(ordered[:_VARIED]), [piece for piece, _ in ordered[_VARIED:]]
    chosen: list[Ranked] = []
    same: list[Ranked] = []
    likest = [0.0] * len(left)  # to any that is chosen
    while left:
        at = max(range(len(left)), key=lambda i: _marginal(left[i][0], likest[i]))
        (piece, terms), nearest = left.pop(at), likest.pop(at)
        (same if nearest >= _SAME else chosen).append(piece)
        if nearest < _SAME:
            likest = [
                max(known, alike(terms, other))
                for known, (_, other) in zip(likest, left, strict=True)
            ]
    return (*chosen, *same, *later)


def _marginal(piece: Ranked, likest: float) -> float:
    return (1 - _VARIETY) * piece.score - _VARIETY * likest
