"""Web pages: what they say, without navigation, forms, scripts and what is hidden.

The standard library's parser goes through a page once and builds no tree, so that neither depth
nor size of a page matters, and what is not closed is read all the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from typing import BinaryIO

from apps.knowledge.documents.blocks import Block, Outline, one_line, row_text
from apps.knowledge.documents.limits import MIB, Limits
from apps.knowledge.documents.readers.text import open_text, pieces


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SILENT = _names(
    "script style noscript template nav aside form svg iframe button select dialog object canvas"
    " math audio video textarea"
)
_FRAME = _names("header footer")
_MAIN = _names("main article")
_BLOCKS = _names(
    "p div section article main ul ol li dl dd blockquote pre address figure figcaption br hr"
    " details body fieldset legend caption tbody thead tfoot header footer"
)
_HEADINGS = {f"h{level}": level for level in range(1, 7)} | {"summary": 7, "dt": 8}
# Elements that are never closed; hidden ones hide nothing else.
_VOID = _names("area base br col embed hr img input link meta source track wbr")
# A line outside the main part that is one short link is navigation.
_LINK_SHARE, _LONGEST_LINK = 0.9, 80
_LONGEST_BLOCK = 16_000


def read(file: BinaryIO, limits: Limits) -> Iterator[Block]:
    """Yield a page's blocks."""
    yield from Page(Outline()).feed_all(pieces(open_text(file, declared=True), MIB))


class Page(HTMLParser):
    """A page that is read.

    Args:
        outline: The headings above it, which it goes on with.
    """

    def __init__(self, outline: Outline) -> None:
        super().__init__(convert_charrefs=True)
        self._outline = outline
        self._found: list[Block] = []
        self._text: list[str] = []
        self._size = self._linked = self._links = self._main = 0
        self._heading = ""
        self._skipped, self._skip_depth = "", 0
        self._tables = 0
        self._cells: list[str] | None = None
        self._header: tuple[str, ...] = ()
        self._head_cells = 0

    def feed_all(self, parts: Iterable[str]) -> Iterator[Block]:
        """Yield the blocks of a page that comes in parts."""
        for part in parts:
            self.feed(part)
            yield from self._take()
        self.close()
        self._end_block()
        yield from self._take()

    def _take(self) -> list[Block]:
        found, self._found = self._found, []
        return found

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Come to an element."""
        if self._skipped:
            self._skip_depth += tag == self._skipped
            return
        if tag not in _VOID and self._silent(tag, attrs):
            self._end_block()
            self._skipped, self._skip_depth = tag, 1
        elif tag in _HEADINGS and self._cells is None:
            self._end_block()
            self._heading = tag
        elif tag in _BLOCKS:
            self._end_block()
        elif tag in ("table", "tr", "td", "th"):
            self._open_table(tag)
        self._main += tag in _MAIN
        self._links += tag == "a"

    def handle_endtag(self, tag: str) -> None:
        """Leave an element."""
        if self._skipped:
            self._skip_depth -= tag == self._skipped
            if not self._skip_depth or tag in ("body", "html"):
                self._skipped = ""
            return
        if tag == self._heading:
            text = self._line()
            self._heading = ""
            self._outline.heading(_HEADINGS[tag], text)
        elif tag in _BLOCKS:
            self._end_block()
            if tag in ("details", "dl"):
                self._outline.close(7 if tag == "details" else 8)
        elif tag in ("table", "tr", "td", "th"):
            self._close_table(tag)
        self._main = max(0, self._main - (tag in _MAIN))
        self._links = max(0, self._links - (tag == "a"))

    def handle_data(self, data: str) -> None:
        """Come to text."""
        if self._skipped:
            return
        self._text.append(data)
        self._size += len(data)
        if self._links:
            self._linked += len(data)
        if self._size > _LONGEST_BLOCK and self._cells is None and not self._heading:
            self._end_block()

    def _silent(self, tag: str, attrs: list[tuple[str, str | None]]) -> bool:
        """Whether an element's text is not for readers."""
        if tag in _SILENT or tag == "head" or (tag in _FRAME and not self._main):
            return True
        told = dict(attrs)
        style = (told.get("style") or "").replace(" ", "").lower()
        return (
            "hidden" in told
            or (told.get("aria-hidden") or "").lower() == "true"
            or (told.get("role") or "").lower() in ("navigation", "search", "banner")
            or "display:none" in style
            or "visibility:hidden" in style
        )

    def _line(self) -> str:
        """Return the text so far and begin anew."""
        text = one_line("".join(self._text))
        self._text, self._size, self._linked = [], 0, 0
        return text

    def _end_block(self) -> None:
        if self._cells is not None:  # in a table's cell: its lines belong together
            self._text.append(" ")
            return
        linked = self._linked >= _LINK_SHARE * self._size
        if self._heading:
            heading, self._heading = self._heading, ""
            self._outline.heading(_HEADINGS[heading], self._line())
            return
        text = self._line()
        if text and not (linked and not self._main and len(text) <= _LONGEST_LINK):
            self._found.append(Block(text, self._outline.path))

    # --- tables; one within another is part of its cell

    def _open_table(self, tag: str) -> None:
        if tag == "table":
            if not self._tables:
                self._end_block()
                self._header = ()
            self._tables += 1
        elif self._tables != 1:
            self._text.append(" ")
        elif tag == "tr":
            self._end_row()
            self._line()
            self._cells, self._head_cells = [], 0
        elif self._cells is not None:
            self._end_cell()
            self._head_cells += tag == "th"

    def _close_table(self, tag: str) -> None:
        if tag == "table":
            if self._tables == 1:
                self._end_row()
            self._tables = max(0, self._tables - 1)
        elif self._tables == 1 and tag == "tr":
            self._end_row()
        elif self._tables == 1:
            self._end_cell(close=True)

    def _end_cell(self, *, close: bool = False) -> None:
        text = self._line()
        if self._cells is not None and (close or text):
            self._cells.append(text)

    def _end_row(self) -> None:
        if self._cells is None:
            return
        if text := self._line():
            self._cells.append(text)
        cells, self._cells = tuple(self._cells), None
        if not self._header and self._head_cells == len(cells):
            self._header = cells
        elif text := row_text(self._header, cells):
            self._found.append(Block(text, self._outline.path))
