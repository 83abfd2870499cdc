"""How personal data is written. Pure.

The order is that of certainty: what has a form of its own first, digits by their length last.
Repetitions are bounded, so that no text takes long.
"""

from __future__ import annotations

import re

from stdnum import iban, luhn
from stdnum.de import idnr

from apps.core.redaction.base import Kind
from apps.core.redaction.matching import Rule
from apps.core.redaction.plates import PLATES
from apps.core.redaction.public import bare, phone_digits

_I = re.IGNORECASE
_GAP = r"[ \t\u00a0\u2009\u202f]"
_AT = rf"(?:@|{_GAP}?[(\[{{]{_GAP}?(?:at|ät|@){_GAP}?[)\]}}]{_GAP}?)"
_DOT = rf"(?:\.|{_GAP}?[(\[{{]{_GAP}?(?:dot|punkt|\.){_GAP}?[)\]}}]{_GAP}?)"
_LABEL = r"[^\W_](?:[\w-]{0,61}[^\W_])?"
_DASHES = r"\-\u2010\u2011\u2012\u2013"

# --- what looks like numbers of persons and is none


def _kept(match: re.Match[str]) -> str:
    return match.group()


_MONTHS = "jan|feb|mär|mar|apr|mai|may|jun|jul|aug|sep|okt|oct|nov|dez|dec"
_DATE = (
    r"\d{1,2}\. ?\d{1,2}\. ?(?:\d{4}|\d{2})?(?!\d)|\d{4}-\d\d-\d\d"
    r"|\d{1,2}/\d{1,2}/(?:\d{4}|\d\d)(?!\d)"
    rf"|\d{{1,2}}\.? (?:{_MONTHS})[a-zäö]{{0,7}}\.?,? \d{{4}}"
)
_BORN = (
    r"(?:geboren(?:e[rnms]?)?|geb\.|geburtsdatum|geburtstag|date of birth|birth ?date|born|dob)"
    r"[ :]{1,2}(?:ist |is |am |on |der |the ){0,2}"
)
_BIRTH = ("geb", "birth", "born", "dob")
_TIMES = re.compile(
    rf"(?<!\d)\d{{1,2}}[:.]\d\d{_GAP}?(?:Uhr|h|am|pm)?{_GAP}?[{_DASHES}]{_GAP}?\d{{1,2}}[:.]\d\d(?!\d)",
    _I,
)
_MONEY = re.compile(
    r"(?<![\d.])\d{1,3}(?:[.,'’ ]\d{3}){0,4}(?:[.,]\d\d)?(?:,[-–])?"
    rf"{_GAP}?(?:€|EUR\b|Euro\b|\$|USD\b|£|GBP\b|CHF\b|Cent\b|%)",
    _I,
)
_YEARS = re.compile(rf"(?<![\d/])(?:19|20)\d\d{_GAP}?[{_DASHES}/]{_GAP}?(?:19|20)\d\d(?![\d/])")
_ADDRESS = re.compile(r"\b(?:https?://|www\.)[^\s@<>\"']{1,500}", _I)

# --- mail


def _mail(match: re.Match[str]) -> str:
    domain = re.sub(_DOT, ".", match["domain"].lower(), flags=_I)
    return f"{match['box'].lower()}@{domain}"


_AT_SIGNS = ("@", "at)", "ät)", "at]", "ät]", "at}", "at )", "at ]")
_MAIL = re.compile(
    rf"(?<![\w.+-])(?P<box>[\w][\w.+'’-]{{0,63}}){_AT}"
    rf"(?P<domain>(?:{_LABEL}{_DOT}){{1,5}}[a-zäöü]{{2,24}})(?![\w-])",
    _I,
)

# --- accounts and cards


def _account(match: re.Match[str]) -> str | None:
    value = bare(match.group())
    digits = sum(map(str.isdigit, value))
    german = re.fullmatch(r"DE\d{18,22}", value)  # with a slip of the pen it is still somebody's
    return value if german or (digits >= 10 and iban.is_valid(value)) else None


_CARD_GROUPS = re.compile(r"\d{4}(?:[ -]\d{4}){3}|\d{4}[ -]\d{6}[ -]\d{5}")


def _card(match: re.Match[str]) -> str | None:
    value = bare(match.group())
    written_so = _CARD_GROUPS.fullmatch(match.group())
    return value if written_so or (value[0] in "23456" and luhn.is_valid(value)) else None


# --- identity papers, taxes, insurance, customers


def _number(match: re.Match[str]) -> str:
    return bare(match["v"] if "v" in match.re.groupindex else match.group())


def _labelled(match: re.Match[str]) -> str | None:
    value = bare(match["v"])
    return value if sum(map(str.isdigit, value)) >= 4 else None


def _tax(match: re.Match[str]) -> str | None:
    value = bare(match.group())
    return value if idnr.is_valid(value) else None


def _vehicle(match: re.Match[str]) -> str | None:
    digits = sum(map(str.isdigit, match.group()))
    return match.group() if 4 <= digits <= 15 else None


_SUBJECTS = (
    "kunden|versicherungs|versicherungsschein|versicherten|mitglieds|vertrags|personal|akten|fall"
    "|vorgangs|bescheid|kassen|konto|ausweis|personalausweis|reisepass|pass|führerschein"
    "|fuehrerschein|führerscheins|steuer|steuer-?identifikations|identifikations|sozialversicherungs"
    "|rentenversicherungs|krankenversicherungs|krankenversicherten|matrikel|patienten|ident|buchungs"
    "|evb|fin|fahrgestell|fahrzeug-?identifizierungs|customer|client|policy|account|case|reference"
    "|member|membership|employee|licen[cs]e|driver'?s licen[cs]e|passport|id card|identity card"
    "|social security|national insurance|insurance|tax|patient|booking|vehicle identification"
)
_LABELLED = re.compile(
    rf"\b(?:(?:{_SUBJECTS})[ -]?(?:nummer|nr\b\.?|number|no\b\.?|id\b|code)|aktenzeichen|steuer-?id"
    r"|idnr|ssn|personalausweis|reisepass|passport)"
    r"[ :#=]{1,3}(?:(?:ist|lautet|war|is|was)(?: die| der| the)?[: ]{1,2})?"
    r"(?!(?:ist|lautet|war|is|was|die|der|the)\b)"
    r"(?P<v>[A-Za-z0-9](?:[ /.-]?[A-Za-z0-9]){3,24}?)(?![\w/-]|[ ]?\d|[ ][A-Z]\b)",
    _I,
)
_LABELS = ("nummer", "nr", "number", "no", "id", "code", "zeichen", "ssn", "pass", "ausweis")
_PENSION = re.compile(
    r"(?<![\w-])\d\d ?(?:[0-6]\d|7[0-3])(?:0\d|1[0-2])\d\d ?[A-Z] ?\d{3}(?![\w-])"
)
_HEALTH = re.compile(r"(?<![\w-])[A-Z]\d{9}(?![\w-])")
_TAX_OFFICE = re.compile(r"(?<![\d/])\d{2,3}/\d{3,4}/\d{4,5}(?![\d/])")
_TAX_ID = re.compile(r"(?<![\d.,/-])[1-9]\d ?\d{3} ?\d{3} ?\d{3}(?![\d/-]|[.,]\d)")
_SOCIAL = re.compile(r"(?<![\d-])\d{3}-\d\d-\d{4}(?![\d-])")
_INSURANCE = re.compile(
    r"(?<!\w)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d\d ?\d\d ?\d\d ?[A-D](?!\w)"
)
_VEHICLE = re.compile(r"(?<![\w-])[A-HJ-NPR-Z0-9]{17}(?![\w-])")

# --- phones

_CALLED = re.compile(
    r"(?:tel(?:efon)?(?:nummer|nr)?|fon|ruf(?:nummer)?|handy(?:nummer)?|mobil(?:nummer|funk)?"
    r"|fax(?:nummer)?|durchwahl|nummer|phone|number|call|mobile|cell|anrufen|ring|dial|whatsapp"
    r"|erreichbar unter|wählen sie)"
    r"(?:[.: ]{1,3}(?:ist|is|lautet|me|us|at|on|unter|die|der|the|no)?[.:]? ?){0,3}$",
    _I,
)
_LOOKS_BACK = 48


def _phone(match: re.Match[str]) -> str | None:
    raw = match.group()
    value = phone_digits(raw)
    digits = len(value)
    abroad = raw.lstrip("(").startswith(("+", "00"))
    if abroad:
        return value if 8 <= digits <= 18 else None
    if value[0] == "0" and value[1] != "0" and 7 <= digits <= 14:
        return value
    before = match.string[max(0, match.start() - _LOOKS_BACK) : match.start()]
    return value if 5 <= digits <= 15 and _CALLED.search(before) else None


_PHONE = re.compile(
    rf"(?<![\w.,/{_DASHES}+])(?!0[.,]\d)(?:\+|\()?\d(?:{_GAP}{{0,2}}[()/.{_DASHES}]{{0,2}}{_GAP}{{0,2}}\d){{4,18}}"
    r"(?!\w|[.,]\d)"
)
_AMERICAN = re.compile(r"(?<![\w-])(?:\+?1[ .-]?)?(?:\(\d{3}\) ?|\d{3}[-.])\d{3}[-.]\d{4}(?![\w-])")

PATTERNS = (
    Rule(_MAIL, Kind.EMAIL, _mail, digits=0, cues=_AT_SIGNS),
    Rule(
        re.compile(_BORN + rf"(?P<v>{_DATE})", _I), Kind.BIRTH_DATE, _number, digits=4, cues=_BIRTH
    ),
    Rule(re.compile(rf"(?<![\d./-])(?:{_DATE})", _I), None, _kept, digits=5),
    Rule(_TIMES, None, _kept, digits=5),
    Rule(_MONEY, None, _kept, digits=5),
    Rule(_YEARS, None, _kept, digits=5),
    Rule(_ADDRESS, None, _kept, cues=("http", "www.")),
    Rule(
        re.compile(
            rf"\b[A-Z]{{2}}\d\d(?:{_GAP}?[A-Z0-9]{{4}}){{2,7}}(?:{_GAP}?[A-Z0-9]{{1,3}})?\b", _I
        ),
        Kind.IBAN,
        _account,
        digits=10,
    ),
    Rule(
        re.compile(r"(?<![\d.,/+-])\d(?:[ -]?\d){12,18}(?![\d/-]|[.,]\d)"),
        Kind.CARD,
        _card,
        digits=13,
    ),
    Rule(_VEHICLE, Kind.ID, _vehicle, digits=4),
    *PLATES,
    Rule(_PENSION, Kind.ID, _number, digits=11),
    Rule(_HEALTH, Kind.ID, _number, digits=9),
    Rule(_LABELLED, Kind.ID, _labelled, digits=4, cues=_LABELS),
    Rule(_TAX_OFFICE, Kind.ID, _number, digits=9),
    Rule(_SOCIAL, Kind.ID, _number, digits=9),
    Rule(_INSURANCE, Kind.ID, _number, digits=6),
    Rule(_TAX_ID, Kind.ID, _tax, digits=11),
    Rule(_AMERICAN, Kind.PHONE, lambda match: phone_digits(match.group()), digits=10),
    Rule(_PHONE, Kind.PHONE, _phone, digits=5),
)
"""In the order in which they are tried."""
