"""How rules' matches become findings. Pure.

What a rule has found is hidden from the rules after it, so that nothing is found twice.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from apps.core.redaction.base import Finding, Kind

_MASK = "\0"


@dataclass(frozen=True, slots=True)
class Match:
    """A place in a text: ``kind`` is None for what only looks personal."""

    start: int
    end: int
    kind: Kind | None
    value: str


class Finder(Protocol):
    """One way in which something is written or spoken.

    Attributes:
        cues: A text without any of these, in lower case, holds nothing of it; () for no such cue.
        digits: A text with fewer digits holds nothing of it.
    """

    @property
    def cues(self) -> tuple[str, ...]:
        """As above."""
        ...

    @property
    def digits(self) -> int:
        """As above."""
        ...

    def matches(self, text: str) -> Iterable[Match]:
        """Return what is found, in its order, without overlaps."""
        ...


@dataclass(frozen=True, slots=True)
class Rule:
    """What a regular expression finds.

    Attributes:
        regex: Its group ``v``, where it has one, is the personal part; else the whole match is.
        kind: None for what only looks personal (a date, a price): it is kept from later rules.
        value: Returns what was meant, whatever its form; None for what is not that after all.
        digits: As in ``Finder``.
        cues: As in ``Finder``.
    """

    regex: re.Pattern[str]
    kind: Kind | None
    value: Callable[[re.Match[str]], str | None]
    digits: int = 1
    cues: tuple[str, ...] = ()

    def matches(self, text: str) -> Iterator[Match]:
        """Yield what is found."""
        group = "v" if "v" in self.regex.groupindex else 0
        for match in self.regex.finditer(text):
            value = self.value(match)
            if value is not None:
                yield Match(*match.span(group), self.kind, value)


def apply(finders: Iterable[Finder], text: str) -> list[Finding]:
    """Return what is found in a text, the most certain finders first."""
    found: list[Finding] = []
    digits, lower = sum(map(str.isdigit, text)), text.lower()
    for finder in finders:
        if digits < finder.digits:
            continue
        if finder.cues and not any(cue in lower for cue in finder.cues):
            continue
        matches = list(finder.matches(text))
        text = _masked(text, matches)
        found += [Finding(m.kind, m.start, m.end, m.value) for m in matches if m.kind is not None]
    return found


def apart(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return findings in their order, one that overlaps another joined to it."""
    kept: list[Finding] = []
    for finding in sorted(findings, key=lambda one: (one.start, -one.end)):
        if kept and finding.start < kept[-1].end:
            last = kept[-1]
            kept[-1] = Finding(last.kind, last.start, max(last.end, finding.end), last.value)
        else:
            kept.append(finding)
    return tuple(kept)


def _masked(text: str, matches: list[Match]) -> str:
    """Return a text of the same length with what was found made unreadable."""
    if not matches:
        return text
    pieces, at = [], 0
    for match in matches:
        pieces += [text[at : match.start], _MASK * (match.end - match.start)]
        at = match.end
    return "".join([*pieces, text[at:]])
