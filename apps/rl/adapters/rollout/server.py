"""What a roll-out needs of a language server that serves adapters, and a fake one."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Protocol

from apps.core.errors import EngineError, EngineUnavailable


class LoraServer(Protocol):
    """Loads and unloads adapters while it serves.

    ``load`` and ``unload`` are idempotent: what is loaded already, or not loaded any more, is no
    error. A name never gets other weights.
    """

    async def load(self, name: str, path: Path) -> None:
        """Load an adapter, and return when it serves.

        Args:
            name: The name under which it is served.
            path: Its folder, as the server sees it.

        Raises:
            EngineUnavailable: The server cannot be reached.
            EngineError: It refuses the adapter.
        """
        ...

    async def unload(self, name: str) -> None:
        """Let go of an adapter; answers under way are not waited for.

        Raises:
            EngineUnavailable: The server cannot be reached.
            EngineError: It refuses.
        """
        ...

    async def served(self) -> Collection[str]:
        """Return the names of the adapters that are loaded now.

        Raises:
            EngineUnavailable: The server cannot be reached.
        """
        ...

    async def running(self) -> Collection[str]:
        """Return the names of the adapters with answers under way or waiting.

        Raises:
            EngineUnavailable: The server cannot be reached.
        """
        ...


class FakeLoraServer:
    """A server in memory, for tests and demonstrations.

    Args:
        broken: Names that it refuses to load.

    Attributes:
        loaded: By name, where from.
        busy: Names with answers under way; set it as needed.
        down: Whether it cannot be reached.
        asked: What it was asked to do, in order.
    """

    def __init__(self, broken: Iterable[str] = ()) -> None:
        self.loaded: dict[str, Path] = {}
        self.busy: set[str] = set()
        self.down = False
        self.asked: list[tuple[str, str]] = []
        self.broken = set(broken)

    async def load(self, name: str, path: Path) -> None:
        """Load an adapter; see ``LoraServer``."""
        self._reached()
        self.asked.append(("load", name))
        if name in self.broken:
            raise EngineError(f"The fake server refuses {name}.", code="lora_refused")
        self.loaded.setdefault(name, path)

    async def unload(self, name: str) -> None:
        """Let go of an adapter; see ``LoraServer``."""
        self._reached()
        self.asked.append(("unload", name))
        self.loaded.pop(name, None)

    async def served(self) -> frozenset[str]:
        """Return what is loaded."""
        self._reached()
        return frozenset(self.loaded)

    async def running(self) -> frozenset[str]:
        """Return what is busy."""
        self._reached()
        return frozenset(self.busy)

    def restart(self) -> None:
        """Lose everything, as a server does that is started again."""
        self.loaded.clear()
        self.busy.clear()

    def _reached(self) -> None:
        if self.down:
            raise EngineUnavailable("The fake server is down.", code="lora_unreachable")
