"""Folders that are there whole or not at all: checkpoints, and the finished adapter.

A folder is written beside its place. Then every file is synced, a manifest with all sizes and
hashes is added, and the folder is renamed. What has no manifest, or does not match it, is torn.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from apps.core.errors import ConfigError
from apps.core.files import write_whole
from apps.rl.adapters.hashing import file_hash

MANIFEST = "manifest.json"
_PREFIX = "step-"


def publish(draft: Path, place: Path) -> None:
    """Give a folder that was written aside its place, whole.

    Raises:
        OSError: It cannot be synced or renamed; the place is as it was.
    """
    files = sorted(path for path in draft.rglob("*") if path.is_file() and path.name != MANIFEST)
    for path in files:
        _sync(path)
    seen = {
        str(path.relative_to(draft)): {"sha256": file_hash(path), "bytes": path.stat().st_size}
        for path in files
    }
    write_whole(draft / MANIFEST, json.dumps({"files": seen}, indent=1, sort_keys=True) + "\n")
    for folder in {path.parent for path in files} | {draft}:
        _sync(folder)
    remove(place)
    os.replace(draft, place)
    _sync(place.parent)


def remove(place: Path) -> None:
    """Remove a folder; it leaves its place at once, so that a kill leaves no half of it there."""
    leaving = place.with_name(f".{place.name}.removed")
    shutil.rmtree(leaving, ignore_errors=True)
    if place.exists():
        os.replace(place, leaving)
        shutil.rmtree(leaving, ignore_errors=True)


def whole(folder: Path) -> bool:
    """Whether a folder has all that its manifest says, byte for byte, and nothing else."""
    try:
        said = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
        there = {
            str(path.relative_to(folder))
            for path in folder.rglob("*")
            if path.is_file() and path.name != MANIFEST
        }
        return there == said.keys() and all(
            (folder / name).stat().st_size == facts["bytes"]
            and file_hash(folder / name) == facts["sha256"]
            for name, facts in said.items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


class Checkpoints:
    """The checkpoints of one run.

    Args:
        folder: Where they lie.
        keep: So many of the newest are kept.
        torn: Told the name of each that was passed over.
    """

    def __init__(
        self, folder: Path, keep: int, torn: Callable[[str], None] = lambda name: None
    ) -> None:
        self._folder = folder
        self._keep = keep
        self._torn = torn

    @contextmanager
    def written(self, step: int) -> Iterator[Path]:
        """Give a folder to write a checkpoint into; it counts once the block ends well."""
        with aside(self._folder / f"{_PREFIX}{step:08d}") as draft:
            yield draft
        for old in self._steps()[: -self._keep]:
            remove(self.path(old))

    def newest(self) -> int | None:
        """Return the step of the newest whole checkpoint; torn ones above it are removed."""
        for step in reversed(self._steps()):
            if whole(self.path(step)):
                return step
            self._torn(self.path(step).name)
            remove(self.path(step))
        return None

    def path(self, step: int) -> Path:
        """Return where a step's checkpoint lies."""
        return self._folder / f"{_PREFIX}{step:08d}"

    def clear(self) -> None:
        """Remove all of them, and what a killed run had left beside them."""
        remove(self._folder)

    def _steps(self) -> list[int]:
        names = (path.name for path in self._folder.glob(f"{_PREFIX}*"))
        return sorted(int(number) for name in names if (number := name[5:]).isdigit())


@contextmanager
def aside(place: Path) -> Iterator[Path]:
    """Give a fresh folder beside a place; it takes the place once the block ends well."""
    draft = place.with_name(f".{place.name}.writing")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        yield draft
        publish(draft, place)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


@contextmanager
def alone(out: Path) -> Iterator[None]:
    """Hold a run's folder for one process; the system lets go of it when that is killed.

    Raises:
        ConfigError: Another process holds it.
    """
    out.mkdir(parents=True, exist_ok=True)
    with (out / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConfigError(
                f"Another training is running in {out}.",
                code="training_busy",
                hint="Wait for it, or give another folder.",
            ) from None
        yield


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
