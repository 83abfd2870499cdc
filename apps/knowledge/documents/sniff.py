"""What a file is: by its name, and by its first bytes, which must agree. Pure."""

from __future__ import annotations

from pathlib import PurePath

from apps.core.errors import DocumentError

MARKDOWN, HTML, PLAIN = "text/markdown", "text/html", "text/plain"
CSV, TSV, JSONL = "text/csv", "text/tab-separated-values", "application/jsonl"
PDF = "application/pdf"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"

BY_SUFFIX = {
    ".md": MARKDOWN,
    ".markdown": MARKDOWN,
    ".html": HTML,
    ".htm": HTML,
    ".xhtml": HTML,
    ".txt": PLAIN,
    ".csv": CSV,
    ".tsv": TSV,
    ".jsonl": JSONL,
    ".ndjson": JSONL,
    ".pdf": PDF,
    ".docx": DOCX,
}
HEAD_BYTES = 4096
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_MAGIC = {
    b"PK\x03\x04": "a ZIP archive or an Office document",
    b"PK\x05\x06": "an empty ZIP archive",
    b"\xd0\xcf\x11\xe0": "an old or an encrypted Office document",
    b"\x1f\x8b": "packed by gzip",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"GIF8": "a picture",
    b"\x7fELF": "a program",
    b"MZ\x90": "a program",
    b"SQLite format 3": "a database",
    b"7z\xbc\xaf": "a 7z archive",
    b"Rar!": "a RAR archive",
    b"{\\rtf": "an RTF document",
}


def supported(name: str) -> bool:
    """Whether a file's name says that it is something that can be read."""
    return PurePath(name).suffix.lower() in BY_SUFFIX


def media_type(name: str, head: bytes) -> str:
    """Return a file's media type.

    Args:
        name: Its name.
        head: Its first ``HEAD_BYTES`` bytes, or all where it has fewer.

    Raises:
        DocumentError: ``unsupported`` by its name; ``empty``; ``wrong_extension`` when it is not
            what its name says; ``encrypted`` when its bytes say so.
    """
    told = BY_SUFFIX.get(PurePath(name).suffix.lower())
    if told is None:
        known = " ".join(sorted(BY_SUFFIX))
        raise DocumentError(
            "Files of this kind are not read.", hint=f"Read are {known}.", code="unsupported"
        )
    if not head.strip(b"\0\xef\xbb\xbf \t\r\n"):
        raise DocumentError("The file is empty.", hint="Fill it or remove it.", code="empty")
    found = _found(head)
    if told is DOCX and head.startswith(b"\xd0\xcf\x11\xe0"):
        raise DocumentError(
            "The document is encrypted, or in Word's format from before 2007.",
            hint="Save it as .docx without a password.",
            code="encrypted",
        )
    fits = {PDF: "a PDF", DOCX: _MAGIC[b"PK\x03\x04"]}.get(told, "text")
    if found != fits:
        raise DocumentError(
            f"Its name ends in {PurePath(name).suffix.lower()}, but it is {found}.",
            hint="Give it the ending of what it is, or save it anew in that format.",
            code="wrong_extension",
        )
    return told


def _found(head: bytes) -> str:
    """Return what the bytes say that a file is."""
    if b"%PDF-" in head[:1024]:
        return "a PDF"
    for magic, what in _MAGIC.items():
        if head.startswith(magic):
            return what
    if b"\0" in head and not head.startswith(_UTF16):
        return "something other than text"
    return "text"
