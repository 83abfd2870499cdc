"""How times of day are written. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from decimal import Decimal

from apps.llm.grounding.facts import Fact, Kind, Rule
from apps.llm.grounding.units import ANY_CASE, NO_UNIT, START, left_out

_STEPS = {
    **{"viertel": 15, "quarter": 15, "halb": 30, "half": 30},
    **{"dreiviertel": 45, "3 viertel": 45},
}
_LATER = ("p", "nachm", "abend", "afternoon", "evening", "night")
_EARLIER = ("a", "morn", "früh", "vor", "morgen")


def minutes_at(hour: int, minute: int, part: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
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
    if hour > 12 and part.startswith(_EARLIER):
        return ("time:never",), ()  # "18 in the morning"
    if not halfway or not part:
        return (f"time:{at}",), ()
    if part.startswith(_LATER):
        return ((f"time:{at}" if hour == 12 else afternoon),), ()
    if part.startswith(_EARLIER):
        return (f"time:{at % 720}" if part.startswith("a") else f"time:{at}",), ()
    if hour == 12:  # noon; midnight is called so
        return (f"time:{at}",), ()
    return (f"time:{at}", afternoon), ()


def _hours(part: str) -> Callable[[Decimal], tuple[str, ...]]:
    def spread(value: Decimal) -> tuple[str, ...]:
        return minutes_at(int(value), 0, part)[0] if value == int(value) and value <= 24 else ()

    return spread


def _clock(match: re.Match[str], language: str) -> Sequence[Fact]:
    parts = match.groupdict()
    open_end = "?" if language == "en" else ""
    part = _part(match, language)
    hour, minute = int(match["h"]), int(parts.get("m") or 0)
    keys, also = minutes_at(hour, minute, part or open_end)
    also += left_out(Decimal(hour))
    return [Fact(Kind.TIME, "", keys, also, spread=_hours(open_end))] if keys else []


def _past(match: re.Match[str], language: str) -> Sequence[Fact]:
    """Read "half past eight" and "halb neun", which are the same."""
    step, way = match["step"].lower(), (match["way"] or "").strip().lower()
    hour, minute = int(match["h"]), _STEPS.get(step) or int(step)
    if not way and step.startswith(("halb", "drei", "3")):  # of the hour that has begun
        hour -= 1
    elif not way and step != "half":
        return ()
    elif way in ("vor", "to"):
        hour, minute = hour - 1, 60 - minute
    keys, also = minutes_at(hour or 12, minute, _part(match, language) or "?")
    return [Fact(Kind.TIME, "", keys, also)] if keys else []


def _part(match: re.Match[str], language: str) -> str:
    """Return what a match says about the half of the day."""
    part = (match["part"] or "") if "part" in match.re.groupindex else ""
    if language == "de" and part.lower() == "am":  # "16 Uhr am Montag"
        return ""
    return part.removeprefix("in the ").removeprefix("am ").removeprefix("at ")


def _noon(match: re.Match[str], language: str) -> Sequence[Fact]:
    return [Fact(Kind.TIME, "", ("time:720" if "noon" in match.group().lower() else "time:0",))]


_PART = (
    r"(?: ?(?P<part>a\.?m\.?(?!\w)|p\.?m\.?(?!\w)|in the (?:morning|afternoon|evening)|at night"
    r"|(?:am )?(?:nachmittags?|abends?|vormittags?|mittags?|morgens?|nachts?)|früh)(?!\w))"
)
_HOUR, _MINUTE = r"(?P<h>[01]?\d|2[0-4])", r"(?P<m>[0-5]\d)"
_PAST_PATTERN = re.compile(
    r"\b(?P<step>halb|half|viertel|quarter|dreiviertel|3 viertel|5|10|20|25)(?: minutes| Minuten)?"
    r"(?P<way> past| nach| vor|(?<=quarter) to|(?<=minutes) to)? (?P<h>1[0-2]|[1-9])"
    + r"(?: Uhr| o'clock)?" + NO_UNIT + rf"(?! ?(?:bis|to)\b)(?!\w){_PART}?", ANY_CASE,
)  # fmt: skip

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
    (rf"{START}{_HOUR}[:.]{_MINUTE} ?(?:Uhr|o'clock){_PART}?", ("uhr", "clock")),
    (rf"{START}{_HOUR}[:.]{_MINUTE}{_PART}", _PARTS),
    (rf"{START}{_HOUR}:{_MINUTE}(?!\d)", (":",)),
    (rf"{START}{_HOUR} oh (?P<m>\d)\b{_PART}?", (" oh ",)),
    (rf"{START}{_HOUR} ?Uhr(?: (?P<m>[0-5]?\d){NO_UNIT})?{_PART}?(?!\w)", ("uhr",)),
    (rf"{START}{_HOUR} ?o'? ?clock{_PART}?", ("clock",)),
    (rf"{START}{_HOUR} {_MINUTE}{_PART}", _PARTS),
    (rf"{START}{_HOUR}{_PART}", _PARTS),
)

TIMES = (
    Rule(
        _PAST_PATTERN,
        _past,
        cues=("halb", "half", "viertel", "quarter", "past", "nach", "vor", " to "),
    ),
    *(Rule(re.compile(pattern, ANY_CASE), _clock, cues=cues) for pattern, cues in _CLOCKS),
    Rule(
        re.compile(r"\b(?:noon|midnight|Mitternacht)\b", ANY_CASE),
        _noon,
        digits=False,
        cues=("noon", "midnight", "mitternacht"),
    ),
)
