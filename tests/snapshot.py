"""Snapshots: what a call wrote down, compared with what it wrote down before.

`pytest --snapshot-update` writes them anew; the change is then read in the diff.
"""

import json
from collections.abc import Iterable
from difflib import unified_diff
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from apps.core.events import LogRecord

FOLDER = Path(__file__).parent / "snapshots"


class Snapshots:
    """Compares event logs with those that are kept in a folder, or keeps them."""

    def __init__(self, folder: Path, *, update: bool) -> None:
        self.folder, self.update = folder, update

    def check(self, name: str, records: Iterable[LogRecord]) -> None:
        """Compare a log with the snapshot of this name; fails with the lines that differ."""
        path = self.folder / f"{name}.jsonl"
        lines = list(map(line, records))
        if self.update:
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")
            return
        if not path.exists():
            pytest.fail(f"There is no snapshot {name!r} yet: pytest --snapshot-update writes it.")
        kept = path.read_text(encoding="utf-8").splitlines()
        if lines != kept:
            changes = "\n".join(unified_diff(kept, lines, "snapshot", "now", lineterm="", n=1))
            pytest.fail(
                f"The call {name!r} no longer goes as its snapshot says.\n{changes}\n"
                "If that is meant: pytest --snapshot-update, and read the diff.",
                pytrace=False,
            )


def line(record: LogRecord) -> str:
    """Return a record as a line without its position, so that one more moves no other."""
    data = {name: _short(value) for name, value in record.data.items()}
    at = {"at_ms": record.at_ms, "kind": record.kind, "turn_id": record.turn_id}
    return json.dumps({**at, **({"data": data} if data else {})}, ensure_ascii=False)


def _short(value: Any) -> Any:
    """Shorten a list of numbers: equal neighbours are counted."""
    if not isinstance(value, list) or not all(isinstance(item, int) for item in value):
        return value
    runs = ((item, len(list(group))) for item, group in groupby(value))
    return " ".join(f"{item}x{count}" for item, count in runs)
