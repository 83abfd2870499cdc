"""What the live calls of one process ask: which adapters there are for the next call."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from threading import Lock

from sqlalchemy import Connection

from apps.rl.adapters.fold import Registered
from apps.rl.adapters.registry import AdapterRegistry
from apps.rl.adapters.rollout.assignment import Assignments, assignments_of
from apps.store.adapters import last_adapter_event


class AdapterDesk:
    """Keeps the registry's fold as far as the store goes, and what the server has loaded.

    Safe to share between threads: what it keeps is replaced, never changed.

    Args:
        registry: The adapters.
        control_share: Of a route's calls, how many get the control.
    """

    def __init__(self, registry: AdapterRegistry, control_share: float) -> None:
        self._registry, self._share = registry, control_share
        self._known = Registered()
        self._ready: frozenset[str] = frozenset()
        self._asked: dict[str, int] = {}
        self._count = 0
        self._lock = Lock()

    def current(self, conn: Connection) -> Assignments:
        """Return what calls may get now.

        In the write transaction that stores a call's choice it holds for that choice: whoever
        takes an adapter from callers afterwards sees the call.
        """
        if last_adapter_event(conn) != self._known.last_seq:
            self._known = self._registry.read(conn)
        return assignments_of(self._known, self._ready, self._share)

    def serves(self, ready: Collection[str]) -> None:
        """Say which adapters the server has loaded, smoke-tested."""
        self._ready = frozenset(ready)

    def asked_for(self, wanted: Collection[str]) -> None:
        """Note that a call has, or would have had, one of these adapters."""
        with self._lock:
            self._count += 1
            self._asked.update(dict.fromkeys(wanted, self._count))

    def last_asked(self) -> Mapping[str, int]:
        """Return when each adapter was asked for last, as a running number of calls."""
        with self._lock:
            return dict(self._asked)
