"""One document from its file to passages: open, check, parse, redact, cut. Runs in the worker.

Personal data is taken out here, before anything leaves the process that read the file.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import PurePath
from typing import Any, BinaryIO

from apps.core import redaction
from apps.core.errors import DocumentError, RedactionFailed
from apps.core.privacy.known import Recalling
from apps.core.privacy.redacting import redact
from apps.core.redaction import Detector, PublicFacts
from apps.core.words import fold
from apps.knowledge.documents import sniff
from apps.knowledge.documents.blocks import Block, shortened
from apps.knowledge.documents.chunking import cut, target_chars
from apps.knowledge.documents.language import LanguageTally
from apps.knowledge.documents.limits import MIB, Limits
from apps.knowledge.documents.quality import QualityTally
from apps.knowledge.documents.readers import reader_of

_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_LONGEST_TITLE = 120
REDACTION_FAILED = "redaction"
NO_DETECTOR = "no_detector"
"""The code of a document whose personal data could not be found."""


@dataclass(frozen=True, slots=True)
class Task:
    """A document that is to be read.

    Attributes:
        path: Where it lies, links resolved.
        public: What may stay of what looks personal, as in ``PublicFacts.of``.
        language: ``de`` or ``en`` where that is certain; None to find out.
        fallback_language: Of a text whose words do not tell.
        domain: Words of its space's domain, folded.
        limits: What it may take.
    """

    path: str
    public: tuple[str, ...] = ()
    language: str | None = None
    fallback_language: str = "de"
    domain: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON takes it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, told: dict[str, Any]) -> Task:
        """Read what ``to_dict`` returned."""
        limits = Limits(**told.pop("limits"))
        public, domain = tuple(told.pop("public")), tuple(told.pop("domain"))
        return cls(**told, public=public, domain=domain, limits=limits)


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage as it goes to the index; its language is None where it is its document's."""

    text: str
    headings: tuple[str, ...]
    page: int | None
    language: str | None


@dataclass(frozen=True, slots=True)
class Summary:
    """What is known of a document when all of it was read.

    Attributes:
        title: Its first heading, or its file's name.
        media_type: As its bytes say.
        language: ``de`` or ``en``.
        quality: In [0, 1].
        redacted: How often each kind of personal data was found.
    """

    title: str
    media_type: str
    language: str
    quality: float
    redacted: dict[str, int]


def read(task: Task, detector: Detector | None = None) -> Iterator[Passage | Summary]:
    """Yield a document's passages, and its summary last.

    Args:
        task: The document.
        detector: Finds personal data that has no pattern.

    Raises:
        DocumentError: It cannot be read; its code says why.
    """
    with open_regular(task.path, task.limits) as (file, size):
        media_type = sniff.media_type(task.path, file.read(sniff.HEAD_BYTES))
        read_blocks = reader_of(media_type)
        if detector is not None:
            detector = Recalling(detector)  # first all is looked at: then every name is known
            with _again(file) as first:
                deque(_Reading(task, detector).clean(read_blocks(first, task.limits)), maxlen=0)
        reading = _Reading(task, detector)
        with _again(file) as whole:
            blocks = reading.clean(read_blocks(whole, task.limits))
            for number, piece in enumerate(cut(blocks, target_chars(size))):
                if number >= task.limits.chunks:
                    raise DocumentError(
                        f"The document gives more than {task.limits.chunks} passages.",
                        hint="Divide it, or raise TOM_KB_MAX_PASSAGES.",
                        code="too_long",
                    )
                language = reading.count(piece.text)
                yield Passage(piece.text, piece.headings, piece.page, language)
    yield reading.summary(media_type)


def _again(file: BinaryIO) -> BinaryIO:
    """Return an open file from its beginning; a reader may close it, and ``file`` stays open."""
    os.lseek(file.fileno(), 0, os.SEEK_SET)
    return os.fdopen(os.dup(file.fileno()), "rb")


class _Opened:
    """A file that is open, and its size."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._size = file, size

    def __enter__(self) -> tuple[BinaryIO, int]:
        return self._file, self._size

    def __exit__(self, *_: object) -> None:
        self._file.close()


_HINTS = {
    errno.ENOENT: "Check the path.",
    errno.ELOOP: "It is a link: name the file itself.",
}


def open_regular(path: str, limits: Limits) -> _Opened:
    """Open a file that is one: no link, no pipe, not too large.

    Raises:
        DocumentError: ``unreadable``, ``no_file`` or ``too_big``.
    """
    try:
        # A pipe would be waited for without O_NONBLOCK.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise DocumentError(
            f"The file cannot be opened: {error.strerror}.",
            hint=_HINTS.get(error.errno or 0, "Let the user that TOM runs as read it."),
            code="unreadable",
        ) from None
    facts = os.fstat(descriptor)
    if not stat.S_ISREG(facts.st_mode) or facts.st_size > limits.file_bytes:
        os.close(descriptor)
        raise too_big(facts.st_size, limits) if stat.S_ISREG(facts.st_mode) else no_file()
    return _Opened(os.fdopen(descriptor, "rb"), facts.st_size)


def too_big(size: int, limits: Limits) -> DocumentError:
    """Return the error of a file of more bytes than are read."""
    return DocumentError(
        f"The file has {size // MIB} MiB; {limits.file_bytes // MIB} MiB are read at most.",
        hint="Divide it, or raise TOM_KB_MAX_FILE_MB.",
        code="too_big",
    )


def no_file() -> DocumentError:
    """Return the error of a pipe, a socket or a device."""
    return DocumentError("It is no regular file.", hint="Remove it.", code="no_file")


class _Reading:
    """What is gathered while a document goes by."""

    def __init__(self, task: Task, detector: Detector | None) -> None:
        self._task, self._detector = task, detector
        self._public = PublicFacts.of(task.public)
        self._domain = frozenset(task.domain)
        self._redacted: Counter[str] = Counter()
        self._language = LanguageTally()  # of what was cut into passages
        self._so_far = LanguageTally()  # of what a detector has looked at
        self._quality = QualityTally()
        self._headings: dict[str, str] = {}
        self._title = ""

    def clean(self, blocks: Iterator[Block]) -> Iterator[Block]:
        """Take personal data out of blocks and their headings."""
        for block in blocks:
            language = self._language_of(block.text) if self._detector is not None else ""
            headings = self._clean_headings(block.headings, language)
            self._title = self._title or (headings[0] if headings else "")
            text = self._clean_text(block.text, language)
            yield Block(text, headings, block.page, block.whole)

    def _language_of(self, text: str) -> str:
        """Return in which language names are looked for: a text's own, or its document's."""
        if self._task.language:
            return self._task.language
        tally = LanguageTally()
        tally.add(_WORD.findall(fold(text)))
        self._so_far.merge(tally)
        return tally.language or self._so_far.language or self._task.fallback_language

    def _clean_text(self, text: str, language: str) -> str:
        try:
            found = redact(text, self._detector, language, self._public)
        except RedactionFailed as error:
            raise DocumentError(
                error.message,
                hint="Nothing of it is indexed. TOM_PRIVACY_DETECTOR=false does without names.",
                code=REDACTION_FAILED,
            ) from None
        self._redacted.update(redaction.counts(found.findings))
        return found.text

    def _clean_headings(self, headings: tuple[str, ...], language: str) -> tuple[str, ...]:
        # Those of the block before, mostly; one that stays above another text stays what it was,
        # whichever language that is in.
        known = self._headings
        self._headings = {
            heading: known[heading] if heading in known else self._clean_text(heading, language)
            for heading in headings
        }
        return tuple(self._headings[heading] for heading in headings)

    def count(self, text: str) -> str | None:
        """Count a passage; returns its language where its words tell it."""
        words = _WORD.findall(fold(text))
        self._quality.add(text, words, self._domain)
        tally = LanguageTally()
        tally.add(words)
        self._language.merge(tally)
        return self._task.language or tally.language

    def summary(self, media_type: str) -> Summary:
        """Return what is known at the end."""
        language = self._task.language or self._language.language or self._task.fallback_language
        name = self._clean_text(PurePath(self._task.path).stem.replace("_", " "), language)
        return Summary(
            title=shortened(self._title or name, _LONGEST_TITLE),
            media_type=media_type,
            language=language,
            quality=self._quality.quality(has_domain=bool(self._domain)),
            redacted=dict(self._redacted),
        )
