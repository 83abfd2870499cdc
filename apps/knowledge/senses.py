"""What the vectors of a model of meanings teach about entries. Pure.

A model knows that a wedding is none of a vehicle office's business, which words alone do not know;
they know rare words and misheard ones better. So what both say is added.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from apps.knowledge.calibration import trial
from apps.knowledge.ridge import RidgeClassifier, RidgeLesson
from apps.knowledge.syllabus import Syllabus
from apps.knowledge.vectors import Arrays, Floats

# More is smoother. Less than for words, whose cosines are of many features that tell nothing;
# chosen by the sample's English phrases, left out by fifths: from 0.1 to 0.5 the hits there fall
# by one percent.
_RIDGE = 0.1
# Fewer than by words alone (``calibration.WRONG_REFUSALS``): with a model, few of what others are
# asked looks surer than so many of the entries' own phrases.
_WRONG_REFUSALS = 0.025


@dataclass(frozen=True, slots=True)
class Sense:
    """What a model knows of n texts, each of an entry or of what no entry covers.

    Attributes:
        mean: Of the texts' vectors, shape (d,). Many models put all texts into one corner, and
            without it their cosines have the same range.
        vectors: Of the texts, less the mean and of unit length, shape (n, d).
        classifier: Tells the entries apart; its last class is what no entry covers.
        even_chance: How sure words and model together must be that an entry covers a question.
        hits: The share of phrases that both together gave to their entry when it was left out.
        hits_by_words: The same by the words alone.
        refusals: The share of what no entry covers that both together knew as such.
        refusals_by_words: The same by the words alone, which refuse as many phrases.
    """

    mean: Floats
    vectors: Floats
    classifier: RidgeClassifier
    even_chance: float
    hits: float
    hits_by_words: float
    refusals: float
    refusals_by_words: float

    @property
    def helps(self) -> bool:
        """Whether entries are told apart, and from others' business, as well as by words alone.

        One that does not know their language, or was made for something else, confuses them.
        """
        return self.hits >= self.hits_by_words and self.refusals >= self.refusals_by_words

    def looks_like(self, vector: Floats) -> Floats:
        """Return how much a text looks like each entry, and last like what no entry covers.

        Args:
            vector: The text's as the model makes it, of unit length, shape (d,).
        """
        return self.classifier.scores(self.vectors @ _centred(vector[None], self.mean)[0])

    def to_arrays(self) -> Arrays:
        """Return what ``from_arrays`` makes an equal one of."""
        numbers = [getattr(self, name) for name in _NUMBERS]
        return {
            "mean": self.mean,
            "vectors": self.vectors,
            "dual": self.classifier.dual,
            "numbers": np.array(numbers),
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Sense:
        """Return the one that ``to_arrays`` was asked of.

        Raises:
            KeyError: An array is missing.
            ValueError: There are not as many numbers.
        """
        numbers = dict(zip(_NUMBERS, arrays["numbers"].tolist(), strict=True))
        classifier = RidgeClassifier(arrays["dual"])
        return cls(arrays["mean"], arrays["vectors"], classifier, **numbers)


_NUMBERS = ("even_chance", "hits", "hits_by_words", "refusals", "refusals_by_words")


def learn_sense(syllabus: Syllabus, words: RidgeLesson, vectors: Floats) -> Sense:
    """Learn from a model's vectors; takes seconds of computing.

    Args:
        syllabus: What is taught.
        words: What the texts' words teach.
        vectors: Of the syllabus' texts, of unit length, shape (n, d).
    """
    mean = vectors.mean(axis=0)
    known = _centred(vectors, mean)
    lesson = RidgeLesson(known @ known.T, syllabus.labels, classes=syllabus.none + 1, ridge=_RIDGE)
    by_words = trial(words, syllabus)
    both = by_words + trial(lesson, syllabus)
    return Sense(
        mean,
        known,
        lesson.learn(),
        even_chance=both.even_chance(_WRONG_REFUSALS),
        hits=both.hits(),
        hits_by_words=by_words.hits(),
        refusals=both.right_refusals(_WRONG_REFUSALS),
        refusals_by_words=by_words.right_refusals(_WRONG_REFUSALS),
    )


def _centred(vectors: Floats, mean: Floats) -> Floats:
    """Return vectors less the mean, of unit length where any is left; shape (k, d)."""
    moved = vectors - mean
    lengths = np.linalg.norm(moved, axis=1, keepdims=True)
    return np.asarray(moved / np.where(lengths > 0, lengths, 1), dtype=np.float32)
