"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path

OWNERS_ALONE, EVERYBODYS = 0o600, 0o644
"""Who can read a file: nobody but its owner; or everybody who gets at its folder."""
FORGOTTEN_S = 600.0
"""A draft that is older was left by a process that was killed: writing one takes a moment."""
_RANDOM_CHARS = 8


def write_whole(path: Path, text: str, *, mode: int = OWNERS_ALONE) -> None:
    """Write a file so that a reader, or a crash, sees the old one or the new one.

    Args:
        path: Where to; folders that are not there are made.
        text: What it holds.
        mode: Who can read it.

    Raises:
        OSError: It cannot be written; the old one is still there.
    """
    draft = _draft(path, text, mode)
    try:
        os.replace(draft, path)
    except BaseException:
        os.unlink(draft)
        raise
    _sync_folder(path.parent)


def write_new(path: Path, text: str, *, mode: int = OWNERS_ALONE) -> Path:
    """Write a file in the same way, and never over another.

    Returns:
        Where it is: under the next free number when the name was taken.

    Raises:
        OSError: It cannot be written.
    """
    draft = _draft(path, text, mode)
    try:
        found, number = path, 1
        while not _linked(draft, found):
            number += 1
            found = path.with_stem(f"{path.stem}-{number}")
    finally:
        os.unlink(draft)
    _sync_folder(path.parent)
    return found


def _draft(path: Path, text: str, mode: int) -> str:
    """Write a hidden file beside a path, to the disk, and return its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path)
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), mode)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        os.unlink(draft)
        raise
    return draft


def _sweep(path: Path) -> None:
    """Remove drafts of a file that were forgotten, or each kill would leave one more for ever."""
    prefix, before = f".{path.name}.", time.time() - FORGOTTEN_S
    with os.scandir(path.parent) as entries:
        for entry in entries:
            is_draft = len(entry.name) == len(prefix) + _RANDOM_CHARS
            if is_draft and entry.name.startswith(prefix):
                with suppress(OSError):  # somebody else has removed it
                    if entry.stat(follow_symlinks=False).st_mtime < before:
                        os.unlink(entry.path)


def _linked(draft: str, path: Path) -> bool:
    """Give a draft a name; False when the name is taken, so that nothing is lost."""
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    return True


def _sync_folder(folder: Path) -> None:
    """Make the renaming itself last, where the system lets one do that."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
