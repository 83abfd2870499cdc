"""How money, times of day, lengths of time, measures and plain numbers are written. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from decimal import Decimal

from apps.llm.grounding.counting import ORDINAL
from apps.llm.grounding.facts import Fact, Kind, Rule, number, written

NUMBER = r"\d+(?:[.,]\d+)*"
_ONE = r"ein(?:e[nmrs]?)?|one"
_START = r"(?<![\w.,])"

_UNITS: tuple[tuple[str, str, int], ...] = (
    (r"(?:Werk|Arbeits)tag(?:e[ns]?|s)?|(?:working|business|work) ?days?", "workday", 1),
    (r"Minuten?|minutes?|mins?|Min\.|minütig(?:e[nrms]?)?", "minute", 1),
    (r"Stunden?|hours?|hrs?|Std\.?|h|stündig(?:e[nrms]?)?", "minute", 60),
    (r"Sekunden?|seconds?", "second", 1),
    (r"Tag(?:e[ns]?|s)?|days?|tägig(?:e[nrms]?)?", "day", 1),
    (r"Wochen?|weeks?|wöchig(?:e[nrms]?)?", "day", 7),
    (r"Monat(?:e[ns]?|s)?|months?|monatig(?:e[nrms]?)?", "month", 1),
    (r"Jahr(?:e[ns]?|s)?|years?|jährig(?:e[nrms]?)?", "month", 12),
    (r"Prozent|percent|per cent|%", "percent", 1),
    (r"km/h|Stundenkilometern?|Kilometern? pro Stunde|kilomet(?:re|er)s per hour", "km/h", 1),
    (r"Kilometern?|kilomet(?:re|er)s?|km", "metre", 1000),
    (r"Zentimetern?|centimet(?:re|er)s?|cm", "millimetre", 10),
    (r"Millimetern?|millimet(?:re|er)s?|mm", "millimetre", 1),
    (r"Metern?|met(?:re|er)s?|m", "metre", 1),
    (r"Kilowattstunden?|kilowatt[- ]hours?|kWh", "kwh", 1),
    (r"Kilowatt|kilowatts?|kW", "kw", 1),
    (r"Kilogramm|Kilos?|kilograms?|kilos?|kg", "gram", 1000),
    (r"Tonnen?|tonnes?|tons?", "gram", 1_000_000),
    (r"Gramm|grams?|g", "gram", 1),
    (r"Litern?|lit(?:re|er)s?", "litre", 1),
    (r"Grad|degrees?", "degree", 1),
    (r"PS|horsepower", "horsepower", 1),
)  # fmt: skip
_UNIT = "|".join(pattern for pattern, _, _ in _UNITS)
_UNIT_READERS = [(re.compile(p, re.IGNORECASE), name, by) for p, name, by in _UNITS]
_NO_UNIT = rf"(?! ?-?(?:{_UNIT}|Uhr|€|Euro|euros?|o'clock)(?!\w))(?![.,:]?\d)"


def _unit(word: str) -> tuple[str, int]:
    return next((name, by) for p, name, by in _UNIT_READERS if p.fullmatch(word))


def _counted(text: str, language: str) -> Decimal:
    return number(text, language) if text[0].isdigit() else Decimal(1)


def _left_out(value: Decimal) -> tuple[str, ...]:
    """Return what else is known with a measure: its number, said again without the unit."""
    return (f"some:{written(value)}",)


def _measure(name: str, by: int) -> Callable[[Decimal], tuple[str, ...]]:
    return lambda value: (f"{name}:{written(value * by)}",)


def _quantity(match: re.Match[str], language: str) -> Sequence[Fact]:
    meant, value = _measure(*_unit(match["unit"])), _counted(match["n"], language)
    return [Fact(Kind.NUMBER, "", meant(value), _left_out(value), spread=meant)]


def _each(match: re.Match[str], language: str) -> Sequence[Fact]:
    """Read "within a month": it may be said as one month, but "a day" claims nothing."""
    return [Fact(Kind.NUMBER, "", ("any",), _measure(*_unit(match["unit"]))(Decimal(1)))]


def _part_of_hour(minutes: int) -> Callable[[re.Match[str], str], Sequence[Fact]]:
    return lambda match, _: [Fact(Kind.NUMBER, "", (f"minute:{minutes}",))]


def _hour_and_half(match: re.Match[str], language: str) -> Sequence[Fact]:
    return [Fact(Kind.NUMBER, "", ("minute:90",))]


# --- money

_CURRENCIES = {"$": "dollar", "£": "pound", "usd": "dollar", "gbp": "pound", "chf": "franc",
               "dollar": "dollar", "dollars": "dollar", "pfund": "pound", "pounds": "pound",
               "pound": "pound", "franken": "franc", "francs": "franc"}  # fmt: skip


def _price(currency: str) -> Callable[[Decimal], tuple[str, ...]]:
    return lambda value: (f"money:{currency}:{written(value * 100)}",)


def _money(match: re.Match[str], language: str) -> Sequence[Fact]:
    parts = match.groupdict()
    value = _counted(match["n"], language)
    spread = _price(_CURRENCIES.get(parts["currency"].lower(), "euro"))
    return [Fact(Kind.MONEY, "", spread(value), _left_out(value), spread=spread)]


def _cents(match: re.Match[str], language: str) -> Sequence[Fact]:
    def spread(value: Decimal) -> tuple[str, ...]:
        return _price("euro")(value / 100)

    return [Fact(Kind.MONEY, "", spread(_counted(match["n"], language)), spread=spread)]


def _free(match: re.Match[str], language: str) -> Sequence[Fact]:
    return [Fact(Kind.MONEY, "", ("money:free",))]


# --- times of day

_LATER = ("p", "nachm", "abend", "afternoon", "evening", "night")
_EARLIER = ("a", "morn", "früh", "vor", "morgen")


def _at(hour: int, minute: int, part: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the minute of the day that a time means, or both, and what else it may be.

    Args:
        hour: As said.
        minute: As said.
        part: What says which half of the day it is; "?" where the language leaves it open.
    """
    if hour > 24 or minute > 59:
        return (), ()
    at, part = hour % 24 * 60 + minute, part.strip().lower()
    afternoon, halfway = f"time:{(at + 720) % 1440}", 1 <= hour <= 12
    if not halfway or not part:
        return (f"time:{at}",), ()
    if part.startswith(_LATER):
        return ((f"time:{at}" if hour == 12 else afternoon),), ()
    if part.startswith(_EARLIER):
        return (f"time:{at % 720}" if part.startswith("a") else f"time:{at}",), ()
    return (f"time:{at}", afternoon), ()


def _hours(part: str) -> Callable[[Decimal], tuple[str, ...]]:
    def spread(value: Decimal) -> tuple[str, ...]:
        return _at(int(value), 0, part)[0] if value == int(value) and value <= 24 else ()

    return spread


def _clock(match: re.Match[str], language: str) -> Sequence[Fact]:
    parts = match.groupdict()
    open_end = "?" if language == "en" or match.re is _PAST_PATTERN else ""
    part = (parts.get("part") or "").removeprefix("in the ").removeprefix("am ").removeprefix("at ")
    hour, minute = int(match["h"]), int(parts.get("m") or 0)
    keys, also = _at(hour, minute, part or open_end)
    also += _left_out(Decimal(hour))
    return [Fact(Kind.TIME, "", keys, also, spread=_hours(open_end))] if keys else []


def _past(match: re.Match[str], language: str) -> Sequence[Fact]:
    by = {"viertel": 15, "quarter": 15, "halb": 30, "half": 30, "dreiviertel": 45, "3 viertel": 45}
    step, way = match["step"].lower(), (match["way"] or "").strip().lower()
    minutes = by.get(step) or int(step)
    hour = int(match["h"])
    backwards = way in ("vor", "to") or (step.startswith("halb") and not way)
    if step in ("dreiviertel", "3 viertel"):
        backwards, minutes = True, 15
    if backwards:
        hour, minutes = (hour - 1) % 24 or 12, 60 - minutes
    keys, also = _at(hour, minutes % 60, "?")
    return [Fact(Kind.TIME, "", keys, also)] if keys else []


def _noon(match: re.Match[str], language: str) -> Sequence[Fact]:
    return [Fact(Kind.TIME, "", ("time:720" if "noon" in match.group().lower() else "time:0",))]


def _two_numbers(match: re.Match[str], language: str) -> Sequence[Fact]:
    """Read "eight thirty" and "twenty twenty-five"."""
    first, second = int(match["h"]), int(match["m"])
    keys, also = _at(first, second, "?")
    year = (f"number:{first}{second:02d}",) if first in (19, 20) else ()
    return [Fact(Kind.TIME, "", keys + year, also)] if keys + year else []


# --- numbers

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
        keys += _left_out(value)  # "no, not 45"
    if re.fullmatch(r"\d+[.,]\d\d", text):
        keys += _price("euro")(value)
    if text.isdigit() and len(text) >= 3:
        keys.append(f"phone:{text}")
    if text.isdigit() and 1 <= value <= 24 and _CLOCK_CONTEXT.search(match.string[: match.start()]):
        times = _at(int(value), 0, "?")[0]
        keys += times
    return [Fact(Kind.NUMBER, "", tuple(keys), tuple(also), number=value)]


_PART = (
    r"(?: ?(?P<part>a\.?m\.?(?!\w)|p\.?m\.?(?!\w)|in the (?:morning|afternoon|evening)|at night"
    r"|(?:am )?(?:nachmittags?|abends?|vormittags?|mittags?|morgens?|nachts?)|früh)(?!\w))"
)
_HOUR, _MINUTE = r"(?P<h>[01]?\d|2[0-4])", r"(?P<m>[0-5]\d)"
_I = re.IGNORECASE
_PAST_PATTERN = re.compile(
    r"\b(?P<step>halb|half|viertel|quarter|dreiviertel|3 viertel|5|10|20|25)(?: minutes| Minuten)?"
    r"(?P<way> past| nach| vor|(?<=quarter) to|(?<=minutes) to)? (?P<h>1[0-2]|[1-9])"
    + _NO_UNIT + r"(?! ?(?:bis|to)\b)(?!\w)", _I,
)  # fmt: skip
_FLOORS = (
    r"Stock(?:werk)?|Etage|Obergeschoss|OG|floor|Werktag|Tag|day|week|month|year|Woche|Monat|Jahr"
    r"|(?:Mon|Diens|Donners|Frei|Sams|Sonn)tag|Mittwoch|(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day"
    r"|Klasse|class|Schalter|counter|Quartal|quarter|Halbjahr"
)

_PARTS = (
    "a.m",
    "am",
    "p.m",
    "pm",
    "morn",
    "noon",
    "even",
    "night",
    "tag",
    "abend",
    "nacht",
    "früh",
)
_CLOCKS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (rf"{_START}{_HOUR}[:.]{_MINUTE} ?(?:Uhr|o'clock){_PART}?", ("uhr", "clock")),
    (rf"{_START}{_HOUR}[:.]{_MINUTE}{_PART}", _PARTS),
    (rf"{_START}{_HOUR}:{_MINUTE}(?!\d)", (":",)),
    (rf"{_START}{_HOUR} oh (?P<m>\d)\b{_PART}?", (" oh ",)),
    (rf"{_START}{_HOUR} ?Uhr(?: (?P<m>[0-5]?\d){_NO_UNIT})?{_PART}?(?!\w)", ("uhr",)),
    (rf"{_START}{_HOUR} ?o'? ?clock{_PART}?", ("clock",)),
    (rf"{_START}{_HOUR} {_MINUTE}{_PART}", _PARTS),
    (rf"{_START}{_HOUR}{_PART}", _PARTS),
)

MONEY_AND_TIME = (
    Rule(re.compile(rf"(?P<currency>€|EUR|\$|£|USD|GBP|CHF) ?(?P<n>{NUMBER})(?:,-+)?"), _money),
    Rule(
        re.compile(
            rf"{_START}(?P<n>{NUMBER}|{_ONE})(?:,-+)?[ -]?(?:€|EUR|Euros?)(?!\w)"
            rf"(?: (?:(?:und|and) )?(?P<cents>\d{{1,2}})(?: (?:Cents?|ct)(?!\w))"
            rf"| (?P<cents2>\d{{2}}){_NO_UNIT}(?!\w))?",
            _I,
        ),
        lambda match, language: _money_and_cents(match, language),
        digits=False,
    ),
    Rule(re.compile(rf"{_START}(?P<n>{NUMBER}) ?(?:Cents?|ct)(?!\w)", _I), _cents),
    Rule(
        re.compile(
            rf"{_START}(?P<n>{NUMBER}) ?(?P<currency>dollars?|\$|£|pounds?|Pfund|Franken|francs"
            r"|CHF|USD|GBP)(?!\w)",
            _I,
        ),
        _money,
    ),
    *(Rule(re.compile(pattern, _I), _clock, cues=cues) for pattern, cues in _CLOCKS),
    Rule(
        _PAST_PATTERN,
        _past,
        cues=("halb", "half", "viertel", "quarter", "past", "nach", "vor", " to "),
    ),
    Rule(
        re.compile(r"\b(?:noon|midnight|Mitternacht)\b", _I),
        _noon,
        digits=False,
        cues=("noon", "midnight", "mitternacht"),
    ),
)
"""These go before telephone numbers."""


def _money_and_cents(match: re.Match[str], language: str) -> Sequence[Fact]:
    cents = Decimal(match["cents"] or match["cents2"] or 0) / 100
    spread = _price("euro")
    value = _counted(match["n"], language)
    return [Fact(Kind.MONEY, "", spread(value + cents), _left_out(value + cents), spread=spread)]


NUMBERS = (
    Rule(
        re.compile(r"\b(?:an|1|ein(?:e|er)?) (?:hour and a half|Stunde und eine halbe)\b", _I),
        _hour_and_half,
        digits=False,
        cues=("hour", "stunde"),
    ),
    Rule(
        re.compile(r"\b(?:half an hour|half-hour|halbe[nr]? Stunde)\b", _I),
        _part_of_hour(30),
        digits=False,
        cues=("hour", "stunde"),
    ),
    Rule(
        re.compile(r"\b(?:(?:a )?quarter of an hour|Viertelstunde)\b", _I),
        _part_of_hour(15),
        digits=False,
        cues=("hour", "stunde"),
    ),
    Rule(
        re.compile(r"\b(?:3 quarters of an hour|Dreiviertelstunde)\b", _I),
        _part_of_hour(45),
        digits=False,
        cues=("hour", "stunde"),
    ),
    Rule(
        re.compile(rf"{_START}(?P<n>{NUMBER}|{_ONE})[ -]?(?P<unit>{_UNIT})(?!\w)", _I),
        _quantity,
        digits=False,
    ),
    Rule(
        re.compile(rf"\ban? (?P<unit>{_UNIT})(?!\w)", _I), _each, digits=False, cues=("a ", "an ")
    ),
    Rule(
        re.compile(rf"(?<!\w)(?P<n>\d+)(?:{ORDINAL}|\.(?= [A-ZÄÖÜ]))(?: (?P<of>{_FLOORS}))?", _I),
        lambda match, language: (
            _ordinal(match, language) if ORDINAL in match.group() or match["of"] else ()
        ),
        cues=("º", ". "),
    ),
    Rule(
        re.compile(rf"(?<![\w.,:/-])(?P<h>[1-9]|1\d|2[0-3]) (?P<m>\d\d){_NO_UNIT}(?! \d)(?!\w)"),
        _two_numbers,
    ),
    Rule(re.compile(r"(?<!\w)(?=\w*[^\W\d_])(?=\w*\d)\w+"), _code),
    Rule(re.compile(NUMBER), _bare),
)
"""These go last."""

FREE = Rule(
    re.compile(
        r"(?<!nicht )(?<!not )\b(?:kostenlos\w*|kostenfrei\w*|gebührenfrei\w*|gratis|umsonst"
        r"|unentgeltlich|free of charge|for free|costs? nothing|kostet nichts|keine Gebühr"
        r"|no (?:charge|fee))\b",
        _I,
    ),
    _free,
    digits=False,
    cues=("kosten", "kostet", "gebühr", "gratis", "umsonst", "unentgelt", "free", "nothing", "no "),
)
