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

# A feature of more phrases than this is worth a column of a dense matrix.
_OFTEN = 25
# Conjugate gradients: at most so many steps, fewer where the squared residual is this small.
_STEPS = 40
_PRECISE = 1e-5
_TINY = np.float32(1e-20)


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
        self._weigh = weigh

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
        unknown = sum(
            ((1 + log(n)) * self._weigh(f)) ** 2 for f, n in counts.items() if f not in self._ids
        )
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


class RidgeLesson:
    """Ridge regression on one-hot labels: what a classifier learns, and how well it carries over.

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
        """Compare n labelled phrases.

        Args:
            phrases: The features of each phrase.
            labels: Each phrase's class, 0 to m - 1.
            weigh: Returns how much a feature counts beside its idf.
            classes: m; a class without a phrase scores 0.
            ridge: λ; more is smoother.
        """
        self._vectorizer = Vectorizer(phrases, weigh)
        self._postings = Postings.of(self._vectorizer, phrases)
        self._kernel = _products(self._postings, len(phrases))
        self._ridge = np.float32(ridge)
        self._targets: Floats = np.zeros((len(phrases), classes), dtype=np.float32)
        self._targets[np.arange(len(phrases)), list(labels)] = 1

    def learn(self) -> RidgeClassifier:
        """Return a classifier that knows all phrases."""
        everything = np.ones(len(self._targets), dtype=np.float32)
        dual = self._solve(everything)
        weights = [
            values @ dual[rows]
            for rows, values in zip(self._postings.rows, self._postings.values, strict=True)
        ]
        return RidgeClassifier(self._vectorizer, np.stack(weights))

    def left_out(self, rows: Ids) -> Floats:
        """Return how much phrases look like each class to who learned from the others alone.

        Args:
            rows: The k phrases to leave out, by position.

        Returns:
            Scores as of ``RidgeClassifier.scores``, shape (k, m).
        """
        kept = np.ones(len(self._targets), dtype=np.float32)
        kept[rows] = 0
        return np.asarray(self._kernel[rows] @ self._solve(kept), dtype=np.float32)

    def _solve(self, kept: Floats) -> Floats:
        """Return (K + λI)⁻¹Y of the phrases whose ``kept`` is 1, 0 for the others, shape (n, m).

        By conjugate gradients for all classes at once (Golub and Van Loan, Matrix Computations,
        section 11.3): the ridge keeps the condition low, so a score is exact to 0.001 after
        some twenty steps, and a direct solution takes three times as long.
        """
        mask = kept[:, None]
        residual = self._targets * mask
        solution: Floats = np.zeros_like(residual)
        direction = residual.copy()
        norms = (residual * residual).sum(axis=0)
        for _ in range(_STEPS):
            image = mask * (self._kernel @ direction) + self._ridge * direction
            step = norms / np.maximum((direction * image).sum(axis=0), _TINY)
            solution += step * direction
            residual -= step * image
            before, norms = norms, (residual * residual).sum(axis=0)
            if norms.max() < _PRECISE:
                break
            direction = residual + norms / np.maximum(before, _TINY) * direction
        return solution


def _products(postings: Postings, size: int) -> Floats:
    """Return the inner products of n phrases, shape (n, n).

    Features of many phrases are multiplied as one dense matrix, the others one by one.
    """
    often = [len(rows) > _OFTEN for rows in postings.rows]
    dense = np.zeros((size, sum(often)), dtype=np.float32)
    columns = iter(range(dense.shape[1]))
    for rows, values, many in zip(postings.rows, postings.values, often, strict=True):
        if many:
            dense[rows, next(columns)] = values
    products: Floats = dense @ dense.T
    for rows, values, many in zip(postings.rows, postings.values, often, strict=True):
        if not many:
            products[rows[:, None], rows] += values[:, None] * values
    return products


class RidgeClassifier:
    """Says which entry a text belongs to.

    Args:
        vectorizer: Its features.
        weights: What each feature says of each class, shape (features, m).
    """

    def __init__(self, vectorizer: Vectorizer, weights: Floats) -> None:
        self._vectorizer = vectorizer
        self._weights = weights

    def scores(self, features: Iterable[str]) -> Floats:
        """Return how much a text looks like each class, shape (m,), about 1 for a known phrase."""
        ids, values = self._vectorizer.vector(features)
        return np.asarray(values @ self._weights[ids], dtype=np.float32)
