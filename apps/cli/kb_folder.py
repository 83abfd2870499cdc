"""The folder of documents as `tom kb` uses it: what reads it is opened, and files are copied in."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

from apps.core.errors import ConfigError, DocumentError
from apps.core.privacy import fingerprint
from apps.knowledge.documents.folder import check_name
from apps.knowledge.documents.ingest import Ingester
from apps.knowledge.documents.limits import MIB, Limits
from apps.knowledge.documents.parsing import ProcessParser
from apps.knowledge.documents.reading import open_regular
from apps.knowledge.documents.sniff import HEAD_BYTES, media_type, supported
from apps.knowledge.entries import Entry, load_entries
from apps.knowledge.index.database import DatabaseIndex
from apps.knowledge.index.opening import open_index
from apps.knowledge.terms import content_words
from apps.running_knowledge import embedder_of
from apps.running_privacy import detector_spec
from apps.settings import Settings

# A word that so many of the office's own questions have speaks of its domain.
_DOMAIN_FROM = 3
# A detector takes some thirty times as long over a text as all else that is done with it.
_DETECTED_BYTES = MIB // 2


@dataclass(frozen=True, slots=True)
class Opened:
    """What `tom kb` works with."""

    ingester: Ingester
    index: DatabaseIndex
    parser: ProcessParser
    root: Path


def limits_of(settings: Settings) -> Limits:
    """Return what a document may take."""
    return Limits(
        file_bytes=settings.kb_max_file_mb * MIB,
        unpacked_bytes=4 * settings.kb_max_file_mb * MIB,
        chunks=settings.kb_max_passages,
        parse_s=settings.kb_parse_s,
        memory_bytes=settings.kb_parse_memory_mb * MIB,
        timed_bytes=_DETECTED_BYTES if settings.privacy_detector else Limits().timed_bytes,
    )


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Opened]:
    """Open the index, and what reads documents.

    Raises:
        ConfigError: A server of embeddings is set without its model, or a detector of personal
            data that could not be made.
        StoreError: The index cannot be opened.
    """
    detector = detector_spec(settings)
    async with AsyncExitStack() as stack:
        embedder = embedder_of(settings, stack)
        index = open_index(settings.knowledge_store, embedder)
        stack.push_async_callback(index.aclose)
        parser = ProcessParser(detector)
        stack.push_async_callback(parser.close)
        ingester = Ingester(
            index,
            embedder,
            parser,
            root=settings.documents_folder,
            limits=limits_of(settings),
            quality_floor=settings.kb_quality_floor,
            language=settings.kb_language,
            domain=_domain_of(settings),
            outdated=index.outdated,
            detector=fingerprint(detector) if detector is not None else "",
        )
        yield Opened(ingester, index, parser, settings.documents_folder)


def _domain_of(settings: Settings) -> Callable[[str], frozenset[str]]:
    """Return what gives the words that an office's own questions use again and again."""

    @cache
    def entries() -> tuple[Entry, ...]:
        if settings.profile_dir is None:
            return ()
        try:
            return load_entries(settings.entries_folder)
        except ConfigError:
            return ()  # `tom doctor` says so; documents can be read all the same

    @cache
    def words_of(space: str) -> frozenset[str]:
        own = [entry for entry in entries() if entry.profile == space]
        seen = Counter(
            word
            for entry in own
            for word in set(content_words(f"{entry.question} {entry.answer}", entry.language))
        )
        return frozenset(word for word, n in seen.items() if n >= _DOMAIN_FROM)

    return words_of


@dataclass(frozen=True, slots=True)
class TakenIn:
    """A file that `tom kb add` was given: its document's id, and whether it was copied."""

    id: str
    copied: bool


def take_in(
    paths: Sequence[Path], root: Path, space: str, language: str | None, limits: Limits
) -> Iterator[TakenIn | tuple[Path, DocumentError]]:
    """Copy files, and what is in folders, to where documents lie; what lies there stays.

    A copy is whole or not there, and what is refused at first sight (too large, no such format)
    is not copied.

    Args:
        paths: Files and folders.
        root: The folder of documents.
        space: The knowledge space for what comes from elsewhere.
        language: ``de`` or ``en``, which becomes a folder; None to find out.
        limits: What a document may take.
    """
    home = root / space / language if language else root / space
    for path in paths:
        if path.resolve().is_relative_to(root.resolve()):
            below = path.resolve().relative_to(root.resolve()).as_posix()
            yield TakenIn("" if below == "." else below, copied=False)
            continue
        for file, name in _files(path):
            try:
                _check(file, limits)
                _copy(file, home / name)
                copied = (home / name).relative_to(root).as_posix()
                yield TakenIn(copied, copied=True)
            except DocumentError as error:
                yield file, error
            except OSError as error:
                told = DocumentError(
                    f"It cannot be copied to {home}: {error.strerror}.",
                    hint="Look at the rights and the free space there.",
                    code="copy",
                )
                yield file, told


def forget(root: Path, document_id: str) -> bool:
    """Delete a document's file; returns whether there was one."""
    if any(part in ("..", ".") for part in PurePosixPath(document_id).parts):
        return False
    path = root / document_id
    with suppress(FileNotFoundError):
        path.unlink()
        return True
    return False


def _files(path: Path) -> Iterator[tuple[Path, PurePosixPath]]:
    """Yield a file, or the files of a folder that can be read, each with its name to be."""
    if not path.is_dir():
        yield path, PurePosixPath(path.name)
        return
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            file = Path(folder, name)
            if supported(name) and not name.startswith((".", "~$")):
                yield file, PurePosixPath(path.resolve().name, file.relative_to(path).as_posix())


def _check(file: Path, limits: Limits) -> None:
    check_name(file.name)
    with open_regular(str(file), limits) as (source, _):
        media_type(file.name, source.read(HEAD_BYTES))


def _copy(file: Path, to: Path) -> None:
    """Copy a file so that whoever looks sees all of it or nothing."""
    to.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=to.parent, prefix=f".{to.name[:100]}.")
    try:
        with os.fdopen(handle, "wb") as target, file.open("rb") as source:
            shutil.copyfileobj(source, target)
            os.fchmod(target.fileno(), 0o640)
        os.replace(draft, to)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(draft)
        raise
