"""How dates, months, weekdays and years are written. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from apps.core.words import fold
from apps.llm.grounding.counting import ORDINAL
from apps.llm.grounding.facts import Fact, Kind, Rule

_I = re.IGNORECASE
_MONTHS: dict[str, int] = {}
for _names in (
    "januar februar maerz april mai juni juli august september oktober november dezember",
    "january february march april may june july august september october november december",
    "jan feb mar apr may jun jul aug sep oct nov dec",
    "jan feb mrz apr mai jun jul aug sept okt nov dez",
):
    _MONTHS |= {name: at for at, name in enumerate(_names.split(), start=1)}
_MONTH = (
    r"(?:Januar|Jan(?:uary)?|Febru(?:ar|ary)|Feb|März|Mrz|March|Mar|April|Apr|Mai|May|Juni|June"
    r"|Jun|Juli|July|Jul|August|Aug|September|Sept|Sep|Oktober|October|Okt|Oct|November|Nov"
    r"|Dezember|December|Dez|Dec)(?!\w)\.?"
)
_DAYS: dict[str, int] = {"sonnabend": 5}
for _names in (
    "montag dienstag mittwoch donnerstag freitag samstag sonntag",
    "monday tuesday wednesday thursday friday saturday sunday",
):
    _DAYS |= {name: at for at, name in enumerate(_names.split())}
_DAY = (
    r"(?:Montag|Dienstag|Mittwoch|Donnerstag|Freitag|Samstag|Sonnabend|Sonntag"
    r"|Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday)"
)
_MONTH_CUES = (
    *("jan", "feb", "mär", "mar", "mrz", "apr", "mai", "may", "jun", "jul", "aug", "sep"),
    *("okt", "oct", "nov", "dez", "dec"),
)
_YEAR = r"(?:,? (?P<y>(?:1[89]|20)\d\d|(?:19|20) \d\d)(?![\d:]))?"


def _month(name: str) -> int:
    return _MONTHS[fold(name).rstrip(".")]


def _date(year: str | None, month: int, day: int) -> Fact | None:
    if not 1 <= month <= 12 or not 1 <= day <= 31:
        return None
    at = f"date:{month}-{day}"
    if not year:
        return Fact(Kind.DATE, "", (at,), (f"calendar:{month}",))
    year = year.replace(" ", "")
    year = f"20{year}" if len(year) == 2 else year
    also = (at, f"calendar:{month}", f"calendar:{year}-{month}", f"number:{year}")
    return Fact(Kind.DATE, "", (f"date:{year}-{month}-{day}",), also)


def _named(match: re.Match[str], language: str) -> Sequence[Fact]:
    fact = _date(match["y"], _month(match["month"]), int(match["day"]))
    return [fact] if fact else []


def _numeric(match: re.Match[str], language: str) -> Sequence[Fact]:
    fact = _date(match["y"], int(match["month"]), int(match["day"]))
    return [fact] if fact else []


def _slashed(match: re.Match[str], language: str) -> Sequence[Fact]:
    first, second = int(match["a"]), int(match["b"])
    found = [_date(match["y"], *pair) for pair in ((first, second), (second, first))]
    keys = tuple(key for fact in found if fact for key in fact.keys)
    also = tuple(key for fact in found if fact for key in fact.also)
    return [Fact(Kind.DATE, "", keys, also)] if keys else []


def _month_alone(match: re.Match[str], language: str) -> Sequence[Fact]:
    name, year = match["month"], match["y"]
    if not name[0].isupper() or (not year and fold(name).rstrip(".") in ("may", "mar", "jan")):
        return ()
    month = _month(name)
    if year:
        year = year.replace(" ", "")
        return [
            Fact(
                Kind.DATE,
                "",
                (f"calendar:{year}-{month}",),
                (f"calendar:{month}", f"number:{year}"),
            )
        ]
    return [Fact(Kind.DATE, "", (f"calendar:{month}",))]


def _weekday(match: re.Match[str], language: str) -> Sequence[Fact]:
    first = _DAYS[match["first"].lower()]
    if not match["last"]:
        return [Fact(Kind.DATE, "", (f"weekday:{first}",))]
    last = _DAYS[match["last"].lower()]
    between = [(first + step) % 7 for step in range((last - first) % 7 + 1)]
    also = tuple(f"weekday:{day}" for day in between)
    return [Fact(Kind.DATE, "", (f"weekday:{day}",), also) for day in (first, last)]


def _several_days(match: re.Match[str], language: str) -> Sequence[Fact]:
    word = match.group().lower()
    if word.startswith("w") and word[:6] in ("wochen", "weeken") and "tag" not in word:
        days: Sequence[int] = (5, 6)
    elif word.startswith(("week", "wochentag", "werktag", "working")):
        days = range(5)
    else:
        days = range(7)
    return [Fact(Kind.DATE, "", ("any",), tuple(f"weekday:{day}" for day in days))]


DATES = (
    Rule(
        re.compile(
            rf"(?<![\w.,:])(?P<day>\d{{1,2}})(?:\.|{ORDINAL})? ?(?:of )?(?P<month>{_MONTH}){_YEAR}",
            _I,
        ),
        _named,
        cues=_MONTH_CUES,
    ),
    Rule(
        re.compile(
            rf"\b(?P<month>{_MONTH}) (?:the )?(?P<day>\d{{1,2}}){ORDINAL}?(?![\d:.,]\d|\d){_YEAR}",
            _I,
        ),
        _named,
        cues=_MONTH_CUES,
    ),
    Rule(
        re.compile(
            r"(?<![\w.,:])(?P<day>\d{1,2})\. ?(?P<month>\d{1,2})\."
            r" ?(?P<y>(?:19|20)\d\d|\d\d(?!\d))?"
        ),
        _numeric,
    ),
    Rule(re.compile(r"(?<![\w-])(?P<y>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)(?![\w-])"), _numeric),
    Rule(
        re.compile(r"(?<![\w/])(?P<a>\d{1,2})/(?P<b>\d{1,2})/(?P<y>\d{4}|\d\d)(?![\w/])"), _slashed
    ),
    Rule(
        re.compile(rf"\b(?P<month>{_MONTH}){_YEAR}"), _month_alone, digits=False, cues=_MONTH_CUES
    ),
    Rule(
        re.compile(
            rf"\b(?P<first>{_DAY})(?:e?s|en?)?"
            rf"(?: ?(?:bis(?: zum)?|to|through|till|until|-) ?(?P<last>{_DAY})(?:e?s|en?)?)?(?!\w)",
            _I,
        ),
        _weekday,
        digits=False,
        cues=("tag", "day", "mittwoch", "sonnabend"),
    ),
    Rule(
        re.compile(
            r"\b(?:weekends?|Wochenenden?|weekdays?|Wochentags?e?n?|werktags|täglich|every day"
            r"|daily|jeden Tag)\b",
            _I,
        ),
        _several_days,
        digits=False,
        cues=("week", "woche", "tag", "täglich", "day", "daily"),
    ),
)
