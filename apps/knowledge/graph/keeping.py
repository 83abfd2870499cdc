"""Keeps the graph at what is known while a server runs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog
from sqlalchemy import Connection, func, select

from apps.core.errors import TomError
from apps.core.ids import DEFAULT_TENANT
from apps.knowledge.entries import Entry
from apps.knowledge.graph.feeding import Feeder
from apps.store.database import Database
from apps.store.insights import InsightState, insights
from apps.store.knowledge_tables import global_insights, kb_documents

PERIOD_S = 10.0

log = structlog.get_logger(__name__)


class GraphKeeper:
    """Feeds the graph once, and again when documents or insights have changed.

    Args:
        feeder: Feeds it.
        documents: The database of documents.
        store: The main store, which has the insights.
        entries: The entries of all profiles.
        tenant: Whose graph it is.
        period_s: Between two looks for what has changed.
    """

    def __init__(
        self,
        feeder: Feeder,
        documents: Database,
        store: Database,
        entries: Sequence[Entry],
        *,
        tenant: str = DEFAULT_TENANT,
        period_s: float = PERIOD_S,
    ) -> None:
        self._feeder, self._documents, self._store = feeder, documents, store
        self._entries, self._tenant, self._period_s = entries, tenant, period_s
        self._fed: dict[str, tuple[int, int]] = {}

    async def run(self) -> None:
        """Feed the graph for as long as the server runs; what fails is tried again."""
        while True:
            try:
                await self.once()
            except TomError as error:
                log.warning("graph_not_fed", code=error.code, reason=error.message)
            except Exception as error:  # a defect must not leave the graph as it is for good
                log.error("graph_feeding_crashed", error=type(error).__name__, exc_info=error)
            await asyncio.sleep(self._period_s)

    async def once(self) -> None:
        """Feed what has changed since it was fed last."""
        if "entries" not in self._fed:
            for profile, language in sorted({(e.profile, e.language) for e in self._entries}):
                own = [e for e in self._entries if (e.profile, e.language) == (profile, language)]
                await self._feeder.entries(profile, language, own, self._tenant)
            self._fed["entries"] = (0, len(self._entries))
        now = await self._store.query(_insights_version)
        if self._fed.get("insights") != now:
            approved = await self._store.query(
                insights, state=InsightState.APPROVED, tenant=self._tenant
            )
            await self._feeder.insights(approved, self._tenant)
            self._fed["insights"] = now
        now = await self._documents.query(_documents_version)
        if self._fed.get("documents") != now:
            await self._feeder.documents(self._tenant)
            self._fed["documents"] = now


def _insights_version(conn: Connection) -> tuple[int, int]:
    newest = conn.execute(select(func.coalesce(func.max(global_insights.c.seq), 0))).scalar_one()
    return int(newest), 0


def _documents_version(conn: Connection) -> tuple[int, int]:
    seq = kb_documents.c.seq
    row = conn.execute(select(func.coalesce(func.max(seq), 0), func.count(seq))).one()
    return int(row[0]), int(row[1])
