"""Keeps a language server at what it should have loaded, and tells the desk what is ready."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from datetime import timedelta
from pathlib import Path

import structlog

from apps.core.clock import utc_hour, utc_now
from apps.core.errors import EngineError, EngineUnavailable, TomError
from apps.rl.adapters.fold import Registered
from apps.rl.adapters.record import AdapterRecord, AdapterState
from apps.rl.adapters.registry import AdapterRegistry
from apps.rl.adapters.rollout.desk import AdapterDesk
from apps.rl.adapters.rollout.residency import residency
from apps.rl.adapters.rollout.server import LoraServer
from apps.store.adapters import open_calls_with

log = structlog.get_logger(__name__)

LONGEST_CALL = timedelta(hours=2)
"""A call that began longer ago has ended, whether or not anybody could say so."""

MAX_TRIES = 3
"""A server that refuses an adapter so often, within one process, will not have it."""

_SMOKED = frozenset(
    {
        AdapterState.SHADOW,
        AdapterState.CANARY,
        AdapterState.ACTIVE,
        AdapterState.STANDBY,
        AdapterState.DRAINING,
    }
)

Refused = tuple[tuple[AdapterRecord, str], ...]


class Keeper:
    """One process's hands on the language server.

    Args:
        registry: The adapters.
        desk: Told what is loaded, for the next calls.
        server: The language server.
        live: The adapters of this process's calls.
        most: Adapters that the server has loaded at once.
        root: The adapters' folder as the server sees it; None where it is the same.

    Attributes:
        reached: The server could be reached the last time.
    """

    def __init__(
        self,
        registry: AdapterRegistry,
        desk: AdapterDesk,
        server: LoraServer,
        live: Callable[[], Collection[str]],
        *,
        most: int,
        root: Path | None,
    ) -> None:
        self._registry, self._desk, self._server = registry, desk, server
        self._live, self._most, self._root = live, most, root
        self._tries: dict[str, int] = {}
        self.reached = True

    async def reconciled(self, known: Registered) -> tuple[frozenset[str], Refused]:
        """Load and unload what should be.

        Returns:
            What is loaded now, and which adapters cannot be, with why.

        Raises:
            StoreError: The store cannot be read.
        """
        refused: list[tuple[AdapterRecord, str]] = []
        try:
            loaded = set(await self._server.served())
            in_use = await self._in_use(known, loaded)
            plan = residency(known, loaded, in_use, self._desk.last_asked(), self._most)
            for served in plan.unload:
                # Whoever is about to choose it for a call must not any more.
                self._desk.serves(_ready(known, loaded - {served}))
                await self._unloaded_idle(served, loaded)
            for served in plan.load:
                record = known.served(served)
                assert record is not None
                why = await self._load(record)
                if why is None:
                    loaded.add(served)
                elif why:
                    refused.append((record, why))
            self._is_reached(True)
        except EngineUnavailable as error:
            self._is_reached(False, error.message)
            loaded = set()
        self._desk.serves(_ready(known, loaded))
        return frozenset(loaded), tuple(refused)

    async def unload(self, served: str) -> None:
        """Let the server let go of an adapter.

        Raises:
            EngineError: It does not, or cannot be reached.
        """
        await self._server.unload(served)

    async def uses(self, served: str) -> bool:
        """Return whether some call has an adapter, here or elsewhere.

        Of a server that cannot be reached nothing is under way.

        Raises:
            StoreError: The store cannot be read.
        """
        if served in self._live() or await self._open_calls(served):
            return True
        try:
            return served in await self._server.running()
        except EngineUnavailable:
            return False

    async def _unloaded_idle(self, served: str, loaded: set[str]) -> None:
        """Unload what is least asked for, unless a call has got it a moment ago."""
        if await self.uses(served):
            return
        try:
            await self._server.unload(served)
        except EngineUnavailable:
            raise
        except EngineError as error:
            log.warning("adapter_not_unloaded", served=served, code=error.code)
            return
        loaded.discard(served)
        log.info("adapter_unloaded", served=served, why="others are asked for more")

    async def _load(self, record: AdapterRecord) -> str | None:
        """Load an adapter that the gate lets through.

        Returns:
            None when it is loaded; why it never will be; or nothing, to try again.
        """
        try:
            folder = await asyncio.to_thread(self._registry.admit, record)
            seen = folder if self._root is None else self._root / record.id
            await self._server.load(record.served, seen)
        except EngineUnavailable:
            raise
        except TomError as error:
            tries = self._tries[record.served] = self._tries.get(record.served, 0) + 1
            log.warning("adapter_not_loaded", adapter=record.id, code=error.code, tries=tries)
            is_final = not isinstance(error, EngineError) or tries >= MAX_TRIES
            return error.message if is_final else ""
        self._tries.pop(record.served, None)
        log.info("adapter_loaded", adapter=record.id, served=record.served)
        return None

    async def _in_use(self, known: Registered, loaded: Collection[str]) -> set[str]:
        used = {*await self._server.running(), *self._live()}
        for record in known.records.values():
            idle = record.served in loaded and record.served not in used
            if idle and await self._open_calls(record.served):
                used.add(record.served)
        return used

    async def _open_calls(self, served: str) -> int:
        since = utc_hour(utc_now() - LONGEST_CALL)
        return await self._registry.db.query(open_calls_with, served, since)

    def _is_reached(self, reached: bool, why: str = "") -> None:
        if reached and not self.reached:
            log.info("adapter_server_reached")
        if not reached and self.reached:
            log.error("adapter_server_not_reached", reason=why)
        self.reached = reached


def _ready(known: Registered, loaded: Collection[str]) -> set[str]:
    """Return what calls may have: what is loaded and has passed its smoke test."""
    return {r.served for r in known.records.values() if r.state in _SMOKED and r.served in loaded}
