"""Teaches the entries' rankers what a model of meanings knows, as soon as its server answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import numpy as np
import structlog

from apps.core.errors import TomError
from apps.knowledge.index.base import Embedder, Vectors
from apps.knowledge.kept import KeptSense
from apps.knowledge.retriever import Retriever
from apps.knowledge.senses import Sense, learn_sense
from apps.knowledge.syllabus import Syllabus, syllabus_of

FIRST_PAUSE_S = 5.0
LONGEST_PAUSE_S = 300.0
# Texts that are asked for at once; the embedder may split them further.
_BATCH = 128
_TOLD_EVERY = 1024

Progress = Callable[[int, int], None]
"""Told how many texts have their vectors, and of how many."""

log = structlog.get_logger(__name__)


class Senses:
    """What a model of meanings knows of the entries: kept, learned, and given to their rankers.

    Until it is learned, and where the model does not help, entries are ranked by words alone.

    Args:
        retriever: Of the entries.
        embedder: Makes the model's vectors.
        folder: Where what was learned is kept between starts; None keeps nothing.
        first_pause_s: After a first failure; each further pause is twice as long.
    """

    def __init__(
        self,
        retriever: Retriever,
        embedder: Embedder,
        folder: Path | None,
        *,
        first_pause_s: float = FIRST_PAUSE_S,
    ) -> None:
        self._retriever, self._embedder = retriever, embedder
        self._folder, self._first_pause_s = folder, first_pause_s
        self._vectors: dict[str, Vectors] = {}
        self._missing: list[tuple[str, str]] = []
        self._of_no_use: list[str] = []
        self._failed = ""
        for profile, language in retriever.spaces:
            sense = self._kept(profile, language).read()
            if sense is None:
                self._missing.append((profile, language))
            else:
                self._teach(profile, language, sense)

    @property
    def model(self) -> str:
        """Which model's vectors these are."""
        return self._embedder.name

    @property
    def learned(self) -> bool:
        """Whether everything is known that there is to learn."""
        return not self._missing

    @property
    def status(self) -> str:
        """What is known so far, in a sentence for an operator."""
        if self._failed:
            return f"entries are ranked by words alone so far: {self._failed}"
        if self._missing:
            return f"is learning {', '.join(map('/'.join, self._missing))} from its vectors"
        if self._of_no_use:
            return f"does not help with {', '.join(self._of_no_use)}, ranked by words alone"
        return "helps to rank the entries"

    async def run(self) -> None:
        """Learn what is missing; what fails is tried again until all is known."""
        pause_s = self._first_pause_s
        while self._missing:
            try:
                await self.learn(_tell)
            except Exception as error:  # whatever it is, calls go on by words alone
                log.warning(
                    "meanings_not_learned",
                    code=error.code if isinstance(error, TomError) else "defect",
                    reason=self._failed,
                    again_in_s=pause_s,
                )
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def learn(self, progress: Progress | None = None) -> None:
        """Learn what is missing, once; what came before a failure need not be asked for again.

        Raises:
            EngineError: The server of embeddings failed.
        """
        try:
            for profile, language in tuple(self._missing):
                await self._learn(profile, language, progress)
        except Exception as error:
            self._failed = error.message if isinstance(error, TomError) else type(error).__name__
            raise
        self._failed = ""
        self._vectors.clear()

    async def _learn(self, profile: str, language: str, progress: Progress | None) -> None:
        entries = self._retriever.entries(profile, language)
        others = self._retriever.not_answered(profile, language)
        syllabus = await asyncio.to_thread(syllabus_of, entries, language, others)
        vectors = await self._embed(syllabus, progress)
        words = self._retriever.learned(profile, language)
        # In a thread: some seconds of computing, nearly all of it where Python waits for NumPy.
        sense = await asyncio.to_thread(
            lambda: learn_sense(syllabus, words.lesson(syllabus), vectors)
        )
        await asyncio.to_thread(self._kept(profile, language).write, sense)
        self._teach(profile, language, sense)
        self._missing.remove((profile, language))
        log.info(
            "meanings_learned",
            of=f"{profile}/{language}",
            model=self._embedder.name,
            helps=sense.helps,
            hits=round(sense.hits, 3),
            hits_by_words=round(sense.hits_by_words, 3),
            refusals=round(sense.refusals, 3),
            refusals_by_words=round(sense.refusals_by_words, 3),
        )

    async def _embed(self, syllabus: Syllabus, progress: Progress | None) -> Vectors:
        texts = list(dict.fromkeys(syllabus.texts))
        missing = [text for text in texts if text not in self._vectors]
        for start in range(0, len(missing), _BATCH):
            batch = missing[start : start + _BATCH]
            self._vectors |= zip(batch, await self._embedder.embed(batch), strict=True)
            if progress is not None:
                progress(len(texts) - len(missing) + start + len(batch), len(texts))
        return np.stack([self._vectors[text] for text in syllabus.texts])

    def _teach(self, profile: str, language: str, sense: Sense) -> None:
        if sense.helps:
            self._retriever.teach(profile, language, sense)
        else:
            self._of_no_use.append(f"{profile}/{language}")

    def _kept(self, profile: str, language: str) -> KeptSense:
        entries = self._retriever.entries(profile, language)
        others = self._retriever.not_answered(profile, language)
        return KeptSense(entries, language, self._embedder.name, self._folder, others)


def _tell(done: int, of: int) -> None:
    if done == of or done % _TOLD_EVERY < _BATCH:
        log.info("meanings_asked_for", texts=done, of=of)
