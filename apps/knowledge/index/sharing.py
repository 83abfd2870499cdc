"""Asks for the vector of a question once, whoever wants it: documents, graph and entries do."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from apps.knowledge.index.base import Embedder, Vectors

# Questions of calls that go on at once, whose vectors are at hand for a while.
_KEPT = 64


@dataclass(slots=True)
class _Asked:
    """A question whose vector is under way, and how many wait for it."""

    task: asyncio.Task[Vectors]
    waiting: int = 0


class SharedEmbedder:
    """An embedder that makes the vector of one question once.

    Who asks for the same text while it is under way waits for the same answer, and a little later
    gets it at once. Several texts together are passages, and passed on as they are.

    Args:
        embedder: Makes the vectors.
    """

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self.name, self.dimensions = embedder.name, embedder.dimensions
        self._asked: dict[bytes, _Asked] = {}
        self._known: OrderedDict[bytes, Vectors] = OrderedDict()

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one row of unit length a text.

        Raises:
            EngineError: The server that makes them failed.
        """
        if len(texts) != 1:
            return await self._embedder.embed(texts)
        key = hashlib.sha256(texts[0].encode()).digest()  # what a caller said is kept nowhere
        known = self._known.get(key)
        return known if known is not None else await self._wait(key, texts)

    async def _wait(self, key: bytes, texts: Sequence[str]) -> Vectors:
        asked = self._asked.get(key)
        if asked is None:
            asked = self._asked[key] = _Asked(asyncio.create_task(self._make(key, texts)))
        asked.waiting += 1
        try:
            return await asyncio.shield(asked.task)
        finally:
            asked.waiting -= 1
            if not asked.waiting and self._asked.get(key) is asked:
                del self._asked[key]
                asked.task.cancel()  # nobody waits for it any more

    async def _make(self, key: bytes, texts: Sequence[str]) -> Vectors:
        vectors = await self._embedder.embed(texts)
        # Whoever gets it gets the same array, so none may write into it.
        vectors = np.asarray(vectors)
        vectors.flags.writeable = False
        self._known[key] = vectors
        while len(self._known) > _KEPT:
            self._known.popitem(last=False)
        return vectors
