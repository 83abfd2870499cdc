"""Which servers live, so that the calls of one that was killed do not stay open.

A server holds the lock of a file of its own, which the system lets go of when the process ends,
however it ends. The next server with the same folder finds such files without their lock, and
closes what calls they left. Servers of other folders or machines are not judged: where machines
share a folder, a lock that one of them holds may not be seen by the others. What cannot be read,
locked or understood there keeps no server from its start.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

import structlog
from sqlalchemy import Connection, and_, func, or_, select

from apps.core.clock import utc_hour, utc_now
from apps.store.call_tables import call_events, calls
from apps.store.calls import close_call
from apps.store.database import Database

SERVER_DIED = "server_died"
"""Why a call ended whose server was killed with it."""
FORGOTTEN = timedelta(days=7)
"""A call that began before has ended, unless its server is seen to live or calls may last longer.

Far longer than calls last: servers of one PostgreSQL may be set to different lengths.
"""

_NAME = re.compile(r"[0-9a-f]{32}")
_BOOT = Path("/proc/sys/kernel/random/boot_id")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Census:
    """What is known of the servers of a folder."""

    living: list[str] = field(default_factory=list)
    dead: dict[Path, int] = field(default_factory=dict)
    """The files of a store's servers that have ended, and the descriptors with their locks."""


@contextmanager
def server_life(folder: Path, store: str) -> Iterator[str | None]:
    """Be known to live; yields the id that calls are marked with, or None where that cannot be.

    Args:
        folder: Where servers of this machine that share it see each other.
        store: The place of the database that this server's calls are in.
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
        longest: How long a call of this server may last.

    Returns:
        How many there were.

    Raises:
        StoreError: They cannot be read or closed.
    """
    forgotten = utc_hour(utc_now() - max(FORGOTTEN, 2 * longest))
    with _census(folder, db.place) as servers:
        dead = [file.name for file in servers.dead]
        closed = await db.run(_close_lost, dead, servers.living, forgotten)
        for file in servers.dead:
            with suppress(OSError):  # the next server tries again, and finds no call of it
                file.unlink()
    if closed:
        log.warning("lost_calls_closed", calls=closed)
    return closed


def _close_lost(conn: Connection, dead: list[str], living: list[str], before: datetime) -> int:
    last_ms = (
        select(func.max(call_events.c.at_ms))
        .where(call_events.c.call_ref == calls.c.call_ref)
        .scalar_subquery()
    )
    forgotten = and_(
        calls.c.started_hour < before,
        or_(calls.c.server.is_(None), calls.c.server.not_in(living)),
    )
    lost = conn.execute(
        select(calls.c.call_ref, calls.c.started_hour, last_ms.label("last_ms")).where(
            calls.c.ended_hour.is_(None), or_(calls.c.server.in_(dead), forgotten)
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
    draft = file.with_suffix(".new")  # it has its name once it is locked and says whose it is
    descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.write(descriptor, json.dumps({"store": store, **_machine()}).encode())
        os.fsync(descriptor)
        draft.rename(file)
    except OSError:
        os.close(descriptor)
        draft.unlink(missing_ok=True)
        raise
    return file, descriptor


@contextmanager
def _census(folder: Path, store: str) -> Iterator[_Census]:
    """Yield who lives and who of a store's servers has ended, whose locks are held meanwhile."""
    found = _Census()
    try:
        try:
            for file in sorted(folder.iterdir()):
                if _NAME.fullmatch(file.name):
                    _judge(file, store, found)
        except FileNotFoundError:  # no server has lived here yet
            pass
        except OSError as error:
            log.warning("servers_not_seen", folder=str(folder), reason=error.strerror)
        yield found
    finally:
        for descriptor in found.dead.values():
            os.close(descriptor)


def _judge(file: Path, store: str, found: _Census) -> None:
    try:
        descriptor = os.open(file, os.O_RDWR)  # NFS locks only what may be written
    except OSError:  # another user's, or none of ours
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _can_be_judged(file.read_text(encoding="utf-8"), store):
            found.dead[file] = descriptor
            return
    except BlockingIOError:
        found.living.append(file.name)
    except (OSError, ValueError):  # it cannot be locked or read: nothing is known of it
        pass
    os.close(descriptor)


def _can_be_judged(text: str, store: str) -> bool:
    """Return whether a server whose lock is free is one of a store's that has ended.

    Its lock tells where it ran under this kernel, be it in another container. After another boot
    of this machine, whose id differs, it cannot live.

    Raises:
        ValueError: No server wrote this.
    """
    told = json.loads(text)
    if not isinstance(told, dict):
        raise ValueError("not a server's file")
    here = _machine()
    same_boot = here["boot"] != "" and told.get("boot") == here["boot"]
    return told.get("store") == store and (same_boot or told.get("host") == here["host"])


def _machine() -> dict[str, str]:
    try:
        boot = _BOOT.read_text(encoding="ascii").strip()
    except OSError:  # not Linux
        boot = ""
    return {"host": socket.gethostname(), "boot": boot}
