"""Text out of bytes, line by line, strictly: half-read text answers wrongly in silence."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from typing import BinaryIO

from apps.core.errors import DocumentError

LONGEST_LINE = 64 * 1024
_CHARSET = re.compile(rb"charset\s*=\s*[\"']?\s*([A-Za-z0-9_-]{1,40})", re.IGNORECASE)
_MARKS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_WESTERN = frozenset(("iso-8859-1", "iso8859-1", "latin1", "latin-1", "windows-1252", "cp1252"))


def open_text(file: BinaryIO, *, declared: bool = False) -> io.TextIOWrapper:
    """Return a file as text: UTF-8, or UTF-16 where its first bytes say so.

    Args:
        file: The file at its beginning.
        declared: Whether a ``charset=`` of Western Europe near its beginning counts (HTML).
    """
    head = file.read(2048)
    file.seek(0)
    encoding = _MARKS.get(head[:2], "utf-8-sig")
    named = _CHARSET.search(head) if declared else None
    if named and named[1].decode().lower() in _WESTERN:
        encoding = "cp1252"
    return io.TextIOWrapper(file, encoding=encoding, errors="strict")


def pieces(text: io.TextIOWrapper, size: int) -> Iterator[str]:
    """Yield a text in pieces of a size.

    Raises:
        DocumentError: ``encoding`` where it is no text in its encoding.
    """
    try:
        while piece := text.read(size):
            yield piece
    except UnicodeError as error:
        raise _no_text(error) from None


def lines(text: io.TextIOWrapper) -> Iterator[str]:
    """Yield a text's lines; one of more than 64 Ki characters comes in several.

    Raises:
        DocumentError: ``encoding`` where it is no text in its encoding.
    """
    try:
        while line := text.readline(LONGEST_LINE):
            yield line
    except UnicodeError as error:
        raise _no_text(error) from None


def _no_text(error: UnicodeError) -> DocumentError:
    name = getattr(error, "encoding", "UTF-8").upper()
    return DocumentError(
        f"The file is no text in {name}.",
        hint="Save it as UTF-8; in Excel that is `CSV UTF-8`.",
        code="encoding",
    )
