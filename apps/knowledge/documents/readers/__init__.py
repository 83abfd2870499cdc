"""One reader a format: an open file in, blocks out. They run in a process that can be killed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import BinaryIO

from apps.core.errors import DocumentError
from apps.knowledge.documents import sniff
from apps.knowledge.documents.blocks import Block
from apps.knowledge.documents.limits import Limits

Reader = Callable[[BinaryIO, Limits], Iterator[Block]]

_MODULES = {
    sniff.MARKDOWN: "markdown",
    sniff.HTML: "html",
    sniff.PLAIN: "plain",
    sniff.CSV: "tables",
    sniff.TSV: "tables",
    sniff.JSONL: "jsonl",
    sniff.PDF: "pdf",
    sniff.DOCX: "docx",
}


def reader_of(media_type: str) -> Reader:
    """Return what reads a media type; a parser is loaded when it is first needed.

    Raises:
        DocumentError: ``parser_missing`` when its library is not installed.
    """
    try:
        module = import_module(f"{__name__}.{_MODULES[media_type]}")
    except ImportError as error:
        raise DocumentError(
            f"{error.name} is not installed, which reads {media_type}.",
            hint="Install TOM anew, or this library into TOM's environment.",
            code="parser_missing",
        ) from error
    reader: Reader = module.read
    return reader
