"""How personal data is spoken, as a recogniser writes it down. Pure.

Numbers come digit by digit or in pairs ("null eins sieben eins dreiundzwanzig"), with "doppel" and
"zwo"; addresses with "punkt", "minus" and "ät"; plates as letters, by name or by a spelling table.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from apps.core.redaction.base import Kind
from apps.core.redaction.matching import Match, Rule
from apps.core.redaction.public import phone_digits

_I = re.IGNORECASE
_ONES = {
    **dict.fromkeys(("null", "zero", "oh"), "0"),
    **dict.fromkeys(("eins", "ein", "one"), "1"),
    **dict.fromkeys(("zwei", "zwo", "two"), "2"),
    **dict.fromkeys(("drei", "three"), "3"),
    **dict.fromkeys(("vier", "four"), "4"),
    **dict.fromkeys(("fünf", "fuenf", "five"), "5"),
    **dict.fromkeys(("sechs", "six"), "6"),
    **dict.fromkeys(("sieben", "seven"), "7"),
    **dict.fromkeys(("acht", "eight"), "8"),
    **dict.fromkeys(("neun", "nine"), "9"),
}
_TEENS = (
    "zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn siebzehn achtzehn neunzehn",
    "zehn elf zwoelf dreizehn vierzehn fuenfzehn sechzehn siebzehn achtzehn neunzehn",
    "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen",
)
_TENS = (
    "zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig",
    "zwanzig dreissig vierzig fuenfzig sechzig siebzig achtzig neunzig",
    "twenty thirty forty fifty sixty seventy eighty ninety",
)


def _numerals() -> dict[str, str]:
    """Return the digits of every number word up to 99."""
    found = dict(_ONES)
    for teens in _TEENS:
        found |= {word: str(10 + i) for i, word in enumerate(teens.split())}
    for tens in _TENS:
        for i, ten in enumerate(tens.split(), start=2):
            found[ten] = f"{i}0"
            for one, digit in _ONES.items():
                if digit != "0":
                    found[f"{one}und{ten}"] = found[f"{ten}-{one}"] = f"{i}{digit}"
    return found


_NUMERALS = _numerals()
_NUMERAL = "|".join(sorted(map(re.escape, _NUMERALS), key=len, reverse=True))
_TIMES = {"doppel": 2, "double": 2, "zweimal": 2, "dreimal": 3, "triple": 3}
_FILLERS = frozenset(("dann", "then", "und", "and", "strich", "slash", "schrägstrich"))
_WORD = re.compile(r"[^\W_]+(?:-[^\W_]+)*")
_NEAR = re.compile(r"[ \t,./-]{1,3}|\.{3} ?|… ?")
_MOST_WORDS = 40
_FEWEST_DIGITS, _MOST_PHONE_DIGITS = 7, 15
_CARD_DIGITS = range(15, 20)


@dataclass(slots=True)
class _Run:
    """Number words, and digits among them, that follow one another."""

    start: int
    end: int
    digits: str = ""
    spoken: int = 0
    singles: int = 0
    words: int = 0
    times: int = 1

    def take(self, word: str, end: int) -> None:
        """Add a word: a numeral, digits, "doppel" or a filler, which is the last only for now."""
        value = "+" if word == "plus" else _NUMERALS.get(word, word if word.isdigit() else "")
        self.words += 1
        if value:
            self.end = end
            self.digits += value * self.times
            self.spoken += not word.isdigit()
            self.singles += self.times if len(value) == 1 else 0
            self.times = 1
        self.times = _TIMES.get(word, self.times)

    def match(self) -> Match | None:
        """Return what the run is: somebody's number, or a count, years, prices: None."""
        if len(self.digits.lstrip("+")) < _FEWEST_DIGITS or not self.spoken:
            return None
        if self.singles < 5 and not (self.digits[0] in "0+" and self.singles >= 2):
            return None
        value = phone_digits(self.digits)
        size = len(value)
        kind = Kind.PHONE if size <= _MOST_PHONE_DIGITS else Kind.ID
        return Match(self.start, self.end, Kind.CARD if size in _CARD_DIGITS else kind, value)


@dataclass(frozen=True, slots=True)
class SpokenNumbers:
    """Finds numbers that are told digit by digit or in pairs."""

    cues: tuple[str, ...] = tuple(sorted(_ONES.keys() - {"ein", "eins", "oh"}))
    digits: int = 0

    def matches(self, text: str) -> Iterator[Match]:
        """Yield phone and card numbers, and others that are as long."""
        for run in self._runs(text):
            match = run.match()
            if match is not None:
                yield match

    def _runs(self, text: str) -> Iterator[_Run]:
        run, last_end = None, 0
        for found in _WORD.finditer(text):
            word = found.group().lower()
            opens = word in _NUMERALS or word in _TIMES or word == "plus" or word.isdigit()
            goes_on = run is not None and (
                (opens or word in _FILLERS)
                and _NEAR.fullmatch(text, last_end, found.start()) is not None
                and run.words < _MOST_WORDS
            )
            if run is not None and not goes_on:
                yield run
                run = None
            if run is None and opens:
                run = _Run(found.start(), found.start())
            if run is not None:
                run.take(word, found.end())
            last_end = found.end()
        if run is not None:
            yield run


# --- mail

_JOIN = r"(?:punkt|dot|minus|bindestrich|unterstrich|strich|dash|hyphen|underscore)"
_SIGNS = {
    **dict.fromkeys(("punkt", "dot"), "."),
    **dict.fromkeys(("minus", "bindestrich", "strich", "dash", "hyphen"), "-"),
    **dict.fromkeys(("unterstrich", "underscore"), "_"),
}
_TOP = (
    "de|com|org|net|eu|info|example|test|online|io|co|uk|us|at|ch|bayern|berlin|hamburg|gmbh|email"
    "|biz|app|dev|me"
)
_PIECE = r"[^\W_]{1,40}"
# "The form is at example dot com": what stands before is no mailbox.
_NO_MAILBOX = frozenset(
    re.findall(
        r"\w+",
        """
        us are is available online register book apply reach visit found look form them it here
        website site page homepage also and or appointment deregister you me mail email address
        steht ist finden sind adresse
        """,
    )
)


def _mail(match: re.Match[str]) -> str | None:
    box, domain = match["box"].lower(), match["domain"].lower()
    if box in _NO_MAILBOX:
        return None
    return f"{_joined(box)}@{_joined(domain)}"


def _joined(text: str) -> str:
    return re.sub(rf" ?({_JOIN}) ?", lambda match: _SIGNS[match[1]], text)


_MAIL = re.compile(
    rf"\b(?P<box>{_PIECE}(?: {_JOIN} {_PIECE}){{0,4}})"
    r" ?(?:ät|at|et|@|klammeraffe|at-zeichen|ät-zeichen) ?"
    rf"(?P<domain>{_PIECE}(?: {_JOIN} {_PIECE}){{0,3}} ?(?:\.|punkt|dot) ?(?:{_TOP}))\b",
    _I,
)

# --- plates

_SPELLED = (
    "anton ärger aerger berta bertha cäsar caesar charlotte dora emil friedrich gustav"
    " heinrich ida julius kaufmann konrad ludwig martha nordpol otto ökonom paula quelle"
    " richard samuel siegfried theodor ulrich übermut viktor victor wilhelm xanthippe ypsilon"
    " zacharias zeppelin alpha alfa bravo charlie delta echo foxtrot golf hotel india juliett"
    " juliet kilo lima mike november oscar papa quebec romeo sierra tango uniform whiskey xray"
    " yankee zulu"
)
_LETTER = rf"(?:[a-zäöü]|{'|'.join(_SPELLED.split())})"
_PLATE_CUES = ("kennzeichen", "nummernschild", "plate", "registration")
_PLATE = re.compile(
    rf"(?:{'|'.join(_PLATE_CUES)})[^.!?\n]{{0,40}}?\b"
    rf"(?P<v>{_LETTER}(?:[ -](?:strich |bindestrich |minus |dash |hyphen )?{_LETTER}){{1,4}}"
    rf"(?:[ -](?:{_NUMERAL}|\d{{1,4}})){{1,4}})\b",
    _I,
)


def _plate(match: re.Match[str]) -> str:
    tokens = re.split(r"[ -]", match["v"].lower())
    skipped = {"strich", "bindestrich", "minus", "dash", "hyphen"}
    signs = (_NUMERALS.get(token) or token for token in tokens if token not in skipped)
    return "".join(sign if sign.isdigit() else sign[0] for sign in signs).upper()


SPOKEN = (
    Rule(_MAIL, Kind.EMAIL, _mail, digits=0, cues=(" ät", " at", "klammeraffe", "@", " et ")),
    Rule(_PLATE, Kind.PLATE, _plate, digits=0, cues=_PLATE_CUES),
    SpokenNumbers(),
)
"""In the order in which they are tried, after what is written."""
