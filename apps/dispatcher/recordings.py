"""Where the recordings of calls lie, and letting go of old ones."""

from __future__ import annotations

import time
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)

RECORDINGS = "recordings"
"""Their folder's name under the data folder."""


def recording_of(folder: Path, call_ref: str) -> Path:
    """Return where a call's recording lies, if there is one."""
    return folder / f"{call_ref}.wav"


def purge_recordings(folder: Path, days: int) -> int:
    """Delete recordings that were finished before so many days; returns how many.

    One that cannot be deleted is told in the log and holds up no other.
    """
    cutoff = time.time() - days * 86_400
    deleted = 0
    for path in folder.glob("*.wav"):
        try:
            if path.lstat().st_mtime <= cutoff:
                path.unlink(missing_ok=True)
                deleted += 1
        except OSError as error:
            log.error("recording_not_deleted", file=path.name, reason=error.strerror)
    return deleted
