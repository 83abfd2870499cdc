"""What lies in the folder of documents, ``<space>/<any folders>/<file>``: looks, reads nothing."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from apps.core.errors import DocumentError
from apps.knowledge.documents.limits import Limits
from apps.knowledge.documents.reading import no_file, too_big
from apps.knowledge.documents.rules import FILE_NAME
from apps.knowledge.documents.sniff import supported

_DEEPEST = 32
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class SeenFile:
    """A file that is a document.

    Attributes:
        id: The document's: its path below the folder, with slashes; its first part is the space.
        path: Where it lies, links resolved.
        size: In bytes.
        mtime_ns: When it was last changed.
    """

    id: str
    path: str
    size: int
    mtime_ns: int

    @property
    def space(self) -> str:
        """The knowledge space that it belongs to."""
        return self.id.partition("/")[0]


@dataclass(frozen=True, slots=True)
class Problem:
    """A file or folder that is not read, and why.

    Attributes:
        id: Its path below the folder.
        error: What is wrong with it.
    """

    id: str
    error: DocumentError


Look = SeenFile | Problem


def scan(root: Path, limits: Limits, under: str = "") -> Iterator[Look]:
    """Yield what lies in the folder, in a stable order; hidden files and folders are left out.

    Args:
        root: The folder of all documents.
        limits: What is too large to be read.
        under: A path below it, to see that alone; it may be gone, be a file, or a folder.
    """
    real_root = os.path.realpath(root)
    if under and any(part.startswith(".") for part in under.split("/")):
        return
    yield from _look(real_root, under, limits)


def check_name(name: str) -> None:
    """Refuse a name that a terminal would obey.

    Raises:
        DocumentError: ``name``.
    """
    if _CONTROL.search(name):
        raise _error("name", "The name has control characters.", "Give it another.")


def shown(name: str) -> str:
    """Return a name as it may be printed."""
    return _CONTROL.sub("?", name)


def _look(root: str, below: str, limits: Limits, depth: int = 0) -> Iterator[Look]:
    path = os.path.join(root, below) if below else root
    try:
        below.encode()
        check_name(below)
        facts = os.lstat(path)
        if stat.S_ISLNK(facts.st_mode):
            yield from _linked(root, below, limits)
        elif stat.S_ISDIR(facts.st_mode):
            yield from _inside(root, below, limits, depth)
        else:
            yield from _file(below, path, facts, limits)
    except (FileNotFoundError, NotADirectoryError):
        return  # gone meanwhile
    except DocumentError as error:
        yield Problem(shown(below), error)
    except UnicodeEncodeError:
        told = shown(below.encode(errors="replace").decode())
        yield Problem(told, _error("name", "The name is no UTF-8.", "Give it another."))
    except OSError as error:
        what = f"It cannot be looked at: {error.strerror}."
        hint = "Let the user that TOM runs as read it."
        yield Problem(below, _error("unreadable", what, hint))


def _inside(root: str, below: str, limits: Limits, depth: int) -> Iterator[Look]:
    if depth >= _DEEPEST:
        yield Problem(below, _error("too_deep", "The folders are nested too deeply.", "Move it."))
        return
    with os.scandir(os.path.join(root, below) if below else root) as found:
        names = sorted(entry.name for entry in found)
    for name in names:
        if not name.startswith((".", "~$")):  # hidden; Word's own while it has a file open
            yield from _look(root, f"{below}/{name}" if below else name, limits, depth + 1)


def _linked(root: str, below: str, limits: Limits) -> Iterator[Look]:
    """Follow a link to a file in the folder, such as those of a mounted ConfigMap, and no other."""
    target = os.path.realpath(os.path.join(root, below))
    if os.path.commonpath((root, target)) != root:
        what = "The link leads out of the folder of documents."
        yield Problem(below, _error("outside", what, "Put a copy of the file here."))
        return
    facts = os.stat(target)
    if stat.S_ISDIR(facts.st_mode):
        what = "The link leads to a folder, which would be read twice."
        yield Problem(below, _error("link", what, "Remove the link."))
    else:
        yield from _file(below, target, facts, limits)


def _file(below: str, path: str, facts: os.stat_result, limits: Limits) -> Iterator[Look]:
    space, _, rest = below.partition("/")
    if rest == FILE_NAME:
        return
    if not rest:
        what = "The file lies in no knowledge space."
        hint = f"Move it into a folder, such as {space.partition('.')[0] or 'kfz'}/."
        yield Problem(below, _error("no_space", what, hint))
    elif not stat.S_ISREG(facts.st_mode):
        yield Problem(below, no_file())
    elif not supported(below):
        what = "Files of this kind are not read."
        yield Problem(below, _error("unsupported", what, "docs/ingestion.md lists those that are."))
    elif facts.st_size > limits.file_bytes:
        yield Problem(below, too_big(facts.st_size, limits))
    else:
        yield SeenFile(below, path, facts.st_size, facts.st_mtime_ns)


def _error(code: str, message: str, hint: str) -> DocumentError:
    return DocumentError(message, hint=hint, code=code)
