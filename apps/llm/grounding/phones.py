"""How telephone numbers are written. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from apps.llm.grounding.facts import Fact, Kind, Rule

_I = re.IGNORECASE
_RUN = r"\d(?:(?:[ /-]|, )?\d)+"
_NOT_COUNTED = (
    r"(?!\d)(?![.,:]\d)(?! ?(?:%|€|Euro|Uhr|Cent|cent|a\.?m|p\.?m|o'clock|Kilo|kilo|k[mg]\b"
    r"|Minut|Stunde|Tag|Woche|Monat|Jahr|day|week|month|year|hour|minute))"
)
_CALLS = (
    r"(?:Telefon\w*|Tel\.|Rufnummer|Durchwahl|Hotline|Fax\w*|Notruf\w*|Nummer"
    r"|(?:tele)?phone(?: number)?|number|call|dial|ring|extension"
    r"|wählen Sie|rufen Sie|anrufen|erreich\w+)"
)


def _phone(least: int) -> Callable[[re.Match[str], str], Sequence[Fact]]:
    def read(match: re.Match[str], language: str) -> Sequence[Fact]:
        said = match["digits"]
        digits = _dialled(said)
        if len(digits) < least:
            return ()
        groups = [re.sub(r"\D", "", group) for group in re.split(r", | - |/", said)]
        groups += re.findall(r"\d{3,}", said)
        also = tuple(f"phone:{group}" for group in groups if len(group) >= 3)
        return [Fact(Kind.PHONE, "", (f"phone:{digits}",), also)]

    return read


def _dialled(said: str) -> str:
    """Return the digits as they are dialled within Germany."""
    digits = re.sub(r"\D", "", said.replace("(0)", ""))
    if said.lstrip().startswith(("+49", "+ 49", "+4 9")):
        return "0" + digits[2:]
    return "0" + digits[4:] if digits.startswith("0049") else digits


PHONES = (
    Rule(re.compile(r"(?<!\w)(?P<digits>(?:\+ ?|00)\d[\d ()/.-]{5,}\d)"), _phone(7)),
    Rule(
        re.compile(
            rf"(?<![\w.,:])(?P<digits>\(?0(?:(?:[ /.-]|, | - |\) ?| \(0\) )?\d)+){_NOT_COUNTED}"
        ),
        _phone(5),
    ),
    Rule(
        re.compile(rf"\b{_CALLS}\W+(?:\w+\W+){{0,3}}?(?P<digits>{_RUN}){_NOT_COUNTED}", _I),
        _phone(3),
    ),
    Rule(
        re.compile(r"(?<![\d.,:] )(?<!\w)(?P<digits>\d(?: \d){2,}(?:, \d(?: \d)*)*)(?!\w)"),
        _phone(3),
    ),
    Rule(re.compile(r"(?<!\w)(?P<digits>\d{1,4}(?: \d{1,4}){3,})(?!\w)"), _phone(6)),
)
"""These go behind money and times."""
