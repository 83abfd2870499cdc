"""What every reader makes of a document: blocks of text with the headings above them. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_SPACE = re.compile(r"[\s\u00a0\u200b\ufeff]+")
_UNSPEAKABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u00ad\u2028-\u202e\ufffe\uffff]")
_MOST_HEADINGS, _LONGEST_HEADING = 8, 200


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, a list's item, a table's row.

    Attributes:
        text: On one line.
        headings: The headings above it, the widest first.
        page: From 1, where the document has pages.
        whole: Whether it is a passage of its own, such as the answer to a listed question.
    """

    text: str
    headings: tuple[str, ...] = ()
    page: int | None = None
    whole: bool = False


@dataclass(slots=True)
class Outline:
    """The headings above the place where a reader is."""

    _open: list[tuple[int, str]] = field(default_factory=list)

    def heading(self, level: int, text: str) -> None:
        """Come to a heading: it ends those of its level and below."""
        self.close(level)
        if text and len(self._open) < _MOST_HEADINGS:
            self._open.append((level, shortened(text, _LONGEST_HEADING)))

    def close(self, level: int) -> None:
        """Leave what stands under headings of a level."""
        while self._open and self._open[-1][0] >= level:
            self._open.pop()

    @property
    def path(self) -> tuple[str, ...]:
        """The headings, the widest first."""
        return tuple(text for _, text in self._open)


def one_line(text: str) -> str:
    """Return a text on one line, without what cannot be spoken: control signs, soft hyphens."""
    return _SPACE.sub(" ", _UNSPEAKABLE.sub("", text)).strip()


def shortened(text: str, most: int) -> str:
    """Return a text of at most so many characters."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def row_text(header: tuple[str, ...], cells: tuple[str, ...]) -> str:
    """Return a table's row as a sentence: ``Fee: 30.60 euros; Duration: 10 minutes``."""
    named = [
        f"{name}: {cell}" if name and name != cell else cell
        for name, cell in zip((*header, *[""] * len(cells)), cells, strict=False)
        if cell
    ]
    return "; ".join(named)
