"""Every table of TOM, in one ``metadata``: whoever needs all of them, knows them from here."""

from __future__ import annotations

from apps.store import adapter_tables, call_tables, knowledge_tables, learning_tables
from apps.store.schema import metadata

__all__ = ["adapter_tables", "call_tables", "knowledge_tables", "learning_tables", "metadata"]
