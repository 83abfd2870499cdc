"""Plain text: paragraphs between empty lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import BinaryIO

from apps.knowledge.documents.blocks import Block, one_line
from apps.knowledge.documents.limits import Limits
from apps.knowledge.documents.readers.text import lines, open_text

_LONGEST_BLOCK = 8_000


def read(file: BinaryIO, limits: Limits) -> Iterator[Block]:
    """Yield a file's paragraphs."""
    for paragraph in paragraphs(lines(open_text(file))):
        yield Block(paragraph)


def paragraphs(found: Iterable[str]) -> Iterator[str]:
    """Yield the paragraphs that lines make, each on one line, none without end."""
    open_lines: list[str] = []
    size = 0
    for line in found:
        if line.strip():
            open_lines.append(line)
            size += len(line)
        if open_lines and (not line.strip() or size >= _LONGEST_BLOCK):
            text, rest = _cut(" ".join(map(one_line, open_lines)), whole=not line.strip())
            open_lines, size = ([rest] if rest else []), len(rest)
            if text:
                yield text
    if text := one_line(" ".join(open_lines)):
        yield text


def _cut(text: str, *, whole: bool) -> tuple[str, str]:
    """Return what of an endless paragraph can go on, and what waits: no sentence is torn."""
    if whole:
        return text, ""
    at = max(text.rfind(stop, _LONGEST_BLOCK // 2) for stop in (". ", "! ", "? "))
    if at < 0:
        at = text.rfind(" ", _LONGEST_BLOCK // 2)
    return (text[: at + 1], text[at + 2 :]) if at > 0 else (text, "")
