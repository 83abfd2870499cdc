"""Markdown (CommonMark with tables), read section by section, so that its size does not matter."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO

from markdown_it import MarkdownIt
from markdown_it.token import Token

from apps.knowledge.documents.blocks import Block, Outline, one_line, row_text
from apps.knowledge.documents.limits import Limits
from apps.knowledge.documents.readers.html import Page
from apps.knowledge.documents.readers.text import lines, open_text

_SECTION_CHARS = 64 * 1024
_HEADING = re.compile(r" {0,3}#{1,6}[ \t]")
_FENCE = re.compile(r" {0,3}(```|~~~)")
_ATTRIBUTES = re.compile(r"\s*\{[#.:][^}]{0,200}\}\s*$")
_MOST_META_LINES = 100


def read(file: BinaryIO, limits: Limits) -> Iterator[Block]:
    """Yield a file's blocks."""
    parser = MarkdownIt("commonmark", {"maxNesting": 20}).enable("table")
    outline = Outline()
    for section in _sections(_without_meta(lines(open_text(file)))):
        yield from _blocks(parser.parse(section), outline)


def _without_meta(found: Iterator[str]) -> Iterator[str]:
    """Leave out front matter between two lines of ``---``."""
    held: list[str] = []
    for line in found:
        held.append(line)
        if held[0].strip() != "---" or len(held) > _MOST_META_LINES:
            break
        if len(held) > 1 and line.strip() == "---":
            held = []
            break
    yield from held
    yield from found


def _sections(found: Iterable[str]) -> Iterator[str]:
    """Yield pieces of Markdown that begin at headings, or at empty lines where none comes."""
    section = io.StringIO()
    fenced = False
    for line in found:
        full = section.tell() > _SECTION_CHARS
        fenced ^= _FENCE.match(line) is not None
        over = section.tell() > 4 * _SECTION_CHARS
        if over or (full and not fenced and (not line.strip() or _HEADING.match(line))):
            yield section.getvalue()
            section = io.StringIO()
        section.write(line)
    yield section.getvalue()


def _blocks(tokens: Sequence[Token], outline: Outline) -> Iterator[Block]:
    level = 0
    header: tuple[str, ...] = ()
    cells: list[str] | None = None
    for token in tokens:
        match token.type:
            case "heading_open":
                level = int(token.tag[1])
            case "thead_open":
                header = ()
            case "tr_open":
                cells = []
            case "tr_close" if cells is not None:
                if not header:
                    header = tuple(cells)
                elif text := row_text(header, tuple(cells)):
                    yield Block(text, outline.path)
                cells = None
            case "table_close":
                header = ()
            case "inline":
                text = one_line(_text(token.children or ()))
                if level:
                    outline.heading(level, _ATTRIBUTES.sub("", text))
                    level = 0
                elif cells is not None:
                    cells.append(text)
                elif text:
                    yield Block(text, outline.path)
            case "fence" | "code_block":
                if text := one_line(token.content):
                    yield Block(text, outline.path)
            case "html_block":
                page = Page(outline)
                yield from page.feed_all([token.content])


def _text(tokens: Iterable[Token]) -> str:
    """Return what inline tokens say."""
    said = []
    for token in tokens:
        if token.type in ("softbreak", "hardbreak"):
            said.append(" ")
        elif token.type == "image":
            said.append(_text(token.children or ()))
        elif token.type != "html_inline":
            said.append(token.content)
    return "".join(said)
