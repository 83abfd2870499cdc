"""PDF by pypdf: page by page, under the headings that its bookmarks give."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

from pypdf import PageObject, PdfReader
from pypdf.errors import DependencyError, FileNotDecryptedError, PyPdfError

from apps.core.errors import DocumentError
from apps.knowledge.documents.blocks import Block, Outline, one_line
from apps.knowledge.documents.limits import Limits

_SAMPLE_PAGES = 12
_PAGE_NUMBER = re.compile(
    r"(?:-\s*)?(?:Seite|Page|S\.)?\s*\d{1,4}\s*(?:(?:von|of|/)\s*\d{1,4})?(?:\s*-)?", re.IGNORECASE
)
_MOST_BOOKMARKS, _DEEPEST = 5_000, 8
_SENTENCE_END = (".", "!", "?", ":", ";")
_SHORT_LINE = 0.7


def read(file: BinaryIO, limits: Limits) -> Iterator[Block]:
    """Yield a document's paragraphs.

    Raises:
        DocumentError: ``encrypted``; ``too_long`` with more pages than allowed; ``broken``;
            ``no_text`` where it is made of pictures.
    """
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    try:
        reader = PdfReader(file, strict=False)
        _decrypt(reader)
        if len(reader.pages) > limits.pages:
            raise DocumentError(
                f"The document has {len(reader.pages)} pages; {limits.pages} are read at most.",
                hint="Divide it.",
                code="too_long",
            )
        yield from _blocks(reader)
    except FileNotDecryptedError:
        raise _encrypted() from None
    except (PyPdfError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        # pypdf lets those of Python through where a file's structure lies.
        raise DocumentError(
            f"The PDF is damaged ({type(error).__name__}).",
            hint="Print it into a new PDF.",
            code="broken",
        ) from None


def _decrypt(reader: PdfReader) -> None:
    """Open what is locked by an empty password only, as many forms are."""
    if reader.is_encrypted:
        try:
            opened = reader.decrypt("")
        except (DependencyError, NotImplementedError):
            raise _encrypted() from None
        if not opened:
            raise _encrypted()


def _encrypted() -> DocumentError:
    return DocumentError(
        "The PDF is locked by a password.", hint="Save it without one.", code="encrypted"
    )


def _blocks(reader: PdfReader) -> Iterator[Block]:
    headings = _bookmarks(reader)
    pages = reader.pages
    repeated = _repeated(_lines(pages[i]) for i in range(min(_SAMPLE_PAGES, len(pages))))
    outline, said = Outline(), False
    for number, page in enumerate(pages):
        for level, title in headings.get(number, ()):
            outline.heading(level, title)
        kept = [line for line in _lines(page) if line not in repeated]
        for text in _paragraphs(kept):
            said = True
            yield Block(text, outline.path, number + 1)
    if not said:
        raise DocumentError(
            "The PDF holds pictures and no text.",
            hint="Let a scanner's software recognise its text (OCR) first.",
            code="no_text",
        )


def _lines(page: PageObject) -> list[str]:
    found = (one_line(line) for line in page.extract_text().split("\n"))
    return [line for line in found if line and not _PAGE_NUMBER.fullmatch(line)]


def _repeated(sample: Iterator[list[str]]) -> frozenset[str]:
    """Return the first and last lines that most pages share: running heads and feet."""
    edges = [frozenset((*lines[:2], *lines[-2:])) for lines in sample]
    seen = Counter(line for lines in edges for line in lines)
    return frozenset(line for line, n in seen.items() if n >= 3 and n > len(edges) / 2)


def _paragraphs(lines: Sequence[str]) -> Iterator[str]:
    """Join a page's lines: a paragraph ends with a sentence on a line that is not full."""
    full = max((len(line) for line in lines), default=0)
    text = ""
    for line in lines:
        if text.endswith("-") and line[:1].islower() and text[-2:-1].isalpha():
            text = text[:-1] + line  # a word that was divided
        else:
            text = f"{text} {line}" if text else line
        if text.endswith(_SENTENCE_END) and len(line) < _SHORT_LINE * full:
            yield text
            text = ""
    if text:
        yield text


def _bookmarks(reader: PdfReader) -> dict[int, list[tuple[int, str]]]:
    """Return bookmarks' levels and titles by their page's number; none where they are broken."""
    found: dict[int, list[tuple[int, str]]] = {}
    left = _MOST_BOOKMARKS

    def walk(items: Sequence[Any], level: int) -> None:
        nonlocal left
        for item in items:
            left -= 1
            if left < 0:
                return
            if isinstance(item, list):
                if level < _DEEPEST:
                    walk(item, level + 1)
                continue
            page = reader.get_destination_page_number(item)
            if page is not None and page >= 0 and item.title:
                found.setdefault(page, []).append((level, one_line(str(item.title))))

    try:
        walk(reader.outline, 1)
    except (PyPdfError, ValueError, KeyError, TypeError, IndexError, AttributeError):
        return {}
    return found
