"""PocketSphinx, the embedded recogniser: English, nothing to download."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from apps.core.errors import EngineUnavailable
from apps.voice.stt.base import ListenOptions, OnPartial
from apps.voice.stt.build import GENERAL_WORDS, Recipe, place_recipe
from apps.voice.stt.domain import DomainText
from apps.voice.stt.utterance import WorkerUtterance
from apps.voice.workers.host import OnRestart, WorkerPool
from apps.voice.workers.process import WorkerInfo, WorkerSpec

LANGUAGES = frozenset({"en"})
WORKER_NICE = 5
BUILD_TIMEOUT_S = 180.0
_BACKLOG_BYTES = 320_000  # ten seconds of audio: a decode may take a while


class PocketSphinx:
    """PocketSphinx in worker processes.

    Args:
        corpora: For each profile, what its callers may talk about.
        cache_dir: Where models are kept by content; building them takes about 15 s, once.
        workers: How many processes; one serves several utterances at once.
        general_words: How many of the most frequent English words it knows besides the corpora's.
        on_restart: Called with ``pocketsphinx`` at each restart, for the metrics.
    """

    name = "pocketsphinx"
    languages = LANGUAGES

    def __init__(
        self,
        corpora: Mapping[str, DomainText],
        *,
        cache_dir: Path,
        workers: int = 2,
        general_words: int = GENERAL_WORDS,
        on_restart: OnRestart | None = None,
    ) -> None:
        self._recipe, self._cache_dir = Recipe(dict(corpora), general_words), cache_dir
        self._workers, self._on_restart = workers, on_restart
        self._pool: WorkerPool | None = None

    @property
    def infos(self) -> list[WorkerInfo]:
        """What the running workers say about themselves."""
        return self._pool.infos if self._pool is not None else []

    @property
    def ready(self) -> bool:
        """Whether it can take an utterance now."""
        return self._pool is not None and self._pool.ready

    async def start(self) -> None:
        """Build the models where they are missing, start and warm the workers.

        Raises:
            EngineUnavailable: The cache cannot be written, or a worker cannot serve.
        """
        models = await asyncio.to_thread(place_recipe, self._recipe, self._cache_dir)
        spec = WorkerSpec(
            name=self.name,
            module="apps.voice.workers.pocketsphinx_worker",
            args=(str(models.resolve()),),
            nice=WORKER_NICE,
            ready_timeout_s=BUILD_TIMEOUT_S,
            backlog_bytes=_BACKLOG_BYTES,
        )
        self._pool = WorkerPool(spec, self._workers, on_restart=self._on_restart)
        await self._pool.start()

    def listen(
        self, options: ListenOptions, on_partial: OnPartial | None = None
    ) -> WorkerUtterance:
        """Open one utterance.

        Raises:
            EngineUnavailable: The language is not English, or the engine was not started.
            EngineDied: No worker runs now; they are being restarted.
            EngineOverloaded: The workers do not keep up.
        """
        if options.language not in self.languages:
            raise EngineUnavailable(
                f"PocketSphinx does not understand {options.language!r}.",
                hint="For German put faster-whisper's weights in place: tom models pull.",
            )
        if self._pool is None:
            raise EngineUnavailable("PocketSphinx was not started.")
        pool = self._pool
        header = {
            "profile": options.profile,
            "listen_for": options.listen_for.value,
            "partials": on_partial is not None,
        }
        return WorkerUtterance(lambda take: pool.open(header, on_reply=take), on_partial)

    async def wait_ready(self) -> None:
        """Wait until some worker takes utterances again; bound it with a timeout."""
        if self._pool is not None:
            await self._pool.wait_ready()

    async def close(self) -> None:
        """Stop the workers."""
        if self._pool is not None:
            pool, self._pool = self._pool, None
            await pool.close()
