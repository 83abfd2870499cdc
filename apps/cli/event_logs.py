"""The event logs that commands work on: of a call that is kept here, or in a file."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection

from apps.core import secrets
from apps.core.errors import StoreError, UnknownCall
from apps.core.event_lines import from_lines
from apps.core.events import LogRecord
from apps.core.ids import keyed_hash
from apps.settings import load_settings
from apps.store import calls
from apps.store.database import Database, open_database


def open_store() -> Database:
    """Open the database of the settings."""
    return open_database(load_settings().store)


def find_call(conn: Connection, call: str) -> str:
    """Return the reference that a call's id, or a reference's beginning, stands for.

    Raises:
        UnknownCall: No call, or more than one, is meant.
    """
    settings = load_settings()
    key = secrets.load_or_create(
        settings.data_dir, settings.hash_key, settings.operator_token
    ).hash_key
    hashed = keyed_hash(call, key)
    if calls.load_call(conn, hashed) is not None:
        return hashed
    found = calls.find_calls(conn, call) if call else []
    if len(found) == 1:
        return found[0]
    many = f"{len(found)} calls begin with {call!r}." if found else f"There is no call {call!r}."
    raise UnknownCall(many, hint="See `tom calls list`; give more of the reference.")


def load_log(source: str) -> tuple[str, list[LogRecord]]:
    """Return the name and the event log of a call, or of a file ``*.jsonl``.

    Raises:
        StoreError: The file cannot be read, a line is no record, or the log is empty.
        UnknownCall: No call, or more than one, is meant.
    """
    if source.endswith(".jsonl"):
        path = Path(source).resolve()
        # The demonstration calls every log events.jsonl, in a folder named after the call.
        name = path.parent.name if path.stem == "events" else path.stem
        records = _read(Path(source))
    else:
        with open_store().reading() as conn:
            ref = find_call(conn, source)
            name, records = ref[:12], calls.load_events(conn, ref)
    if not records:
        raise StoreError(f"The event log of {source} is empty.", code="event_log")
    return name, records


def _read(path: Path) -> list[LogRecord]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise StoreError(f"{path} cannot be read: {why}.", code="event_log") from error
    return from_lines(text.split("\n"), str(path))
