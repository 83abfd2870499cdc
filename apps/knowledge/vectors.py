"""TF-IDF vectors that need no weights, and their cosines, in NumPy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import log, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ids = NDArray[np.intp]
Arrays = dict[str, NDArray[Any]]

Weigh = Callable[[str], float]

# A feature of more phrases than this is worth a column of a dense matrix.
_OFTEN = 150


def _alike(_: str) -> float:
    return 1.0


class Vectorizer:
    """Turns features into TF-IDF vectors of length 1.

    A feature weighs (1 + ln tf) * idf, with the smoothed idf = ln((1 + n) / (1 + df)) + 1
    (Manning, Raghavan and Schütze, Introduction to Information Retrieval, chapter 6).

    Args:
        ids: The number of each known feature.
        idf: What each feature weighs, by number.
        size: n, the number of phrases that it was learned from.
        weigh: Returns how much a feature counts beside its idf.
    """

    def __init__(
        self, ids: Mapping[str, int], idf: Floats, size: int, weigh: Weigh = _alike
    ) -> None:
        self._ids = ids
        self.idf = idf
        self._unknown_idf = log(1 + size) + 1
        self._weigh = weigh

    def vector(self, features: Iterable[str]) -> tuple[Ids, Floats]:
        """Return the ids and values of a text's known features.

        Unknown features count in the length, so that a text of mostly unknown words is similar
        to nothing.
        """
        counts = Counter(features)
        known = [(self._ids[f], n) for f, n in counts.items() if f in self._ids]
        ids = np.array([number for number, _ in known], dtype=np.intp)
        values: Floats = np.array([1 + log(n) for _, n in known], dtype=np.float32)
        values *= self.idf[ids]
        unknown = sum(
            ((1 + log(n)) * self._weigh(f)) ** 2 for f, n in counts.items() if f not in self._ids
        )
        length = sqrt(float(values @ values) + unknown * self._unknown_idf**2)
        return ids, values / np.float32(length) if length else values

    @property
    def features(self) -> list[str]:
        """The known features, by number."""
        return list(self._ids)


class TfidfMatrix:
    """The vectors of n phrases: a sparse matrix by columns, one a feature.

    Args:
        vectorizer: Its features.
        starts: Where each feature's column begins in ``rows`` and ``values``, and the end.
        rows: The phrases that have a feature, column after column.
        values: The feature's value in each of them.
        size: n.
    """

    PARTS = ("features", "idf", "starts", "rows", "values", "size")

    def __init__(
        self,
        vectorizer: Vectorizer,
        starts: Ids,
        rows: Ids,
        values: Floats,
        size: int,
    ) -> None:
        self.vectorizer = vectorizer
        self.starts, self.rows, self.values, self.size = starts, rows, values, size

    @classmethod
    def of(cls, phrases: Sequence[Sequence[str]], weigh: Weigh = _alike) -> TfidfMatrix:
        """Learn the features and their idf, and return the phrases' vectors.

        Args:
            phrases: The features of each of n phrases; a feature may be repeated.
            weigh: Returns how much a feature counts beside its idf.
        """
        size = len(phrases)
        ids: dict[str, int] = {}
        found = np.fromiter(
            (ids.setdefault(feature, len(ids)) for phrase in phrases for feature in phrase),
            dtype=np.int64,
        )
        phrase_of = np.repeat(np.arange(size), [len(phrase) for phrase in phrases])
        # Sorted by feature, then by phrase: the matrix by columns.
        places, counts = np.unique(found * size + phrase_of, return_counts=True)
        columns, rows = np.divmod(places, size)
        spread = np.bincount(columns, minlength=len(ids))
        own = np.array([weigh(feature) for feature in ids])
        idf = (np.log((1 + size) / (1 + spread)) + 1) * own
        values = (1 + np.log(counts)) * idf[columns]
        lengths = np.sqrt(np.bincount(rows, weights=values * values, minlength=size))
        return cls(
            Vectorizer(ids, idf.astype(np.float32), size, weigh),
            np.concatenate([[0], np.cumsum(spread)]).astype(np.intp),
            rows.astype(np.intp),
            (values / lengths[rows]).astype(np.float32),
            size,
        )

    def similarity(self, features: Iterable[str]) -> Floats:
        """Return the cosine of a text with each phrase, shape (n,), in [0, 1]."""
        ids, weights = self.vectorizer.vector(features)
        begins, ends = self.starts[ids].tolist(), self.starts[ids + 1].tolist()
        cosines: Floats = np.zeros(self.size, dtype=np.float32)
        for begin, end, weight in zip(begins, ends, weights.tolist(), strict=True):
            # A phrase stands in a column once at most.
            cosines[self.rows[begin:end]] += self.values[begin:end] * weight
        return cosines

    def products(self) -> Floats:
        """Return the cosines of the n phrases with each other, shape (n, n).

        Features of many phrases are multiplied as one dense matrix, the others pair by pair, all
        features of equally many phrases at a time.
        """
        size, spread = self.size, np.diff(self.starts)
        often = spread > _OFTEN
        column = np.repeat(np.where(often, np.cumsum(often) - 1, -1), spread)
        dense = np.zeros((size, int(often.sum())), dtype=np.float32)
        chosen = column >= 0
        dense[self.rows[chosen], column[chosen]] = self.values[chosen]
        products: Floats = dense @ dense.T
        flat = products.reshape(-1)
        for count in np.unique(spread[~often]):
            places = self.starts[:-1][spread == count][:, None] + np.arange(count)
            rows, values = self.rows[places].astype(np.intp), self.values[places]
            pairs = rows[:, :, None] * size + rows[:, None, :]
            np.add.at(flat, pairs.ravel(), (values[:, :, None] * values[:, None, :]).ravel())
        return products

    def to_arrays(self) -> Arrays:
        """Return what ``from_arrays`` makes an equal matrix of."""
        features = "\n".join(self.vectorizer.features).encode()
        return {
            "features": np.frombuffer(features, dtype=np.uint8),
            "idf": self.vectorizer.idf,
            "starts": self.starts,
            "rows": self.rows.astype(np.int32),
            "values": self.values,
            "size": np.array(self.size),
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays, weigh: Weigh = _alike) -> TfidfMatrix:
        """Return the matrix that ``to_arrays`` was asked of; ``weigh`` must be what it had."""
        features = arrays["features"].tobytes().decode()
        ids = {feature: n for n, feature in enumerate(features.split("\n") if features else ())}
        size = int(arrays["size"])
        vectorizer = Vectorizer(ids, arrays["idf"], size, weigh)
        rows = arrays["rows"].astype(np.intp)
        return cls(vectorizer, arrays["starts"], rows, arrays["values"], size)
