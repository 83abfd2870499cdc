"""DOCX by python-docx: paragraphs, lists and tables under their headings."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from typing import BinaryIO

import docx
from docx.document import Document
from docx.opc.exceptions import PackageNotFoundError
from docx.table import Table
from lxml import etree

from apps.core.errors import DocumentError
from apps.knowledge.documents.blocks import Block, Outline, one_line, row_text
from apps.knowledge.documents.limits import MIB, Limits

_HEADING = re.compile(r"heading (\d)", re.IGNORECASE)
_ENCRYPTED_FLAG = 0x1


def read(file: BinaryIO, limits: Limits) -> Iterator[Block]:
    """Yield a document's blocks; pages are those of its last printing, where Word noted them.

    Raises:
        DocumentError: ``bomb`` when it unpacks to far more than it is; ``encrypted``;
            ``wrong_extension`` for another ZIP; ``broken``.
    """
    check_archive(file, limits)
    try:
        yield from _blocks(docx.Document(file))
    except (
        PackageNotFoundError,
        zipfile.BadZipFile,
        etree.LxmlError,
        KeyError,
        ValueError,
        AttributeError,
        IndexError,
    ) as error:
        raise _broken(type(error).__name__) from None


def check_archive(file: BinaryIO, limits: Limits) -> None:
    """Look at an archive's table of contents before anything is unpacked.

    What a table lies about is cut off by zipfile, which unpacks no more than is said there, and
    by the process's memory.
    """
    try:
        members = zipfile.ZipFile(file).infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        raise _broken("BadZipFile") from None
    finally:
        file.seek(0)
    packed = sum(member.compress_size for member in members)
    unpacked = sum(member.file_size for member in members)
    if (
        len(members) > limits.packed_files
        or unpacked > limits.unpacked_bytes
        or unpacked > MIB + limits.ratio * packed
    ):
        raise DocumentError(
            f"The document would unpack to {unpacked // MIB} MiB in {len(members)} files.",
            hint="No document of an office does; it looks made to do harm.",
            code="bomb",
        )
    if any(member.flag_bits & _ENCRYPTED_FLAG for member in members):
        raise DocumentError(
            "The document is encrypted.", hint="Save it without a password.", code="encrypted"
        )
    if not any(member.filename.startswith("word/") for member in members):
        raise DocumentError(
            "It is a ZIP archive and no Word document.",
            hint="Give it the ending of what it is; archives are not read.",
            code="wrong_extension",
        )


def _blocks(document: Document) -> Iterator[Block]:
    outline, number = Outline(), 1
    levels = _levels(document)
    paged = bool(document.element.xpath("//w:lastRenderedPageBreak"))
    for item in document.iter_inner_content():
        page = number if paged else None
        if isinstance(item, Table):
            yield from _rows(item, outline, page)
            continue
        text = one_line(item.text)
        # By its style's id: python-docx looks a style itself up anew for every paragraph.
        level = levels.get(item._p.style or "")
        if level is not None:
            outline.heading(level, text)
        elif text:
            yield Block(text, outline.path, page)
        if paged:
            number += len(item.rendered_page_breaks)


def _levels(document: Document) -> dict[str, int]:
    """Return the headings' levels by their style's id; a document's title stands above them all."""
    found = {}
    for style in document.styles:
        match = _HEADING.fullmatch(style.name or "")
        if match or (style.name or "").lower() == "title":
            found[style.style_id] = int(match[1]) + 1 if match else 1
    return found


def _rows(table: Table, outline: Outline, page: int | None) -> Iterator[Block]:
    header: tuple[str, ...] = ()
    for row in table.rows:
        cells, last = [], None
        for cell in row.cells:
            if cell is not last:  # one that spans several columns comes once for each
                cells.append(one_line(cell.text))
            last = cell
        if not header:
            header = tuple(cells)
        elif text := row_text(header, tuple(cells)):
            yield Block(text, outline.path, page)
    if header and len(table.rows) == 1:
        yield Block("; ".join(filter(None, header)), outline.path, page)


def _broken(what: str) -> DocumentError:
    return DocumentError(
        f"The document is damaged ({what}).", hint="Save it anew in Word.", code="broken"
    )
