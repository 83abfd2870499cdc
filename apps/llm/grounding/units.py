"""What numbers are written like, and the units that they count. Pure."""

from __future__ import annotations

import re
from decimal import Decimal

from apps.llm.grounding.facts import number, written

ANY_CASE = re.IGNORECASE

NUMBER = r"\d+(?:[.,]\d+)*"
ONE = r"(?:ein(?:e[nmrs]?)?|one)(?=[ -])"
START = r"(?<![\w.,])"

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
UNIT = "|".join(pattern for pattern, _, _ in _UNITS)
_UNIT_READERS = [(re.compile(p, re.IGNORECASE), name, by) for p, name, by in _UNITS]
NO_UNIT = rf"(?! ?-?(?:{UNIT}|Uhr|€|Euro|euros?|o'clock)(?!\w))(?![.,:]?\d)"


def unit(word: str) -> tuple[str, int]:
    """Return the unit that a word is measured in, and how many of it the word is."""
    return next((name, by) for p, name, by in _UNIT_READERS if p.fullmatch(word))


def counted(text: str, language: str) -> Decimal:
    """Return a number, or one where it is an article."""
    return number(text, language) if text[0].isdigit() else Decimal(1)


def left_out(value: Decimal) -> tuple[str, ...]:
    """Return what else is known with a measure: its number, said again without the unit."""
    return (f"some:{written(value)}",)
