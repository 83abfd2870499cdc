"""TF-IDF vectors that need no weights, their cosines, and a classifier over them, in NumPy.

Everything is computed from the knowledge base itself in well under a second at start.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import log, sqrt

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ids = NDArray[np.intp]


class Vectorizer:
    """Turns features into TF-IDF vectors of length 1.

    A feature weighs (1 + ln tf) * idf, with the smoothed idf = ln((1 + n) / (1 + df)) + 1
    (Manning, Raghavan and Schütze, Introduction to Information Retrieval, chapter 6).
    """

    def __init__(
        self, phrases: Sequence[Sequence[str]], weigh: Callable[[str], float] = lambda _: 1.0
    ) -> None:
        """Learn the features and their idf.

        Args:
            phrases: The features of each of n phrases; a feature may be repeated.
            weigh: Returns how much a feature counts beside its idf.
        """
        seen = Counter(feature for phrase in phrases for feature in set(phrase))
        self._ids = {feature: number for number, feature in enumerate(seen)}
        counts = np.fromiter(seen.values(), dtype=np.float32, count=len(seen))
        own = np.array([weigh(feature) for feature in seen], dtype=np.float32)
        self._idf: Floats = (np.log((1 + len(phrases)) / (1 + counts)) + 1) * own
        self._unknown_idf = float(np.log(1 + len(phrases))) + 1

    def __len__(self) -> int:
        return len(self._ids)

    def vector(self, features: Iterable[str]) -> tuple[Ids, Floats]:
        """Return the ids and values of a text's known features.

        Unknown features count in the length, so that a text of mostly unknown words is similar
        to nothing.
        """
        counts = Counter(features)
        known = [(self._ids[f], n) for f, n in counts.items() if f in self._ids]
        ids = np.array([number for number, _ in known], dtype=np.intp)
        values: Floats = np.array([1 + log(n) for _, n in known], dtype=np.float32)
        values *= self._idf[ids]
        unknown = sum((1 + log(n)) ** 2 for f, n in counts.items() if f not in self._ids)
        length = sqrt(float(values @ values) + unknown * self._unknown_idf**2)
        return ids, values / np.float32(length) if length else values


@dataclass(frozen=True, slots=True)
class Postings:
    """A sparse matrix by columns: the rows that have a feature, and its value in each."""

    rows: list[Ids]
    values: list[Floats]

    @classmethod
    def of(cls, vectorizer: Vectorizer, phrases: Sequence[Sequence[str]]) -> Postings:
        """Return the vectors of phrases, one a row, by feature."""
        rows: list[list[int]] = [[] for _ in range(len(vectorizer))]
        values: list[list[float]] = [[] for _ in rows]
        for row, phrase in enumerate(phrases):
            ids, weights = vectorizer.vector(phrase)
            for feature, value in zip(ids.tolist(), weights.tolist(), strict=True):
                rows[feature].append(row)
                values[feature].append(value)
        return cls(
            [np.array(row, dtype=np.intp) for row in rows],
            [np.array(value, dtype=np.float32) for value in values],
        )


class TfidfMatrix:
    """The vectors of n phrases."""

    def __init__(self, phrases: Sequence[Sequence[str]]) -> None:
        self._size = len(phrases)
        self._vectorizer = Vectorizer(phrases)
        self._postings = Postings.of(self._vectorizer, phrases)

    def similarity(self, features: Iterable[str]) -> Floats:
        """Return the cosine of a text with each phrase, shape (n,), in [0, 1]."""
        ids, weights = self._vectorizer.vector(features)
        if not len(ids):
            return np.zeros(self._size, dtype=np.float32)
        rows = np.concatenate([self._postings.rows[i] for i in ids])
        values = np.concatenate(
            [self._postings.values[i] * weight for i, weight in zip(ids, weights, strict=True)]
        )
        return np.bincount(rows, weights=values, minlength=self._size).astype(np.float32)


class RidgeClassifier:
    """Says which entry a text belongs to: ridge regression on one-hot labels, in closed form.

    It learns which features tell neighbouring entries apart ("online" tells two ways to
    deregister apart, "car" tells nothing), which similarity alone does not know. Solved in the
    dual (Bishop, Pattern Recognition and Machine Learning, section 6.1): W = Xᵀ(XXᵀ + λI)⁻¹Y.
    """

    def __init__(
        self,
        phrases: Sequence[Sequence[str]],
        labels: Sequence[int],
        *,
        weigh: Callable[[str], float],
        classes: int,
        ridge: float,
    ) -> None:
        """Learn from n labelled phrases.

        Args:
            phrases: The features of each phrase.
            labels: Each phrase's class, 0 to m - 1.
            weigh: Returns how much a feature counts beside its idf.
            classes: m; a class without a phrase scores 0.
            ridge: λ; more is smoother.
        """
        self._vectorizer = Vectorizer(phrases, weigh)
        postings = Postings.of(self._vectorizer, phrases)
        kernel = ridge * np.eye(len(phrases), dtype=np.float32)
        # Most features stand in few phrases, so the kernel is summed feature by feature.
        for rows, values in zip(postings.rows, postings.values, strict=True):
            kernel[rows[:, None], rows] += np.outer(values, values)
        targets = np.zeros((len(phrases), classes), dtype=np.float32)
        targets[np.arange(len(phrases)), list(labels)] = 1
        dual = np.linalg.solve(kernel, targets)
        self._weights: Floats = np.stack(
            [
                values @ dual[rows]
                for rows, values in zip(postings.rows, postings.values, strict=True)
            ]
        )

    def scores(self, features: Iterable[str]) -> Floats:
        """Return how much a text looks like each class, shape (m,), about 1 for a known phrase."""
        ids, values = self._vectorizer.vector(features)
        return np.asarray(values @ self._weights[ids], dtype=np.float32)
