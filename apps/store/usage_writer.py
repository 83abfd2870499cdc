"""Writes what answers cost, so that no answer waits for the disk."""

from __future__ import annotations

from apps.store.batch_writer import BatchWriter
from apps.store.database import Database
from apps.store.llm_usage import UsageRow, append_usage


class UsageWriter(BatchWriter[UsageRow]):
    """Appends usage rows; see ``BatchWriter``."""

    def __init__(self, db: Database, *, flush_ms: float = 500.0) -> None:
        super().__init__(db, append_usage, "llm_usage", flush_ms=flush_ms)
