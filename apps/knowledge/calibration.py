"""Finds how sure a ranker must be that an entry covers a question, from the entries' own phrases.

A base with few phrases is less sure of what it covers than one with many, so no fixed threshold
fits all. Some of the phrases are left out, and so are whole subjects of what is asked elsewhere;
what the classifier that learned from the rest says of them shows where the two part.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from apps.knowledge.ridge import RidgeLesson
from apps.knowledge.syllabus import Syllabus

# Of the phrases that were left out, so many may fall below the even chance. With those refused for
# words of foreign subjects (``EntryRanker.rank``), 3 % are.
_WRONG_REFUSALS = 0.025
# Of the questions that others answer, at least so many fall below it, also where a base has too
# few phrases to know better.
_RIGHT_REFUSALS = 0.8
# Groups are left out by fifths, until this many phrases are known or every fifth had its turn.
_FOLDS = 5
_ENOUGH = 1000


def even_chance(lesson: RidgeLesson, syllabus: Syllabus) -> float:
    """Return the sureness from which on a question counts as covered.

    The sureness is how much more a question looks like any entry than like what is asked
    elsewhere, plus how much it looks like its best entry; see ``EntryRanker.rank``.

    Args:
        lesson: What is known of the syllabus' texts.
        syllabus: Its groups are left out whole.
    """
    none = syllabus.none
    sizes = np.array([size for size, _ in syllabus.groups])
    labels = np.repeat([label for _, label in syllabus.groups], sizes)
    # Taken in turn within each class, so that every entry keeps most of its phrases.
    folds = np.repeat(_turns([label for _, label in syllabus.groups]), sizes)
    covered: list[float] = []
    elsewhere: list[float] = []
    for fold in range(_FOLDS):
        rows = np.flatnonzero(folds == fold)
        scores = lesson.left_out(rows)
        entries = scores[:, :none]
        sure = entries.sum(axis=1) - scores[:, none] + entries.max(axis=1)
        covered += sure[labels[rows] < none].tolist()
        elsewhere += sure[labels[rows] == none].tolist()
        if len(covered) >= _ENOUGH:
            break
    lowest = float(np.quantile(covered, _WRONG_REFUSALS))
    return max(lowest, float(np.quantile(elsewhere, _RIGHT_REFUSALS))) if elsewhere else lowest


def _turns(labels: Sequence[int]) -> list[int]:
    """Return each group's fold: its number among those of its class, offset by the class."""
    seen: dict[int, int] = {}
    turns = []
    for label in labels:
        seen[label] = seen.get(label, label - 1) + 1
        turns.append(seen[label] % _FOLDS)
    return turns
