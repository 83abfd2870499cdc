"""What a server does beside its calls: background tasks, and letting go of what is too old."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

import structlog

from apps.core.clock import utc_hour, utc_now
from apps.core.errors import StoreError
from apps.dispatcher.recordings import purge_recordings
from apps.store.calls import purge_before
from apps.store.database import Database

log = structlog.get_logger(__name__)

SWEEP_EVERY_S = 3600.0


class Background:
    """Tasks that run as long as the server does; use as ``async with``."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Background:
        """Begin with no task."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop every task and wait for it."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something in the background; one that fails says so in the log."""
        task = asyncio.create_task(work)
        task.add_done_callback(_tell_failure)
        self._tasks.append(task)


def _tell_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("background_task_failed", task=task.get_name(), exc_info=error)


async def keep_retention(db: Database, days: int, recordings: Path) -> None:
    """Let go of everything older than the retention, now and then every hour."""
    while True:
        cutoff = utc_hour(utc_now() - timedelta(days=days))
        try:
            kept = await db.run(purge_before, cutoff)
        except StoreError as error:
            log.error("retention_failed", reason=error.message)
        else:
            removed = purge_recordings(recordings, days)
            if kept.calls or kept.feedback or removed:
                log.info("retention", calls=kept.calls, feedback=kept.feedback, recordings=removed)
        await asyncio.sleep(SWEEP_EVERY_S)
