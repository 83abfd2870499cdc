"""Writes out what a voice would read wrongly: money, times, dates, numbers, abbreviations.

Synthesisers differ in what they read well; after this they are given words alone. What a number
is follows from what stands beside it ("30 euros 60", "8:00", "SO-AB 123"); the rules are tried in
the order of ``_RULES``, the most telling first.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from apps.llm.numerals import LARGEST, cardinal, cardinal_de, cardinal_en, digits, ordinal, year
from apps.llm.spelling import SPELLING

_MONTHS = {
    "en": "January|February|March|April|May|June|July|August|September|October|November|December",
    "de": "Januar|Februar|März|April|Mai|Juni|Juli|August|September|Oktober|November|Dezember",
}

_PLUS = re.compile(r"(?<!\w)\+(?=\d)")  # of an international number

_ABBREVIATIONS = {
    "en": {
        "e.g.": "for example", "i.e.": "that is", "etc.": "and so on", "a.m.": "in the morning",
        "p.m.": "in the afternoon", "approx.": "about", "Mr.": "Mister", "Dr.": "Doctor",
        "No.": "number", "km/h": "kilometres per hour", "km": "kilometres", "kWh": "kilowatt hours",
        "&": "and", "%": "percent",
    },
    "de": {
        "z. B.": "zum Beispiel", "z.B.": "zum Beispiel", "d. h.": "das heißt", "d.h.": "das heißt",
        "usw.": "und so weiter", "bzw.": "beziehungsweise", "ca.": "circa",
        "ggf.": "gegebenenfalls",
        "Nr.": "Nummer", "Dr.": "Doktor", "Str.": "Straße", "inkl.": "inklusive",
        "zzgl.": "zuzüglich", "km/h": "Kilometer pro Stunde", "km": "Kilometer",
        "kWh": "Kilowattstunden", "&": "und", "%": "Prozent",
    },
}  # fmt: skip


def spoken_form(text: str, language: str) -> str:
    """Return a sentence as it is to be read aloud.

    Args:
        text: One sentence.
        language: ``de`` or ``en``.
    """
    for short, long in _ABBREVIATIONS[language].items():
        text = _abbreviation(short).sub(f" {long} " if short in "&%" else long, text)
    text = _PLUS.sub("plus ", text)
    for pattern, write in (*SPELLING[language], *_RULES[language]):
        text = pattern.sub(write, text)
    return " ".join(text.split()).replace(" .", ".").replace(" ,", ",").replace(" ?", "?")


def _abbreviation(short: str) -> re.Pattern[str]:
    start = r"(?<!\w)" if short[0].isalpha() else ""
    end = r"(?!\w)" if short[-1].isalpha() else ""
    return re.compile(start + re.escape(short) + end)


def _whole(text: str) -> int:
    return int(re.sub(r"[.,\s]", "", text))


def _words(text: str, language: str) -> str:
    """Return a whole number in words, digit by digit where it is no quantity."""
    number = _whole(text)
    if (text.startswith("0") and len(text) > 1) or number > LARGEST:
        return digits(text, language)
    return cardinal(number, language)


def _quantity_de(text: str) -> str:
    """Return a German number before a noun: "ein Euro", not "eins Euro"."""
    return "ein" if text == "1" else _words(text, "de")


def _clock_en(match: re.Match[str]) -> str:
    hour, minute = int(match["h"]), int(match["m"])
    if not minute:
        return "twelve noon" if hour == 12 else f"{cardinal_en(hour)} o'clock"
    return f"{cardinal_en(hour)} {'oh ' if minute < 10 else ''}{cardinal_en(minute)}"


def _clock_de(match: re.Match[str]) -> str:
    hour, minute = int(match["h"]), int(match["m"] or 0)
    spoken = f"{cardinal_de(hour, alone=False)} Uhr"
    return f"{spoken} {cardinal_de(minute)}" if minute else spoken


def _plate(language: str) -> Callable[[re.Match[str]], str]:
    def write(match: re.Match[str]) -> str:
        letters = " ".join(match["town"] + match["letters"])
        return f"{letters} {digits(match['digits'], language)}"

    return write


def _phone(language: str) -> Callable[[re.Match[str]], str]:
    def write(match: re.Match[str]) -> str:
        groups = re.split(r"[\s/-]+", match.group().strip())
        return ", ".join(digits(group, language) for group in groups if group)

    return write


def _money_en(match: re.Match[str]) -> str:
    euros, cents = match["euros"], match["cents"]
    unit = "euro" if euros == "1" else "euros"
    tail = f" {cardinal_en(int(cents))}" if cents and int(cents) else ""
    return f"{_words(euros, 'en')} {unit}{tail}"


def _money_de(match: re.Match[str]) -> str:
    euros, cents = match["euros"], match["cents"]
    tail = f" {cardinal_de(int(cents))}" if cents and int(cents) else ""
    return f"{_quantity_de(euros)} Euro{tail}"


def _decimal(language: str, point: str) -> Callable[[re.Match[str]], str]:
    def write(match: re.Match[str]) -> str:
        return f"{_words(match['whole'], language)} {point} {digits(match['part'], language)}"

    return write


def _date_de(match: re.Match[str]) -> str:
    day, month = int(match["day"]), match["month"]
    # "am ersten Januar", "der erste Januar"
    before = match["before"] or ""
    ending = "e" if before.strip().lower() == "der" else "en"
    return f"{before}{ordinal(day, 'de', ending)} {month}"


_EMERGENCY = re.compile(r"\b11[02]\b(?! (?:euros?|Euro)\b)")

_RULES: dict[str, tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...]] = {
    "en": (
        (
            re.compile(r"\b(?P<town>[A-Z]{1,3})-(?P<letters>[A-Z]{1,2}) ?(?P<digits>\d{1,4})\b"),
            _plate("en"),
        ),
        (re.compile(r"\b0\d{2,5}[ /-]\d{2,}(?:[ -]\d+)*\b"), _phone("en")),
        (_EMERGENCY, lambda m: digits(m.group(), "en")),
        (
            re.compile(r"(?:€ ?|EUR )(?P<euros>\d+)(?:\.(?P<cents>\d{2}))?\b"),
            _money_en,
        ),
        (
            re.compile(r"\b(?P<euros>\d+)(?:\.(?P<cents>\d{2}))? ?(?:€|EUR\b)"),
            _money_en,
        ),
        (
            re.compile(r"\b(?P<euros>\d+) euros?(?: (?P<cents>\d{2}))?\b"),
            _money_en,
        ),
        (re.compile(r"\b(?P<h>[01]?\d|2[0-3]):(?P<m>[0-5]\d)\b"), _clock_en),
        (
            re.compile(rf"\b(?P<month>{_MONTHS['en']}) (?P<day>\d{{1,2}})(?:st|nd|rd|th)?\b"),
            lambda m: f"{m['month']} {ordinal(int(m['day']), 'en')}",
        ),
        (
            re.compile(r"\b(?P<n>\d+)(?:st|nd|rd|th)\b"),
            lambda m: ordinal(int(m["n"]), "en") if len(m["n"]) < 7 else digits(m["n"], "en"),
        ),
        (
            re.compile(r"(?<![\d.,])(?P<y>1[1-9]\d\d|20\d\d)(?![\d.,]\d|\d| (?:euros?|kilos?|k))"),
            lambda m: year(int(m["y"]), "en"),
        ),
        (re.compile(r"\b(?P<whole>\d+)\.(?P<part>\d+)\b"), _decimal("en", "point")),
        (re.compile(r"\b\d{1,3}(?:,\d{3})+\b|\d+"), lambda m: _words(m.group(), "en")),
    ),
    "de": (
        (
            re.compile(r"\b(?P<town>[A-ZÄÖÜ]{1,3})-(?P<letters>[A-Z]{1,2}) ?(?P<digits>\d{1,4})\b"),
            _plate("de"),
        ),
        (re.compile(r"\b0\d{2,5}[ /-]\d{2,}(?:[ -]\d+)*\b"), _phone("de")),
        (_EMERGENCY, lambda m: digits(m.group(), "de")),
        (
            re.compile(
                r"\b(?P<euros>\d+(?:\.\d{3})*)(?:,(?P<cents>\d{2}))? ?(?:€|EUR\b|Euro\b)"
                r"(?! \d{2}\b)"
            ),
            _money_de,
        ),
        (re.compile(r"\b(?P<euros>\d+) Euro(?: (?P<cents>\d{2}))?\b"), _money_de),
        (
            re.compile(r"\b(?P<h>[01]?\d|2[0-3])(?:[:.](?P<m>[0-5]\d))? Uhr\b"),
            _clock_de,
        ),
        (re.compile(r"\b(?P<h>[01]?\d|2[0-3]):(?P<m>[0-5]\d)\b"), _clock_de),
        (
            re.compile(
                rf"(?P<before>\b[Dd]er )?\b(?P<day>\d{{1,2}})\. (?P<month>{_MONTHS['de']})\b"
            ),
            _date_de,
        ),
        (
            re.compile(
                r"\b(?P<n>\d{1,2})\. (?=[A-ZÄÖÜ])(?=Stock|Etage|Tag|Woche|Monat|Jahr|Klasse)"
            ),
            lambda m: ordinal(int(m["n"]), "de", "en") + " ",
        ),
        (
            re.compile(r"(?<![\d.,])(?P<y>1[1-9]\d\d)(?![\d.,]\d|\d| (?:Euro|Kilo|Kub))"),
            lambda m: year(int(m["y"]), "de"),
        ),
        (re.compile(r"\b(?P<whole>\d+),(?P<part>\d+)\b"), _decimal("de", "Komma")),
        (re.compile(r"\b1 (?=(?:Punkt|Monat|Tag|Jahr|Kilometer|Cent)\b)"), lambda _: "ein "),
        (re.compile(r"\b1 (?=(?:Stunde|Minute|Woche|Person)\b)"), lambda _: "eine "),
        (re.compile(r"\b\d{1,3}(?:\.\d{3})+\b|\d+"), lambda m: _words(m.group(), "de")),
    ),
}
