"""Keeps what was learned from a knowledge base between starts, by the content it was learned from.

Learning takes some seconds, reading what was learned some tens of milliseconds. A file that is
damaged, or was written for other content, is as good as none.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import structlog

from apps.knowledge.entries import Entry
from apps.knowledge.learning import Learned, learn
from apps.knowledge.senses import Sense
from apps.knowledge.vectors import Arrays

_Kept = TypeVar("_Kept")

_log = structlog.get_logger(__name__)

# Raise when what is learned from the same content changes, so that old files are not used.
_FORMAT = 4
# Other knowledge may share the folder: so many files of a kind are kept, those used last, and
# whatever was used of late. A base of many profiles needs more, and asking for vectors may be paid.
_KEPT = 8
_OF_LATE_S = 30 * 24 * 3600.0
_LEXICON = Path(__file__).with_name("lexicon")
# What the sample knowledge would find for itself; docs/generate.py writes it.
SAMPLE_CHANCES = _LEXICON / "even_chances.json"


def content_key(entries: Sequence[Entry], language: str, not_answered: Sequence[str] = ()) -> str:
    """Return a hash that changes whenever what is learned from entries may."""
    digest = hashlib.sha256(f"{_FORMAT} {language}".encode())
    for entry in entries:
        digest.update(repr(entry).encode())
    digest.update(repr(tuple(not_answered)).encode())
    for name in (f"{language}.yaml", f"elsewhere.{language}.yaml"):
        digest.update((_LEXICON / name).read_bytes())
    return digest.hexdigest()[:16]


def learned(
    entries: Sequence[Entry],
    language: str,
    folder: Path | None,
    not_answered: Sequence[str] = (),
) -> Learned:
    """Return what there is to learn from entries, read from a folder where it is kept.

    Args:
        entries: The entries of one profile and language.
        language: Their language.
        folder: Where it is kept; None keeps nothing. One that cannot be written is only slower.
        not_answered: Questions that none of them answers.
    """
    key = content_key(entries, language, not_answered)
    path = folder / f"learned-{key}.npz" if folder is not None else None
    found = _read(path, key, Learned.from_arrays) if path is not None else None
    if found is None:
        found = learn(entries, language, _sample_chances().get(key), not_answered)
        if path is not None:
            _write(path, key, found.to_arrays())
    return found


class KeptSense:
    """The file of what a model's vectors taught about entries.

    Args:
        entries: The entries of one profile and language.
        language: Their language.
        model: Says which vectors those are, as ``Embedder.name`` does.
        folder: Where it is kept; None keeps nothing.
        not_answered: Questions that none of them answers.
    """

    def __init__(
        self,
        entries: Sequence[Entry],
        language: str,
        model: str,
        folder: Path | None,
        not_answered: Sequence[str] = (),
    ) -> None:
        content = f"{content_key(entries, language, not_answered)} {model}".encode()
        self._key = hashlib.sha256(content).hexdigest()[:16]
        self._path = folder / f"sense-{self._key}.npz" if folder is not None else None

    def read(self) -> Sense | None:
        """Return what is kept, or None where there is nothing that can be used."""
        return _read(self._path, self._key, Sense.from_arrays) if self._path is not None else None

    def write(self, sense: Sense) -> None:
        """Keep it; a folder that cannot be written is only slower the next time."""
        if self._path is not None:
            _write(self._path, self._key, sense.to_arrays())


def _read(path: Path, key: str, made_of: Callable[[Arrays], _Kept]) -> _Kept | None:
    """Return what is kept, or None where there is nothing that can be used."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        if str(arrays["content"]) != key:
            raise ValueError("it was learned from other content")
        found = made_of(arrays)
        os.utime(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        _log.warning(
            "kept knowledge cannot be read, learning anew", path=str(path), error=str(error)
        )
        return None
    return found


def _write(path: Path, key: str, found: Arrays) -> None:
    """Write beside the file's place and move it there whole; let go of what was not used lately."""
    draft = path.with_suffix(f".{os.getpid()}.draft")
    kind, _, _ = path.name.partition("-")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("wb") as file:
            arrays: dict[str, Any] = {"content": np.array(key), **found}
            np.savez(file, **arrays)
        draft.replace(path)
        kept = sorted(path.parent.glob(f"{kind}-*.npz"), key=_last_used, reverse=True)
        for old in kept[_KEPT:]:
            if _last_used(old) < time.time() - _OF_LATE_S:
                old.unlink(missing_ok=True)
    except OSError as error:
        with suppress(OSError):
            draft.unlink()
        _log.warning("what was learned cannot be kept", path=str(path), error=str(error))


def _last_used(path: Path) -> float:
    """Return when a file was used last; one that another process has just removed, never."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def known_chances(written: str) -> dict[str, float]:
    """Return the even chances that are written down, by the content that they belong to."""
    return {row["content"]: row["even_chance"] for row in json.loads(written)}


def sample_chances(
    entries: Sequence[Entry],
    not_answered: Mapping[tuple[str, str], tuple[str, ...]],
    written: str = "[]",
) -> str:
    """Return what belongs into ``SAMPLE_CHANCES``.

    Args:
        entries: The sample's.
        not_answered: Questions that none of them answers, by profile and language.
        written: What stands there: content that is known already is not learned again.
    """
    chances = known_chances(written)
    rows = []
    for profile, language in sorted({(entry.profile, entry.language) for entry in entries}):
        own = [e for e in entries if (e.profile, e.language) == (profile, language)]
        others = not_answered.get((profile, language), ())
        key = content_key(own, language, others)
        chance = chances.get(key)
        if chance is None:
            chance = round(learn(own, language, not_answered=others).even_chance, 4)
        rows.append({"name": f"{profile}/{language}", "content": key, "even_chance": chance})
    return json.dumps(rows, indent=2) + "\n"


@cache
def _sample_chances() -> dict[str, float]:
    return known_chances(SAMPLE_CHANCES.read_text(encoding="utf-8"))
