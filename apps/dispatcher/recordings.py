"""Where the recordings of calls lie, and letting go of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)

RECORDINGS = "recordings"
"""Their folder's name under the data folder."""
SUFFIX = ".tomrec"
"""Of a sealed recording; earlier ones were plain, and are let go of like them."""
_SUFFIXES = (SUFFIX, ".wav")


def recording_of(folder: Path, call_ref: str) -> Path:
    """Return where a call's recording lies, if there is one."""
    return folder / f"{call_ref}{SUFFIX}"


def recordings_in(folder: Path) -> Iterator[Path]:
    """Yield the recordings that there are, of every form."""
    for suffix in _SUFFIXES:
        yield from folder.glob(f"*{suffix}")


def delete_recording(folder: Path, call_ref: str) -> bool:
    """Delete a call's recording; returns whether there was one.

    Raises:
        OSError: It cannot be deleted.
    """
    gone = False
    for suffix in _SUFFIXES:
        path = folder / f"{call_ref}{suffix}"
        if path.exists():
            path.unlink(missing_ok=True)
            gone = True
    return gone


def purge_recordings(folder: Path, days: int) -> int:
    """Delete recordings that were finished before so many days; returns how many.

    One that cannot be deleted is told in the log and holds up no other.
    """
    cutoff = time.time() - days * 86_400
    deleted = 0
    for path in recordings_in(folder):
        try:
            if path.lstat().st_mtime <= cutoff:
                path.unlink(missing_ok=True)
                deleted += 1
        except OSError as error:
            log.error("recording_not_deleted", file=path.name, reason=error.strerror)
    return deleted
