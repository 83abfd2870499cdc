"""Vectors of a model of meanings, from a server, as the benchmark's finders take them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from types import TracebackType

import numpy as np
from rich.console import Console
from rich.progress import Progress

from apps.knowledge.index.base import Embedder, Vectors
from apps.knowledge.learning import Learned
from apps.knowledge.senses import Sense, learn_sense
from apps.knowledge.syllabus import Syllabus

_BATCH = 128


class Model:
    """An embedder that has been asked for all that is looked up; use as ``with``.

    Args:
        embedder: Makes the vectors.
    """

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._known: dict[str, Vectors] = {}
        self._runner = asyncio.Runner()

    def __enter__(self) -> Model:
        """Begin with nothing known."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the loop that the requests ran in."""
        self._runner.close()

    def prepare(self, texts: Iterable[str]) -> None:
        """Ask for the vectors of texts, where they are not known; shows how far it is.

        Raises:
            EngineError: The server failed.
        """
        missing = [text for text in dict.fromkeys(texts) if text not in self._known]
        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("Vectors", total=len(missing))
            for start in range(0, len(missing), _BATCH):
                batch = missing[start : start + _BATCH]
                vectors = self._runner.run(self._embedder.embed(batch))
                self._known |= zip(batch, vectors, strict=True)
                bar.advance(task, len(batch))

    def vector(self, text: str) -> Vectors:
        """Return the vector of a text that was prepared, shape (d,)."""
        return self._known[text]

    def sense(self, syllabus: Syllabus, learned: Learned) -> Sense:
        """Return what the model's vectors teach about entries."""
        self.prepare(syllabus.texts)
        vectors = [self._known[text] for text in syllabus.texts]
        return learn_sense(syllabus, learned.lesson(syllabus), np.stack(vectors))
