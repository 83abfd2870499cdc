"""Which servers live, so that the calls of one that was killed do not stay open.

A server holds the lock of a file of its own, which the system lets go of when the process ends,
however it ends. The next server with the same folder finds such files without their lock, and
closes what calls they left. Servers of other folders or machines are not judged.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

import structlog
from sqlalchemy import Connection, func, or_, select

from apps.core.clock import utc_hour, utc_now
from apps.store.call_tables import call_events, calls
from apps.store.calls import close_call
from apps.store.database import Database

SERVER_DIED = "server_died"
"""Why a call ended whose server was killed with it."""
FORGOTTEN = timedelta(days=1)
"""A call that began before has ended, whosever it was, unless calls may last longer."""

log = structlog.get_logger(__name__)


@contextmanager
def server_life(folder: Path, store: str) -> Iterator[str | None]:
    """Be known to live; yields the id that calls are marked with, or None where that cannot be.

    Args:
        folder: Where servers of this machine that share it see each other.
        store: The name of the database that this server's calls are in.
    """
    try:
        file, descriptor = _born(folder, store)
    except OSError as error:
        log.warning("server_life_not_kept", folder=str(folder), reason=error.strerror)
        yield None
        return
    try:
        yield file.name
    finally:
        os.close(descriptor)  # and with it the lock; the next server removes the file


async def close_lost_calls(db: Database, folder: Path, longest: timedelta) -> int:
    """Close the calls of servers that ended without doing so.

    Args:
        db: Where the calls are.
        folder: Where those servers were known to live.
        longest: How long a call may last.

    Returns:
        How many there were.

    Raises:
        StoreError: They cannot be read or closed.
    """
    forgotten = utc_hour(utc_now() - max(FORGOTTEN, 2 * longest))
    with _dead(folder, db.name) as files:
        closed = await db.run(_close_lost, [file.name for file in files], forgotten)
        for file in files:
            file.unlink(missing_ok=True)
    if closed:
        log.warning("lost_calls_closed", calls=closed)
    return closed


def _close_lost(conn: Connection, servers: list[str], before: datetime) -> int:
    last_ms = (
        select(func.max(call_events.c.at_ms))
        .where(call_events.c.call_ref == calls.c.call_ref)
        .scalar_subquery()
    )
    lost = conn.execute(
        select(calls.c.call_ref, calls.c.started_hour, last_ms.label("last_ms")).where(
            calls.c.ended_hour.is_(None),
            or_(calls.c.server.in_(servers), calls.c.started_hour < before),
        )
    ).all()
    for row in lost:  # its log tells how long it surely lasted
        lasted = timedelta(milliseconds=row.last_ms or 0.0)
        close_call(
            conn,
            row.call_ref,
            reason=SERVER_DIED,
            duration_s=lasted.total_seconds(),
            ended=row.started_hour + lasted,
        )
    return len(lost)


def _born(folder: Path, store: str) -> tuple[Path, int]:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / uuid4().hex
    with _locked(folder):  # or whoever looks for the dead meanwhile would take it for one
        descriptor = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            os.write(descriptor, store.encode())
        except OSError:
            os.close(descriptor)
            raise
    return file, descriptor


@contextmanager
def _dead(folder: Path, store: str) -> Iterator[list[Path]]:
    """Yield the files of servers of a store that have ended, holding their locks."""
    held: dict[Path, int] = {}
    try:
        with suppress(FileNotFoundError), _locked(folder):
            for file in sorted(folder.iterdir()):
                descriptor = _claimed(file, store)
                if descriptor is not None:
                    held[file] = descriptor
        yield list(held)
    finally:
        for descriptor in held.values():
            os.close(descriptor)


def _claimed(file: Path, store: str) -> int | None:
    """Return a descriptor that holds the lock of a server that has ended; None for any other."""
    descriptor = os.open(file, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # One that was killed before it could say whose it is has taken no call.
        if file.read_text(encoding="utf-8") in (store, ""):
            return descriptor
    except OSError:  # it lives, or is none of ours
        pass
    os.close(descriptor)
    return None


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
