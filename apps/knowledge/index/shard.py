"""The vectors of one tenant's space in one language, in memory, searched exactly."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from apps.knowledge.index.base import Vectors

Keys = NDArray[np.int64]


class Shard:
    """Keys and their vectors; keys are added in rising order.

    Args:
        dimensions: Of each vector.
    """

    def __init__(self, dimensions: int) -> None:
        self._keys: Keys = np.empty(64, dtype=np.int64)
        self._vectors: Vectors = np.empty((64, dimensions), dtype=np.float32)
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, keys: Keys, vectors: Vectors) -> None:
        """Add passages."""
        size = self._size + len(keys)
        if size > len(self._keys):
            room = max(size, 2 * len(self._keys)) - self._size
            self._keys = np.concatenate([self._keys[: self._size], np.empty(room, np.int64)])
            more = np.empty((room, self._vectors.shape[1]), np.float32)
            self._vectors = np.concatenate([self._vectors[: self._size], more])
        self._keys[self._size : size] = keys
        self._vectors[self._size : size] = vectors
        self._size = size

    def remove(self, first: int, last: int) -> None:
        """Take out the passages whose keys are from first to last."""
        keys = self._keys[: self._size]
        start, end = np.searchsorted(keys, (first, last + 1))
        if start == end:
            return
        self._keys = np.delete(keys, slice(start, end))
        self._vectors = np.delete(self._vectors[: self._size], slice(start, end), axis=0)
        self._size = len(self._keys)

    def search(self, vector: Vectors, k: int) -> tuple[Keys, Vectors]:
        """Return the keys and cosines of the k nearest, in no order."""
        scores = self._vectors[: self._size] @ vector
        best = np.argpartition(-scores, k - 1)[:k] if k < self._size else np.arange(self._size)
        return self._keys[best], scores[best]
