"""Facts of each class: how they are drawn, and every way in which one may be written."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from apps.llm.numerals import cardinal, digits, ordinal

CLASSES = (
    *("money", "time", "date", "duration", "percent", "weekday"),
    *("phone", "email", "web", "plate", "address", "section"),
)
_MONTHS = {
    "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "en": "January February March April May June July August September October November December",
}
_WEEKDAYS = {
    "de": "Montag Dienstag Mittwoch Donnerstag Freitag Samstag Sonntag",
    "en": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
}
_STREETS = {
    "de": ("Industriestraße", "Lindenstraße", "Bahnhofstraße", "Schulgasse", "Rosenallee",
           "Mühlenstraße", "Kirchgasse", "Gartenstraße"),
    "en": ("Mill Lane", "Station Road", "Church Street", "Garden Avenue", "School Lane",
           "Market Street", "Park Road", "Bridge Street"),
}  # fmt: skip
_NAMES = ("info", "kasse", "service", "archiv", "buero", "post", "termine", "amt")
_HOSTS = ("sonnenfurt", "stadtwald", "muehlheim", "rosenau", "bachtal", "hohenfeld")

Value = tuple[int | str, ...]
"""What is drawn; two facts of a class are the same where these are."""


@dataclass(frozen=True, slots=True)
class Fact:
    """A fact of a class."""

    kind: str
    value: Value


def draw(kind: str, language: str, rng: random.Random) -> Fact:
    """Return a fact of a class."""
    return Fact(kind, _DRAWS[kind](language, rng))


def forms(fact: Fact, language: str) -> Sequence[str]:
    """Return every way in which a fact may be written; all mean exactly the same."""
    return _FORMS[fact.kind](fact.value, language)


def _draw_money(_: str, rng: random.Random) -> Value:
    return rng.randint(3, 480), rng.choice((0, 0, 10, 30, 45, 60, 75, 90))


def _draw_time(_: str, rng: random.Random) -> Value:
    return rng.randint(7, 19), rng.choice((0, 0, 0, 15, 30, 45))


def _draw_date(_: str, rng: random.Random) -> Value:
    return rng.choice((0, 2026, 2027, 2028)), rng.randint(1, 12), rng.randint(1, 28)


def _draw_duration(_: str, rng: random.Random) -> Value:
    unit = rng.choice(("minute", "day", "month"))
    many = {"minute": (10, 20, 30, 40, 45, 90), "day": (3, 5, 7, 10, 14, 21, 28),
            "month": (1, 2, 3, 6, 9, 18)}  # fmt: skip
    return rng.choice(many[unit]), unit


def _draw_phone(_: str, rng: random.Random) -> Value:
    return f"09{rng.randint(100, 999)}", f"{rng.randint(1000, 9999)}"


def _draw_plate(_: str, rng: random.Random) -> Value:
    letters = "ABCDEFGHJKLMNPRSTUVWXYZ"
    pair = rng.choice(letters) + rng.choice(letters)
    return rng.choice(("SO", "B", "KA", "HH")), pair, rng.randint(10, 9999)


_DRAWS: dict[str, Callable[[str, random.Random], Value]] = {
    "money": _draw_money,
    "time": _draw_time,
    "date": _draw_date,
    "duration": _draw_duration,
    "percent": lambda _, rng: (rng.randint(4, 95),),
    "weekday": lambda _, rng: (rng.randint(0, 6),),
    "phone": _draw_phone,
    "email": lambda _, rng: (rng.choice(_NAMES), rng.choice(_HOSTS)),
    "web": lambda _, rng: (rng.choice(_HOSTS) + rng.choice(("", "-online", "-amt", "-hilfe")),),
    "plate": _draw_plate,
    "address": lambda language, rng: (rng.choice(_STREETS[language]), rng.randint(2, 120)),
    "section": lambda _, rng: (rng.randint(2, 90), rng.choice((0, 1, 2, 3, 4))),
}


def _money(value: Value, language: str) -> Sequence[str]:
    euros, cents = int(value[0]), int(value[1])
    unit = "Euro" if language == "de" else "euros"
    joint, point = ("und", ",") if language == "de" else ("and", ".")
    said = cardinal(euros, language)
    if not cents:
        written = (f"€{euros}",) if language == "en" else (f"{euros} €", f"{euros},00 Euro")
        return (f"{euros} {unit}", f"{said} {unit}", *written)
    exact = f"{euros}{point}{cents:02d}"
    signs = (f"€{exact}", f"EUR {exact}") if language == "en" else (f"{exact} €", f"{exact} EUR")
    cent = "Cent" if language == "de" else "cents"
    return (
        f"{euros} {unit} {cents}",
        f"{exact} {unit}",
        f"{euros} {unit} {joint} {cents} {cent}",
        f"{said} {unit} {cardinal(cents, language)}",
        *signs,
    )


def _time(value: Value, language: str) -> Sequence[str]:
    hour, minute = int(value[0]), int(value[1])
    said = cardinal(hour, language)
    twelve = cardinal((hour - 1) % 12 + 1, language)
    if language == "de":
        if not minute:
            return (f"{hour} Uhr", f"{hour}:00 Uhr", f"{said} Uhr", f"{hour}.00 Uhr")
        low = cardinal(minute, "de")
        half = (f"halb {cardinal(hour % 12 + 1, 'de')}",) if minute == 30 and hour < 12 else ()
        past = (f"Viertel nach {twelve}",) if minute == 15 and hour < 12 else ()
        return (
            f"{hour} Uhr {minute}", f"{hour}:{minute} Uhr", f"{hour}.{minute} Uhr",
            f"{said} Uhr {low}", *half, *past,
        )  # fmt: skip
    half_day = "a.m." if hour < 12 else "p.m."
    part = "in the morning" if hour < 12 else "in the afternoon" if hour < 18 else "in the evening"
    short = (hour - 1) % 12 + 1
    if not minute:
        return (f"{hour}:00", f"{short} {half_day}", f"{short}:00 {half_day}", f"{twelve} {part}")
    spoken = {15: f"quarter past {twelve} {part}", 30: f"half past {twelve} {part}"}
    return (f"{hour}:{minute}", f"{short}:{minute} {half_day}", f"{twelve} {cardinal(minute, 'en')}"
            f" {part}", *((spoken[minute],) if minute in spoken else ()))  # fmt: skip


def _date(value: Value, language: str) -> Sequence[str]:
    year, month, day = (int(part) for part in value)
    name = _MONTHS[language].split()[month - 1]
    behind = f" {year}" if year else ""
    if language == "de":
        short = f"{day:02d}.{month:02d}.{year or ''}"
        return (f"{day}. {name}{behind}", f"{ordinal(day, 'de', 'en')} {name}{behind}", short)
    comma = f", {year}" if year else ""
    return (
        f"{name} {day}{comma}",
        f"{day} {name}{behind}",
        f"the {ordinal(day, 'en')} of {name}{behind}",
        f"{name} {ordinal(day, 'en')}{comma}",
    )


_DURATIONS = {
    "de": {"minute": "Minuten", "day": "Tage", "month": "Monate"},
    "en": {"minute": "minutes", "day": "days", "month": "months"},
}
_OTHERWISE = {
    "de": {(30, "minute"): "eine halbe Stunde", (90, "minute"): "anderthalb Stunden",
           (45, "minute"): "eine Dreiviertelstunde", (7, "day"): "eine Woche",
           (14, "day"): "zwei Wochen", (21, "day"): "3 Wochen", (28, "day"): "vier Wochen",
           (18, "month"): "anderthalb Jahre"},
    "en": {(30, "minute"): "half an hour", (90, "minute"): "one and a half hours",
           (45, "minute"): "three quarters of an hour", (7, "day"): "one week",
           (14, "day"): "two weeks", (21, "day"): "3 weeks", (28, "day"): "four weeks",
           (18, "month"): "one and a half years"},
}  # fmt: skip


def _duration(value: Value, language: str) -> Sequence[str]:
    many, unit = int(value[0]), str(value[1])
    if many == 1:
        return ("einen Monat", "1 Monat") if language == "de" else ("one month", "1 month")
    name = _DURATIONS[language][unit]
    other = _OTHERWISE[language].get((many, unit))
    return (f"{many} {name}", f"{cardinal(many, language)} {name}", *((other,) if other else ()))


def _percent(value: Value, language: str) -> Sequence[str]:
    many = int(value[0])
    name = "Prozent" if language == "de" else "percent"
    return (f"{many} {name}", f"{many} %", f"{many}%", f"{cardinal(many, language)} {name}")


def _phone(value: Value, language: str) -> Sequence[str]:
    area, own = str(value[0]), str(value[1])
    spoken = f"{digits(area, language)}, {digits(own, language)}"
    return (f"{area} {own}", f"({area}) {own}", f"{area}/{own}", f"+49 {area[1:]} {own}", spoken,
            f"{area} {own[:2]} {own[2:]}", f"{area}-{own}")  # fmt: skip


def _email(value: Value, language: str) -> Sequence[str]:
    box, host = value
    point = "Punkt" if language == "de" else "dot"
    return (f"{box}@{host}.example", f"{box} at {host}.example", f"{box} at {host} {point} example")


def _web(value: Value, language: str) -> Sequence[str]:
    (host,) = value
    point = "Punkt" if language == "de" else "dot"
    return (f"{host}.example", f"www.{host}.example", f"https://{host}.example",
            f"{host} {point} example")  # fmt: skip


def _plate(value: Value, language: str) -> Sequence[str]:
    town, letters, number = str(value[0]), str(value[1]), str(value[2])
    spelled = " ".join(town + letters)
    return (f"{town}-{letters} {number}", f"{town} {letters} {number}", f"{spelled} {number}",
            f"{spelled} {digits(number, language)}", f"{town}-{letters}-{number}")  # fmt: skip


def _address(value: Value, language: str) -> Sequence[str]:
    street, number = str(value[0]), int(value[1])
    if language == "en":
        return (f"{number} {street}", f"{cardinal(number, 'en')} {street}")
    short = (f"{street[:-3]}. {number}",) if street.endswith("straße") else ()
    swiss = street.replace("ß", "ss")
    return (f"{street} {number}", f"{street} {cardinal(number, 'de')}", f"{swiss} {number}", *short)


def _section(value: Value, language: str) -> Sequence[str]:
    number, sub = int(value[0]), int(value[1])
    said = cardinal(number, language)
    if language == "de":
        if not sub:
            return (f"§ {number}", f"Paragraf {number}", f"Paragraf {said}", f"§{number}")
        return (
            f"§ {number} Abs. {sub}",
            f"§ {number} Absatz {sub}",
            f"Paragraf {number} Absatz {sub}",
            f"Paragraf {said} Absatz {cardinal(sub, 'de')}",
        )
    if not sub:
        return (f"section {number}", f"section {said}", f"Section {number}")
    return (f"section {number}({sub})", f"section {number}, subsection {sub}",
            f"section {said} subsection {cardinal(sub, 'en')}")  # fmt: skip


_FORMS: dict[str, Callable[[Value, str], Sequence[str]]] = {
    "money": _money, "time": _time, "date": _date, "duration": _duration, "percent": _percent,
    "weekday": lambda value, language: (_WEEKDAYS[language].split()[int(value[0])],),
    "phone": _phone, "email": _email, "web": _web, "plate": _plate, "address": _address,
    "section": _section,
}  # fmt: skip
