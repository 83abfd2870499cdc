"""Documents that the tests make: PDF and DOCX with what they need, and hostile ones."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import docx
from docx.oxml import OxmlElement
from pypdf import PdfWriter
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject


def pdf(
    pages: Sequence[Sequence[str]],
    bookmarks: Sequence[tuple[str, int]] = (),
    password: str | None = None,
    owner_only: bool = False,
) -> bytes:
    """Return a PDF with lines of text on its pages.

    Args:
        pages: The lines of each page.
        bookmarks: Titles and the pages, from 0, that they lead to.
        password: Locks it.
        owner_only: Locks it against changes alone: everybody may read it.
    """
    writer = PdfWriter()
    font = writer._add_object(
        DictionaryObject(
            {
                NameObject("/Type"): NameObject("/Font"),
                NameObject("/Subtype"): NameObject("/Type1"),
                NameObject("/BaseFont"): NameObject("/Helvetica"),
                NameObject("/Encoding"): NameObject("/WinAnsiEncoding"),
            }
        )
    )
    for lines in pages:
        page = writer.add_blank_page(595, 842)
        fonts = DictionaryObject({NameObject("/F1"): font})
        page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
        said = "\n".join(f"({_escaped(line)}) Tj T*" for line in lines)
        stream = DecodedStreamObject()
        stream.set_data(f"BT /F1 12 Tf 14 TL 50 800 Td\n{said}\nET".encode("cp1252"))
        page[NameObject("/Contents")] = writer._add_object(stream)
    for title, number in bookmarks:
        writer.add_outline_item(title=title, page_number=number)
    if password is not None:
        writer.encrypt("" if owner_only else password, password, algorithm="AES-256")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def _escaped(line: str) -> str:
    return line.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")


def word(path: Path) -> Path:
    """Write a DOCX with headings, a list, a table and a page break as Word notes them."""
    document = docx.Document()
    document.add_heading("Gebühren", 1)
    document.add_paragraph("Die Zulassung eines neuen Fahrzeugs kostet 30,60 Euro.")
    document.add_heading("Außerbetriebsetzung", 2)
    document.add_paragraph("Bringen Sie bitte die Kennzeichen mit:", style="List Bullet")
    table = document.add_table(rows=2, cols=2)
    for cell, text in zip(table.rows[0].cells, ("Leistung", "Gebühr"), strict=True):
        cell.text = text
    for cell, text in zip(table.rows[1].cells, ("Abmeldung", "16,80 Euro"), strict=True):
        cell.text = text
    document.add_paragraph().add_run()._r.append(OxmlElement("w:lastRenderedPageBreak"))
    document.add_paragraph("Dies steht auf der zweiten Seite des Dokuments.")
    document.save(str(path))
    return path


def bomb(path: Path, megabytes: int = 300) -> Path:
    """Write a DOCX that would unpack to very much."""
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("word/document.xml", "w") as member,
    ):
        for _ in range(megabytes):
            member.write(b" " * (1 << 20))
    return path
