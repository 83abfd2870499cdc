"""What of a model's persons is a person's name, and how long texts are looked at. Pure.

A model marks too much: "Frau" with the name, a street that bears one, a mail address. What is left
here is what is taken out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from apps.core.redaction import Finding, Kind
from apps.core.redaction.public import name_words

WINDOW, OVERLAP = 4000, 200
"""Characters that are looked at at once, and those that the next window looks at again."""

_TOKEN = re.compile(r"\S+")
_AROUND = "\"'.,;:!?()[]{}<>«»„“”‚‘’/|*–—-…"
# Mail and web addresses; they are public or have patterns of their own.
_ADDRESS = re.compile(r"[@_]|://|^www\.|[^\W\d_]\.[a-z]{2,}(?:/|$)")
_LETTERS = re.compile(r"[^\W\d_]")
_PLACES = (
    "straße|strasse|str|platz|allee|weg|ring|ufer|gasse|damm|brücke|schule|gymnasium|haus|halle"
    "|stiftung|siedlung|park"
)
_IN_PLACE = re.compile(rf"(?:-(?:{_PLACES})|[a-zäöüß]{{3}}stra(?:ß|ss)e)[.s]?(?:$|\W)", re.I)
_BEFORE_PLACE = re.compile(
    r"(?:-\w+)*[ -](?:straße|strasse|str\.|platz|allee|street|road|avenue|square|lane)(?!\w)"
    rf"|(?:-\w+)*-(?:{_PLACES})(?!\w)",
    re.I,
)


def windows(text: str, size: int = WINDOW, overlap: int = OVERLAP) -> Iterator[tuple[int, str]]:
    """Yield pieces of a text with where they begin; what is cut at an end is whole in the next.

    Args:
        text: Any text; one that is short enough is one piece.
        size: Characters of a piece, at most.
        overlap: Characters that two pieces share, at least.
    """
    at = 0
    while True:
        end = at + size
        if end >= len(text):
            yield at, text[at:]
            return
        blank = text.rfind(" ", at + 2 * overlap, end)
        end = blank if blank > 0 else end
        yield at, text[at:end]
        # The next begins with a whole word where it can.
        begin = text.find(" ", end - 2 * overlap, end - overlap)
        at = begin + 1 if begin > 0 else end - overlap


def names_in(text: str, start: int, end: int) -> Iterator[Finding]:
    """Yield the names in what a model took for a person.

    Left out are forms of address before a name, mail and web addresses, and places that are
    named after a person.

    Args:
        text: The whole text.
        start: Where the person begins.
        end: Behind their last character.
    """
    if _IN_PLACE.search(text, start, end) or _BEFORE_PLACE.match(text, end):
        return
    run: list[tuple[int, int]] = []
    for token in _TOKEN.finditer(text, start, end):
        place = _trimmed(text, *token.span())
        if place is None or _ADDRESS.search(text[place[0] : place[1]]):
            yield from _named(text, run)
            run = []
        else:
            run.append(place)
    yield from _named(text, run)


def _trimmed(text: str, start: int, end: int) -> tuple[int, int] | None:
    """Return where a token is without signs around it; None where it has no letters."""
    while start < end and text[start] in _AROUND:
        start += 1
    while start < end and text[end - 1] in _AROUND:
        end -= 1
    return (start, end) if _LETTERS.search(text, start, end) else None


def _named(text: str, run: list[tuple[int, int]]) -> Iterator[Finding]:
    """Yield the name that some tokens are, without the forms of address before it."""
    while run and not name_words(text[run[0][0] : run[0][1]]):
        run = run[1:]
    while run and not name_words(text[run[-1][0] : run[-1][1]]):
        run = run[:-1]
    if run:
        start, end = run[0][0], run[-1][1]
        yield Finding(Kind.NAME, start, end, " ".join(name_words(text[start:end])))
