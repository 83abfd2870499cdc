"""Finds how sure a ranker must be that an entry covers a question, from the entries' own phrases.

A base with few phrases is less sure of what it covers than one with many, so no fixed threshold
fits all. Some of the phrases are left out, and so are whole subjects of what is asked elsewhere;
what the classifier that learned from the rest says of them shows where the two part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from apps.knowledge.ridge import RidgeLesson
from apps.knowledge.syllabus import Syllabus
from apps.knowledge.vectors import Floats, Ids

Scores = NDArray[np.floating]

# Of the phrases that were left out, so many may fall below the even chance. Many of them are a word
# or two: of whole questions, those of the benchmark's tuning and held-out halves, 1 % do then.
WRONG_REFUSALS = 0.04
# Of the questions that others answer, at least so many fall below it, also where a base has too
# few phrases to know better.
_RIGHT_REFUSALS = 0.8
# Groups are left out by fifths, until this many phrases are known or every fifth had its turn.
_FOLDS = 5
_ENOUGH = 1000


@dataclass(frozen=True, slots=True)
class Trial:
    """What was said of k questions by who had not learned them.

    Attributes:
        scores: How much each looks like each class, shape (k, m); the last is what no entry covers.
        labels: The class of each, shape (k,).
    """

    scores: Floats
    labels: Ids

    def __add__(self, other: Trial) -> Trial:
        """Return what both say together of the same questions."""
        return Trial(self.scores + other.scores, self.labels)

    def even_chance(self, wrong_refusals: float = WRONG_REFUSALS) -> float:
        """Return the sureness from which on a question counts as covered.

        The sureness is ``any_entry`` plus how much the question looks like its best entry; see
        ``EntryRanker.rank``.

        Args:
            wrong_refusals: The share of the entries' phrases that may fall below it.
        """
        covered, elsewhere = self._sure[self._covered], self._sure[~self._covered]
        lowest = float(np.quantile(covered, wrong_refusals))
        if not len(elsewhere):
            return lowest
        return max(lowest, float(np.quantile(elsewhere, _RIGHT_REFUSALS)))

    def hits(self) -> float:
        """Return the share of the entries' phrases that look most like their own entry."""
        best = self.scores[self._covered, :-1].argmax(axis=1)
        return float((best == self.labels[self._covered]).mean())

    def right_refusals(self, wrong_refusals: float = WRONG_REFUSALS) -> float:
        """Return the share of what no entry covers that falls below ``even_chance``."""
        elsewhere = self._sure[~self._covered]
        below = elsewhere < self.even_chance(wrong_refusals)
        return float(below.mean()) if len(elsewhere) else 1.0

    @property
    def _sure(self) -> NDArray[np.float64]:
        """How sure it is that an entry covers each question, shape (k,)."""
        return np.asarray(any_entry(self.scores) + self.scores[:, :-1].max(axis=1))

    @property
    def _covered(self) -> NDArray[np.bool_]:
        return np.asarray(self.labels < self.scores.shape[1] - 1)


def any_entry(scores: Scores) -> Scores:
    """Return how much more a question looks like any entry than like what is asked elsewhere.

    Args:
        scores: How much it looks like each class, the last of which is what no entry covers; shape
            (m,), or (k, m) of k questions.

    Returns:
        About 1 for a known phrase, about -1 for an example of the others; shape () or (k,).
    """
    return np.asarray(scores[..., :-1].sum(axis=-1) - scores[..., -1])


def trial(lesson: RidgeLesson, syllabus: Syllabus) -> Trial:
    """Return what is said of phrases, and of whole subjects asked elsewhere, that are left out.

    Args:
        lesson: What is known of the syllabus' texts.
        syllabus: Its groups are left out whole.
    """
    none = syllabus.none
    sizes = np.array([size for size, _ in syllabus.groups])
    labels = np.repeat([label for _, label in syllabus.groups], sizes)
    # Taken in turn within each class, so that every entry keeps most of its phrases.
    folds = np.repeat(_turns([label for _, label in syllabus.groups]), sizes)
    rows, scores, covered = [], [], 0
    for fold in range(_FOLDS):
        rows.append(np.flatnonzero(folds == fold))
        scores.append(lesson.left_out(rows[-1]))
        covered += int((labels[rows[-1]] < none).sum())
        if covered >= _ENOUGH:
            break
    return Trial(np.concatenate(scores), labels[np.concatenate(rows)])


def _turns(labels: Sequence[int]) -> list[int]:
    """Return each group's fold: its number among those of its class, offset by the class."""
    seen: dict[int, int] = {}
    turns = []
    for label in labels:
        seen[label] = seen.get(label, label - 1) + 1
        turns.append(seen[label] % _FOLDS)
    return turns
