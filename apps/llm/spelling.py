"""How signs are read aloud that are no words: sections, e-mail and web addresses, accounts, dates.

Each rule is a pattern and what it is replaced by; `spoken.py` tries them before its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from apps.llm.numerals import digits, ordinal

Rule = tuple[re.Pattern[str], Callable[[re.Match[str]], str]]

_SIGNS = {
    "de": {".": "Punkt", "-": "Bindestrich", "_": "Unterstrich", "/": "Schrägstrich", "@": "at",
           "+": "plus", ":": "Doppelpunkt", "?": "Fragezeichen", "=": "gleich", "#": "Raute"},
    "en": {".": "dot", "-": "dash", "_": "underscore", "/": "slash", "@": "at", "+": "plus",
           ":": "colon", "?": "question mark", "=": "equals", "#": "hash"},
}  # fmt: skip
_MONTHS_DE = (
    *("Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September"),
    *("Oktober", "November", "Dezember"),
)
_HOST = r"[a-z0-9äöüß][a-z0-9äöüß-]*(?:\.[a-z0-9äöüß][a-z0-9äöüß-]*)*\.[a-z]{2,}"
_PIECE = re.compile(r"[^\W\d_]+|\d+|.")


def _address(language: str) -> Callable[[re.Match[str]], str]:
    """Read an e-mail or web address piece by piece; numbers in it digit by digit."""

    def write(match: re.Match[str]) -> str:
        text = re.sub(r"^https?://", "", match.group()).rstrip("/")
        text = re.sub(r"^www\.", "w w w.", text)
        pieces = (
            digits(piece, language) if piece.isdigit() else _SIGNS[language].get(piece, piece)
            for piece in _PIECE.findall(text)
        )
        return " ".join(" ".join(pieces).split())

    return write


def _account(language: str) -> Callable[[re.Match[str]], str]:
    """Read an IBAN in groups of four signs, each one by one."""

    def write(match: re.Match[str]) -> str:
        text = match.group().replace(" ", "")
        groups = [text[at : at + 4] for at in range(0, len(text), 4)]
        return ", ".join(
            " ".join(digits(s, language) if s.isdigit() else s for s in group) for group in groups
        )

    return write


def _date_de(match: re.Match[str]) -> str:
    before, day, month = match["before"] or "", int(match["day"]), int(match["month"])
    if not 1 <= day <= 31 or not 1 <= month <= 12:
        return match.group()
    ending = "e" if before.strip().lower() == "der" else "en"
    year = f" {match['year']}" if match["year"] else ""
    return f"{before}{ordinal(day, 'de', ending)} {_MONTHS_DE[month - 1]}{year}"


def _common(language: str) -> tuple[Rule, ...]:
    return (
        (re.compile(rf"[\w.+-]+@{_HOST}", re.IGNORECASE), _address(language)),
        (
            re.compile(rf"(?:https?://|(?<![\w@.]))(?:{_HOST})(?:/[\w./?=&#%+-]*[\w/])?(?![\w@])"),
            _address(language),
        ),
        (
            re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?\b"),
            _account(language),
        ),
        # What stands behind an international number's plus is dialled, not counted.
        (
            re.compile(r"(?<=\bplus )\d[\d ()/-]*\d"),
            lambda m: ", ".join(digits(g, language) for g in re.split(r"[ /-]+", m.group())),
        ),
    )


SPELLING: dict[str, tuple[Rule, ...]] = {
    "de": (
        *_common("de"),
        (re.compile(r"§§ ?"), lambda _: "Paragrafen "),
        (re.compile(r"§ ?"), lambda _: "Paragraf "),
        (re.compile(r"\bAbs\. ?(?=\d)"), lambda _: "Absatz "),
        (re.compile(r"\bArt\. ?(?=\d)"), lambda _: "Artikel "),
        (re.compile(r"(?<=[a-zäöü])str\. ?(?=\d)"), lambda _: "straße "),
        (
            re.compile(
                r"(?P<before>\b[Dd]er )?(?<![\d.,])(?P<day>\d{1,2})\.(?P<month>\d{1,2})\."
                r"(?P<year>(?:19|20)\d\d)?(?!\d)"
            ),
            _date_de,
        ),
        (re.compile(r"\b(\d+) ?([a-h])(?!\w)"), lambda m: f"{m[1]} {m[2]}"),
    ),
    "en": (
        *_common("en"),
        (re.compile(r"§§ ?"), lambda _: "sections "),
        (re.compile(r"§ ?"), lambda _: "section "),
        (re.compile(r"\bArt\. ?(?=\d)"), lambda _: "article "),
        (re.compile(r"\bSec\. ?(?=\d)"), lambda _: "section "),
        (re.compile(r"(?<=\d)\((\d+)\)"), lambda m: f", subsection {m[1]}"),
        (re.compile(r"\b(\d+)([a-h])(?!\w)"), lambda m: f"{m[1]} {m[2]}"),
    ),
}
