"""A classifier that learns what tells classes of phrases apart: ridge regression, in NumPy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from apps.knowledge.vectors import Floats, Ids, TfidfMatrix, Weigh

# A feature of more phrases than this is worth a column of a dense matrix.
_OFTEN = 150
# Conjugate gradients: at most so many steps, fewer where each class's squared residual is as small
# as this. What is learned is exact to 0.001 of a score, what is said of phrases left out to 0.002.
_STEPS = 40
_PRECISE = 1e-4
_ROUGH = 1e-3
_TINY = np.float32(1e-20)


class RidgeClassifier:
    """Says which class a text belongs to.

    Args:
        phrases: The n phrases that it learned from.
        dual: What a cosine of 1 with each phrase says of each of m classes, shape (n, m).
    """

    def __init__(self, phrases: TfidfMatrix, dual: Floats) -> None:
        self.phrases = phrases
        self.dual = dual

    def scores(self, features: Iterable[str]) -> Floats:
        """Return how much a text looks like each class, shape (m,), about 1 for a known phrase."""
        return np.asarray(self.phrases.similarity(features) @ self.dual, dtype=np.float32)


class RidgeLesson:
    """Ridge regression on one-hot labels: what a classifier learns, and how well it carries over.

    It learns which features tell neighbouring entries apart ("online" tells two ways to
    deregister apart, "car" tells nothing), which similarity alone does not know. Solved and used
    in the dual (Bishop, Pattern Recognition and Machine Learning, section 6.1): a text with the
    cosines k to the phrases scores kᵀ(K + λI)⁻¹Y.
    """

    def __init__(
        self,
        phrases: Sequence[Sequence[str]],
        labels: Sequence[int],
        *,
        weigh: Weigh,
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
        self._phrases = TfidfMatrix.of(phrases, weigh)
        self._kernel = _products(self._phrases)
        self._ridge = np.float32(ridge)
        self._targets: Floats = np.zeros((len(phrases), classes), dtype=np.float32)
        self._targets[np.arange(len(phrases)), list(labels)] = 1
        self._classifier: RidgeClassifier | None = None

    def learn(self) -> RidgeClassifier:
        """Return a classifier that knows all phrases; the same one each time."""
        if self._classifier is None:
            everything = np.ones(len(self._targets), dtype=np.float32)
            nothing = np.zeros_like(self._targets)
            dual = self._solve(everything, nothing, _PRECISE)
            self._classifier = RidgeClassifier(self._phrases, dual)
        return self._classifier

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
        dual = self._solve(kept, self.learn().dual, _ROUGH)
        return np.asarray(self._kernel[rows] @ dual, dtype=np.float32)

    def _solve(self, kept: Floats, first: Floats, precise: float) -> Floats:
        """Return (K + λI)⁻¹Y of the phrases whose ``kept`` is 1, 0 for the others, shape (n, m).

        By conjugate gradients for all classes at once (Golub and Van Loan, Matrix Computations,
        section 11.3): the ridge keeps the condition low, so some twenty steps are enough, and a
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


def _products(phrases: TfidfMatrix) -> Floats:
    """Return the inner products of n phrases, shape (n, n).

    Features of many phrases are multiplied as one dense matrix, the others pair by pair, all
    features of equally many phrases at a time.
    """
    size, spread = phrases.size, np.diff(phrases.starts)
    often = spread > _OFTEN
    column = np.repeat(np.where(often, np.cumsum(often) - 1, -1), spread)
    dense = np.zeros((size, int(often.sum())), dtype=np.float32)
    chosen = column >= 0
    dense[phrases.rows[chosen], column[chosen]] = phrases.values[chosen]
    products: Floats = dense @ dense.T
    flat = products.reshape(-1)
    for count in np.unique(spread[~often]):
        places = phrases.starts[:-1][spread == count][:, None] + np.arange(count)
        rows, values = phrases.rows[places].astype(np.intp), phrases.values[places]
        pairs = rows[:, :, None] * size + rows[:, None, :]
        np.add.at(flat, pairs.ravel(), (values[:, :, None] * values[:, None, :]).ravel())
    return products
