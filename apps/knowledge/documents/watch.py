"""Follows the folder: what is written is in the index as soon as nobody writes it any more."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from watchfiles import Change, awatch

from apps.core.errors import DocumentError
from apps.knowledge.documents.ingest import Ingester
from apps.knowledge.documents.outcome import Outcome, Result
from apps.knowledge.documents.rules import FILE_NAME

_STEP_MS, _GROUPED_MS = 30, 100
_POLL_MS = 250
_LONGEST_WAIT = 10


@dataclass(frozen=True, slots=True)
class Settling:
    """Which paths were written lately, and which of them are at rest. Pure: time comes in.

    Attributes:
        quiet_s: A path is at rest when it was not written for so long; one that is written without
            an end is taken at ten times that.
        since: Of each path, when it was written first and last.
    """

    quiet_s: float
    since: tuple[tuple[str, float, float], ...] = ()

    def written(self, path: str, now_s: float) -> Settling:
        """Return what is known after a path was written."""
        first = next((begun for name, begun, _ in self.since if name == path), now_s)
        others = (one for one in self.since if one[0] != path)
        return Settling(self.quiet_s, (*others, (path, first, now_s)))

    def due(self, now_s: float) -> tuple[tuple[str, ...], Settling]:
        """Return the paths at rest, without those in folders at rest, and what is left."""
        at_rest = {path for path, first, last in self.since if self._at_s(first, last) <= now_s}
        rest = tuple(one for one in self.since if one[0] not in at_rest)
        paths = sorted(path for path in at_rest if not _above(path, at_rest))
        return tuple(paths), Settling(self.quiet_s, rest)

    def next_s(self) -> float | None:
        """Return when the next path is at rest; None when there is none."""
        return min((self._at_s(first, last) for _, first, last in self.since), default=None)

    def _at_s(self, first: float, last: float) -> float:
        return min(last + self.quiet_s, first + _LONGEST_WAIT * self.quiet_s)


def _above(path: str, others: set[str]) -> bool:
    """Whether a folder above a path is among others."""
    return any(str(parent) in others for parent in Path(path).parents)


def meant(root: str, path: str) -> str | None:
    """Return what is to be looked at when a path was written: itself, or a space for its rules.

    Returns:
        The path below the root; "" for all; None for what is hidden or elsewhere.
    """
    below = os.path.relpath(path, root)
    if below == ".":
        return ""
    parts = below.split(os.sep)
    if any(part.startswith((".", "~$")) for part in parts):
        return None
    if len(parts) == 2 and parts[1] == FILE_NAME:
        return parts[0]
    return "/".join(parts)


async def follow(
    ingester: Ingester,
    root: Path,
    stop: asyncio.Event,
    *,
    quiet_s: float = 0.2,
    poll: bool = False,
    ready: Callable[[], Awaitable[None]] | None = None,
) -> AsyncGenerator[Outcome, None]:
    """Bring the index to the folder, then yield what becomes of each document that is written.

    Args:
        ingester: Of the folder.
        root: The folder.
        stop: Ends it, after the document that it is at.
        quiet_s: How long a file must not be written before it is read.
        poll: Look every quarter of a second, where the file system tells nothing (NFS, SMB).
        ready: Called when all that lay there is indexed and changes are seen.

    Raises:
        DocumentError: The folder is not there, or no more.
    """
    real_root = os.path.realpath(root)
    written: asyncio.Queue[str] = asyncio.Queue()
    twins: dict[str, set[str]] = {}
    watching = asyncio.create_task(_watch(real_root, stop, written, poll=poll))
    try:
        await asyncio.sleep(0)  # it watches from its first step on, so nothing is missed
        async with aclosing(_all_of(ingester, ("",), stop)) as outcomes:
            async for outcome in outcomes:
                _remember(twins, outcome, written)
                yield outcome
        if ready is not None:
            await ready()
        settling = Settling(quiet_s)
        while not stop.is_set():
            settling = await _next(written, settling, watching)
            due, settling = settling.due(time.monotonic())
            async with aclosing(_all_of(ingester, due, stop)) as outcomes:
                async for outcome in outcomes:
                    _remember(twins, outcome, written)
                    yield outcome
            if watching.done():
                await watching
                break
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


def _remember(twins: dict[str, set[str]], outcome: Outcome, written: asyncio.Queue[str]) -> None:
    """Note whose duplicates were left out; they are looked at again when that one is no more."""
    if outcome.result is Result.DUPLICATE:
        twins.setdefault(outcome.same_as, set()).add(outcome.id)
    if outcome.result in (Result.GONE, Result.CHANGED, Result.POOR, Result.DUPLICATE):
        for twin in twins.pop(outcome.id, ()):
            written.put_nowait(twin)


async def _watch(
    root: str, stop: asyncio.Event, written: asyncio.Queue[str], *, poll: bool
) -> None:
    """Queue the paths that are written until it is stopped."""
    changes = awatch(
        root,
        watch_filter=None,
        step=_STEP_MS,
        debounce=_GROUPED_MS,
        stop_event=stop,
        force_polling=poll or None,
        poll_delay_ms=_POLL_MS,
        ignore_permission_denied=True,
    )
    try:
        async with aclosing(changes):
            async for batch in changes:
                for change, path in batch:
                    if change is Change.deleted and path == root:
                        raise FileNotFoundError
                    if (found := meant(root, path)) is not None:
                        written.put_nowait(found)
    except FileNotFoundError:
        raise DocumentError(
            f"The folder {root} is gone.", hint="Make it or mount it.", code="no_folder"
        ) from None


async def _next(
    written: asyncio.Queue[str], settling: Settling, watching: asyncio.Task[None]
) -> Settling:
    """Wait until something was written, is at rest, or nobody watches any more."""
    getting = asyncio.create_task(written.get())
    at_s = settling.next_s()
    patience = None if at_s is None else max(0.0, at_s - time.monotonic())
    try:
        await asyncio.wait(
            (getting, watching), timeout=patience, return_when=asyncio.FIRST_COMPLETED
        )
        if getting.done():
            settling = settling.written(getting.result(), time.monotonic())
        while not written.empty():
            settling = settling.written(written.get_nowait(), time.monotonic())
    finally:
        getting.cancel()
        await asyncio.gather(getting, return_exceptions=True)
    return settling


async def _all_of(
    ingester: Ingester, paths: tuple[str, ...], stop: asyncio.Event
) -> AsyncGenerator[Outcome, None]:
    """Yield what becomes of the documents at some paths."""
    for path in paths:
        work = await ingester.look(path)
        async with aclosing(ingester.run(work)) as outcomes:
            async for outcome in outcomes:
                yield outcome
                if stop.is_set():
                    return
