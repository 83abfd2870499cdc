"""Ranks the questions by each way of finding an entry, and counts what was right."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import log2

import numpy as np
from numpy.typing import NDArray

from apps.core.passages import COVERED_SCORE
from apps.knowledge.entries import Entry
from apps.knowledge.learning import learn
from apps.knowledge.lexical import LexicalIndex
from apps.knowledge.ranking import EntryRanker
from apps.knowledge.syllabus import syllabus_of
from benchmarks.knowledge.model import Model
from benchmarks.knowledge.questions import Question

# Of the covered questions, so many may fall below a threshold that is set on the tuning half.
WRONG_REFUSALS = 0.03
PROFILE = "kfz"
WITH_MODEL = "fused, with a model"

Ranking = list[tuple[str, float]]  # entry id and score, best first
Finder = Callable[[str], Ranking]


@dataclass(frozen=True, slots=True)
class Found:
    """What one way of searching answered to one question.

    Attributes:
        rank: The right entry's place, from 1; 0 where it was not found or there is none.
        top: The best entry's score; 0 where nothing was found.
        covered: Whether the knowledge base has an entry for the question.
    """

    rank: int
    top: float
    covered: bool


@dataclass(frozen=True, slots=True)
class Figures:
    """Shares in [0, 1].

    Attributes:
        hit_1: Covered questions whose entry came first.
        hit_5: Covered questions whose entry is among the first five.
        ndcg: Mean normalised discounted cumulative gain; with one right entry a question,
            1 / log2(1 + its rank) (Jarvelin and Kekalainen 2002).
        right_refusals: Uncovered questions below the threshold.
        wrong_refusals: Covered questions below the threshold.
    """

    hit_1: float
    hit_5: float
    ndcg: float
    right_refusals: float
    wrong_refusals: float


def finders(
    entries: Sequence[Entry],
    language: str,
    model: Model | None = None,
    not_answered: Sequence[str] = (),
) -> Mapping[str, Finder]:
    """Return each way of searching the entries of one language, by name.

    Args:
        entries: What is searched.
        language: Theirs.
        model: Adds the way that also asks a model of meanings; what it is asked with must be
            prepared.
        not_answered: Questions that none of the entries answers.
    """
    lexical = LexicalIndex(entries)
    ranker = EntryRanker(entries, language, learn(entries, language, not_answered=not_answered))

    def full_text(query: str) -> NDArray[np.float64]:
        by_position = lexical.search(query, language=language, profile=PROFILE)
        return np.array([by_position.get(i, 0.0) for i in range(len(entries))])

    def named(ranked: Sequence[tuple[int, float]]) -> Ranking:
        return [(entries[position].id, score) for position, score in ranked]

    def sorted_by(scores: NDArray[np.float64]) -> Ranking:
        order = np.argsort(-scores, kind="stable")
        return named([(int(i), float(scores[i])) for i in order if scores[i] > 0])

    def vectors(query: str) -> Ranking:
        return sorted_by(ranker.opinions(query, full_text(query)).cosines)

    ways: dict[str, Finder] = {
        "BM25": lambda query: sorted_by(full_text(query)),
        "vectors": vectors,
        "fused": lambda query: named(ranker.rank(query, full_text(query))),
    }
    if model is not None:
        taught = EntryRanker(entries, language, ranker.learned)
        sense = model.sense(syllabus_of(entries, language, not_answered), ranker.learned)
        taught.sense = sense if sense.helps else None  # as far as TOM would use it
        ways[WITH_MODEL] = lambda query: named(
            taught.rank(query, full_text(query), model.vector(query))
        )
    return ways


def find(finder: Finder, questions: Sequence[Question], texts: Sequence[str]) -> list[Found]:
    """Return what a way of searching answers to questions, as they were heard."""
    found = []
    for question, text in zip(questions, texts, strict=True):
        ranking = finder(text)
        ids = [entry for entry, _ in ranking]
        rank = ids.index(question.entry) + 1 if question.entry in ids else 0
        top = ranking[0][1] if ranking else 0.0
        found.append(Found(rank, top, question.entry is not None))
    return found


def threshold(name: str, tuning: Sequence[Found]) -> float:
    """Return the score from which on a way of searching counts a question as covered.

    TOM's own is fixed. The others have none of their own, so theirs is the highest that refuses no
    more than ``WRONG_REFUSALS`` of the covered questions of the tuning half.
    """
    if name in ("fused", WITH_MODEL):
        return COVERED_SCORE
    covered = sorted(one.top for one in tuning if one.covered)
    return covered[int(WRONG_REFUSALS * len(covered))]


def figures(found: Sequence[Found], from_score: float) -> Figures:
    """Return the shares of what was found.

    Args:
        found: At least one covered and one uncovered question.
        from_score: From this score on a question counts as covered.
    """
    covered = [one for one in found if one.covered]
    uncovered = [one for one in found if not one.covered]
    return Figures(
        hit_1=sum(one.rank == 1 for one in covered) / len(covered),
        hit_5=sum(1 <= one.rank <= 5 for one in covered) / len(covered),
        ndcg=sum(1 / log2(1 + one.rank) for one in covered if one.rank) / len(covered),
        right_refusals=sum(one.top < from_score for one in uncovered) / len(uncovered),
        wrong_refusals=sum(one.top < from_score for one in covered) / len(covered),
    )
