"""Which language servers an operator put first or switched off: kept beside what it concerns."""

from __future__ import annotations

import json
from collections.abc import Mapping

from sqlalchemy import Connection, delete, insert, select

from apps.store.schema import meta

_KEY = "llm_providers"


def load_choice(conn: Connection) -> dict[str, object]:
    """Return what was chosen last; empty where nothing was, or what is there cannot be read."""
    text = conn.execute(select(meta.c.value).where(meta.c.key == _KEY)).scalar()
    try:
        data = json.loads(text or "{}")
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}


def save_choice(conn: Connection, choice: Mapping[str, object]) -> None:
    """Put a choice in the place of the last one."""
    conn.execute(delete(meta).where(meta.c.key == _KEY))
    conn.execute(insert(meta).values(key=_KEY, value=json.dumps(dict(choice))))
