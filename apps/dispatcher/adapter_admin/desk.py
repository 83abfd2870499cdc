"""What the adapters' listener does: a thin shell around registry, language server and router.

What reads the store or hashes files is done in threads: the calls' audio runs beside it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from apps.core.errors import AdapterError, EngineUnavailable
from apps.dispatcher.adapter_admin.bodies import Generate
from apps.rl.adapters.record import AdapterRecord, AdapterState
from apps.rl.adapters.registry import AdapterRegistry
from apps.rl.adapters.rollout.machine import Happening, What
from apps.rl.adapters.rollout.server import LoraServer
from apps.rl.adapters.routing.audit import AuditLog
from apps.rl.adapters.routing.decide import BASE
from apps.rl.adapters.routing.router import AdapterRouter, Routed

AUTO = "auto"


class Answerer(Protocol):
    """Answers a prompt as a call would: from the knowledge base, each sentence checked."""

    def __call__(
        self, prompt: str, *, profile: str, language: str, adapter: str
    ) -> AsyncGenerator[str, None]:
        """Yield the answer sentence by sentence.

        Raises:
            ConfigError: There is no such profile, or it does not speak the language.
            EngineError: No answer could be made.
        """
        ...


@dataclass(frozen=True, slots=True)
class AdminDesk:
    """Everything the listener's routes do.

    Attributes:
        registry: What adapters there are.
        server: The language server; None where none that takes adapters is set.
        router: Decides which adapter answers.
        answer: Answers prompts.
        audit: Gets a line for each act.
        base_model: The base model's name.
        served_root: The adapters' folder as the server sees it; None where it is the same.
    """

    registry: AdapterRegistry
    server: LoraServer | None
    router: AdapterRouter
    answer: Answerer
    audit: AuditLog
    base_model: str
    served_root: Path | None = None

    async def status(self) -> dict[str, Any]:
        """Return the base model, every adapter and where it stands, and what the router knows."""
        known = await asyncio.to_thread(self.registry.known)
        loaded = await self._loaded()
        return {
            "base_model": self.base_model,
            "server": "none" if self.server is None else "away" if loaded is None else "up",
            "adapters": [_told(record, loaded) for record in known.records.values()],
            "damaged": dict(known.damaged),
            "routing": {
                name: {"mean_reward": mean, "rewards": count}
                for name, (mean, count) in self.router.estimates().items()
            },
        }

    async def load(self, name: str) -> dict[str, Any]:
        """Let the language server load an adapter; no caller gets it by that.

        Raises:
            AdapterError: There is none, or the hash gate refuses it.
            EngineUnavailable: There is no server, or it cannot be reached.
            EngineError: The server refuses it.
        """
        server, record = self._server(), await self._record(name)
        folder = await asyncio.to_thread(self.registry.admit, record)
        seen = folder if self.served_root is None else self.served_root / record.id
        await server.load(record.served, seen)
        self.audit.append("load", adapter=record.served)
        return {"adapter": record.id, "served": record.served, "loaded": True}

    async def activate(self, name: str, why: str) -> dict[str, Any]:
        """Begin an adapter's roll-out: smoke test, shadow, canary, and only then the route.

        Raises:
            AdapterError: There is none, or it is damaged.
            IllegalEvent: It was not evaluated yet, or is on its way already.
        """
        record = await self._record(name)
        return await asyncio.to_thread(
            self._happened, record, What.PROMOTED, why or "It was activated by an operator."
        )

    async def deactivate(self, name: str, why: str) -> dict[str, Any]:
        """Take an adapter back: no new call gets it, those under way keep it to their end.

        Raises:
            AdapterError: There is none, or it is damaged.
            IllegalEvent: It is not rolled out.
        """
        record = await self._record(name)
        over = record.state in (AdapterState.TRAINED, AdapterState.EVALUATED)
        what = What.RETIRED if over else What.ROLLED_BACK
        return await asyncio.to_thread(
            self._happened, record, what, why or "It was deactivated by an operator."
        )

    async def generate(self, asked: Generate) -> tuple[Routed | None, str]:
        """Return the routing decision, where there was one, and the adapter that will answer.

        Raises:
            AdapterError: The adapter that was named is not loaded.
        """
        if asked.adapter == AUTO:
            routed = await self.router.route(asked.prompt)
            return routed, routed.adapter
        if asked.adapter == BASE:
            return None, ""
        record = await self._record(asked.adapter)
        if record.served not in (await self._loaded() or ()):
            raise AdapterError(
                f"{record.id} is not loaded.", hint="POST /load_adapter first.", code="not_loaded"
            )
        return None, record.served

    async def _record(self, name: str) -> AdapterRecord:
        return await asyncio.to_thread(self.registry.record, name)

    def _happened(self, record: AdapterRecord, what: What, why: str) -> dict[str, Any]:
        self.registry.happened(record.id, Happening(what, why, "operator"))
        after = self.registry.record(record.id)
        self.audit.append(what.value, adapter=record.served, state=after.state.value, why=why)
        return {"adapter": after.id, "served": after.served, "state": after.state.value}

    async def _loaded(self) -> frozenset[str] | None:
        """Return what the server serves; None where it cannot be asked."""
        if self.server is None:
            return None
        try:
            return frozenset(await self.server.served())
        except EngineUnavailable:
            return None

    def _server(self) -> LoraServer:
        if self.server is None:
            raise EngineUnavailable(
                "There is no language server that takes adapters.",
                hint="Set TOM_ADAPTER_URL to the vLLM server that is to load them.",
            )
        return self.server


def _told(record: AdapterRecord, loaded: frozenset[str] | None) -> Mapping[str, object]:
    return {
        "id": record.id,
        "served": record.served,
        "domain": list(record.domain),
        "method": record.method,
        "rank": record.rank,
        "state": record.state.value,
        "why": record.why,
        "loaded": None if loaded is None else record.served in loaded,
        "active_for": list(record.domain) if record.state is AdapterState.ACTIVE else [],
        "metrics": record.metrics,
    }
