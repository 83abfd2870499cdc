"""Learns what tells classes of phrases apart: kernel ridge regression, in NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from apps.knowledge.vectors import Floats, Ids

# Conjugate gradients: at most so many steps, fewer where each class's squared residual is as small
# as this. What the sample's phrases teach is exact to 0.001 of a score, what is said of those left
# out to 0.002.
_STEPS = 60
_PRECISE = 1e-4
_ROUGH = 1e-3
_TINY = np.float32(1e-20)


def closeness(cosines: Floats) -> Floats:
    """Return how close texts of these cosines count as: 0 for 0, 1 for 1, less in between.

    It is the Gaussian kernel of vectors of length 1, exp(-|x - y|² / 2) = exp(cos - 1) since
    |x - y|² = 2 - 2 cos, without its constant term: who shares nothing is not close. A kernel
    still, for its series in cos has no negative term (Bishop, Pattern Recognition and Machine
    Learning, section 6.2). One phrase that is near counts for more than two half as near, and so
    do features that stand together: the powers of cos are products of features.
    """
    return np.asarray(np.expm1(cosines) / np.float32(np.e - 1), dtype=np.float32)


class RidgeClassifier:
    """Says which class a text belongs to.

    Args:
        dual: What being as close as can be to each of n phrases says of each of m classes, shape
            (n, m).
    """

    def __init__(self, dual: Floats) -> None:
        self.dual = dual

    def scores(self, cosines: Floats) -> Floats:
        """Return how much a text looks like each class, about 1 for a known phrase.

        Args:
            cosines: The text's with each phrase, shape (n,); or those of k texts, shape (k, n).

        Returns:
            Shape (m,) or (k, m).
        """
        return np.asarray(closeness(cosines) @ self.dual, dtype=np.float32)


class RidgeLesson:
    """Kernel ridge regression on one-hot labels: what is learned, and how well it carries over.

    It learns what tells neighbouring entries apart ("online" tells two ways to deregister apart,
    "car" tells nothing), which similarity alone does not know. Solved and used in the dual
    (Bishop, section 6.1): a text with the closenesses k to the phrases scores kᵀ(K + λI)⁻¹Y.

    Args:
        cosines: Of n labelled phrases with each other, shape (n, n).
        labels: Each phrase's class, 0 to m - 1.
        classes: m; a class without a phrase scores 0.
        ridge: λ; more is smoother.
    """

    def __init__(
        self, cosines: Floats, labels: Sequence[int], *, classes: int, ridge: float
    ) -> None:
        self._kernel = closeness(cosines)
        self._ridge = np.float32(ridge)
        self._targets: Floats = np.zeros((len(labels), classes), dtype=np.float32)
        self._targets[np.arange(len(labels)), list(labels)] = 1

    def learn(self) -> RidgeClassifier:
        """Return a classifier that knows all phrases."""
        return RidgeClassifier(self._dual)

    @cached_property
    def _dual(self) -> Floats:
        everything = np.ones(len(self._targets), dtype=np.float32)
        return self._solve(everything, np.zeros_like(self._targets), _PRECISE)

    def left_out(self, rows: Ids) -> Floats:
        """Return how much phrases look like each class to who learned from the others alone.

        Args:
            rows: The k phrases to leave out, by position.

        Returns:
            Scores as of ``RidgeClassifier.scores``, shape (k, m).
        """
        kept = np.ones(len(self._targets), dtype=np.float32)
        kept[rows] = 0
        # Who knows the left-out phrases too says nearly the same of the others: a good beginning.
        dual = self._solve(kept, self._dual, _ROUGH)
        return np.asarray(self._kernel[rows] @ dual, dtype=np.float32)

    def _solve(self, kept: Floats, first: Floats, precise: float) -> Floats:
        """Return (K + λI)⁻¹Y of the phrases whose ``kept`` is 1, 0 for the others, shape (n, m).

        By conjugate gradients for all classes at once (Golub and Van Loan, Matrix Computations,
        section 11.3): the ridge keeps the condition low, so some thirty steps are enough, and a
        direct solution takes three times as long.

        Args:
            kept: 1 or 0 for each phrase, shape (n,).
            first: A first guess, shape (n, m).
            precise: The squared residual to reach.
        """
        mask = kept[:, None]
        solution: Floats = first * mask
        residual = mask * (self._targets - self._kernel @ solution) - self._ridge * solution
        direction = residual.copy()
        norms = (residual * residual).sum(axis=0)
        for _ in range(_STEPS):
            if norms.max() < precise:
                break
            image = mask * (self._kernel @ direction) + self._ridge * direction
            step = norms / np.maximum((direction * image).sum(axis=0), _TINY)
            solution += step * direction
            residual -= step * image
            before, norms = norms, (residual * residual).sum(axis=0)
            direction = residual + norms / np.maximum(before, _TINY) * direction
        return solution
