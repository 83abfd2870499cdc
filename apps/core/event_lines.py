"""A call's event log as text: one JSON object a line, as commands print it and read it back."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

from apps.core.errors import StoreError
from apps.core.events import LogRecord

_OWN = ("seq", "at_ms", "kind", "turn_id")


def to_line(record: LogRecord) -> str:
    """Return a record as one line of JSON, without its newline."""
    line: dict[str, Any] = {name: getattr(record, name) for name in _OWN}
    return json.dumps({**line, "data": dict(record.data)}, ensure_ascii=False)


def from_lines(lines: Iterable[str], source: str) -> list[LogRecord]:
    """Read records back, in the order of their positions; empty lines are passed over.

    Args:
        lines: What `to_line` made. A record's own fields may also stand beside the others instead
            of below ``data``.
        source: Where they come from, for the error.

    Raises:
        StoreError: A line is no record; the error names the line and what is wrong with it.
    """
    records = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            records.append(_record(json.loads(line, parse_constant=_no_number)))
        except (ValueError, RecursionError) as error:
            raise StoreError(
                f"Line {number} of {source} is no record of an event log: {error}.",
                hint="One JSON object a line, as `tom calls show CALL --json` prints them.",
                code="event_log",
            ) from error
    return sorted(records, key=lambda record: record.seq)


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _record(line: Any) -> LogRecord:
    """Return one record, or raise a ValueError that says what is wrong."""
    if not isinstance(line, dict):
        raise ValueError("it is no object")
    seq, at_ms, kind, turn_id = (line.get(name) for name in _OWN)
    if not isinstance(seq, int) or isinstance(seq, bool):
        raise ValueError("`seq` is no whole number")
    if isinstance(at_ms, bool) or not isinstance(at_ms, int | float) or not math.isfinite(at_ms):
        raise ValueError("`at_ms` is no number")
    if not isinstance(kind, str):
        raise ValueError("`kind` is no text")
    if turn_id is not None and (not isinstance(turn_id, int) or isinstance(turn_id, bool)):
        raise ValueError("`turn_id` is no whole number")
    data = line.get("data", {name: value for name, value in line.items() if name not in _OWN})
    if not isinstance(data, dict):
        raise ValueError("`data` is no object")
    return LogRecord(seq, float(at_ms), kind, turn_id, data)
