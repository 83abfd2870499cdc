"""How lengths of time, measures and plain numbers are written. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from decimal import Decimal

from apps.llm.grounding.clock import minutes_at
from apps.llm.grounding.counting import ORDINAL
from apps.llm.grounding.facts import Fact, Kind, Rule, number, written
from apps.llm.grounding.money import price
from apps.llm.grounding.units import (
    ANY_CASE,
    NO_UNIT,
    NUMBER,
    ONE,
    START,
    UNIT,
    counted,
    left_out,
    unit,
)


def _measure(name: str, by: int) -> Callable[[Decimal], tuple[str, ...]]:
    return lambda value: (f"{name}:{written(value * by)}",)


def _quantity(match: re.Match[str], language: str) -> Sequence[Fact]:
    meant, value = _measure(*unit(match["unit"])), counted(match["n"], language)
    return [Fact(Kind.NUMBER, "", meant(value), left_out(value), spread=meant)]


def _each(match: re.Match[str], language: str) -> Sequence[Fact]:
    """Read "within a month": it may be said as one month, but "a day" claims nothing."""
    return [Fact(Kind.NUMBER, "", ("any",), _measure(*unit(match["unit"]))(Decimal(1)))]


def _part_of_hour(minutes: int) -> Callable[[re.Match[str], str], Sequence[Fact]]:
    return lambda match, _: [Fact(Kind.NUMBER, "", (f"minute:{minutes}",))]


def _hour_and_half(match: re.Match[str], language: str) -> Sequence[Fact]:
    return [Fact(Kind.NUMBER, "", ("minute:90",))]


def _two_numbers(match: re.Match[str], language: str) -> Sequence[Fact]:
    """Read "eight thirty" and "twenty twenty-five"."""
    first, second = int(match["h"]), int(match["m"])
    keys, also = minutes_at(first, second, "?")
    year = (f"number:{first}{second:02d}",) if first in (19, 20) else ()
    return [Fact(Kind.TIME, "", keys + year, also)] if keys + year else []


_FEW = 5
_LISTED = re.compile(
    r" (?:(?:wichtige|different|verschiedene|main|easy|simple|einfache) )?"
    r"(?:things?|steps?|options?|ways?|possibilities|Dinge[n]?|Schritte[n]?|Möglichkeiten|Wege[n]?"
    r"|Sachen|Optionen)\b",
    re.IGNORECASE,
)
_ELLIPSIS = re.compile(r"\s*(?:[.,;:!?)]|$)")
_CLOCK_CONTEXT = re.compile(
    r"(?:^|\W)(?:from|at|to|until|till|by|between|and|von|bis|um|ab|zwischen|before|after|around"
    r"|gegen|-) ?$",
    re.IGNORECASE,
)


def _ordinal(match: re.Match[str], language: str) -> Sequence[Fact]:
    value = int(match["n"])
    telling = match["of"] is not None or value > 3
    known = (f"ordinal:{value}", f"number:{value}")
    return [Fact(Kind.NUMBER, "", known if telling else ("any",), known)]


def _code(match: re.Match[str], language: str) -> Sequence[Fact]:
    return [Fact(Kind.NUMBER, "", (f"id:{match.group().upper()}",))]


def _bare(match: re.Match[str], language: str) -> Sequence[Fact]:
    text = match.group()
    value = number(text, language)
    if value <= _FEW and _LISTED.match(match.string, match.end()):
        return [Fact(Kind.NUMBER, "", ("any",))]
    keys, also = [f"number:{written(value)}"], list[str]()
    if _ELLIPSIS.match(match.string, match.end()):
        keys += left_out(value)  # "no, not 45"
    if re.fullmatch(r"\d+[.,]\d\d", text):
        keys += price("euro")(value)
    if text.isdigit() and len(text) >= 3:
        keys.append(f"phone:{text}")
    if text.isdigit() and 1 <= value <= 24 and _CLOCK_CONTEXT.search(match.string[: match.start()]):
        times = minutes_at(int(value), 0, "?")[0]
        keys += times
    return [Fact(Kind.NUMBER, "", tuple(keys), tuple(also), number=value)]


_FLOORS = (
    r"Stock(?:werk)?|Etage|Obergeschoss|OG|floor|Werktag|Tag|day|week|month|year|Woche|Monat|Jahr"
    r"|(?:Mon|Diens|Donners|Frei|Sams|Sonn)tag|Mittwoch|(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day"
    r"|Klasse|class|Schalter|counter|Quartal|quarter|Halbjahr"
)

NUMBERS = (
    Rule(
        re.compile(
            r"\b(?:an|1|ein(?:e|er)?) (?:hour and a half|Stunde und eine halbe)\b", ANY_CASE
        ),
        _hour_and_half,
        digits=False,
        cues=("hour", "stunde"),
    ),
    Rule(
        re.compile(r"\b(?:half an hour|half-hour|halbe[nr]? Stunde)\b", ANY_CASE),
        _part_of_hour(30),
        digits=False,
        cues=("hour", "stunde"),
    ),
    Rule(
        re.compile(r"\b(?:(?:a )?quarter of an hour|Viertelstunde)\b", ANY_CASE),
        _part_of_hour(15),
        digits=False,
        cues=("hour", "stunde"),
    ),
    Rule(
        re.compile(r"\b(?:3 quarters of an hour|Dreiviertelstunde)\b", ANY_CASE),
        _part_of_hour(45),
        digits=False,
        cues=("hour", "stunde"),
    ),
    Rule(
        re.compile(rf"{START}(?P<n>{NUMBER}|{ONE})[ -]?(?P<unit>{UNIT})(?!\w)", ANY_CASE),
        _quantity,
        digits=False,
    ),
    Rule(
        re.compile(rf"\ban? (?P<unit>{UNIT})(?!\w)", ANY_CASE),
        _each,
        digits=False,
        cues=("a ", "an "),
    ),
    Rule(
        re.compile(
            rf"(?<!\w)(?P<n>\d+)(?:{ORDINAL}|\.(?= [A-ZÄÖÜ]))(?: (?P<of>{_FLOORS}))?", ANY_CASE
        ),
        lambda match, language: (
            _ordinal(match, language) if ORDINAL in match.group() or match["of"] else ()
        ),
        cues=("º", ". "),
    ),
    Rule(
        re.compile(rf"(?<![\w.,:/-])(?P<h>[1-9]|1\d|2[0-3]) (?P<m>\d\d){NO_UNIT}(?! \d)(?!\w)"),
        _two_numbers,
    ),
    Rule(re.compile(r"(?<!\w)(?=\w*[^\W\d_])(?=\w*\d)\w+"), _code),
    Rule(re.compile(NUMBER), _bare),
)
"""These go last."""
