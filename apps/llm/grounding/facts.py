"""What a fact is that must not be invented, and how rules find facts in a text. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from functools import partial


class Kind(StrEnum):
    """What a fact is about, or that something is none; the label of its metric."""

    NUMBER = "number"
    TIME = "time"
    DATE = "date"
    MONEY = "money"
    PHONE = "phone"
    EMAIL = "email"
    WEB = "web"
    ACCOUNT = "account"
    PLATE = "plate"
    ADDRESS = "address"
    SECTION = "section"
    LEAK = "leak"
    """Marks or instructions of the prompt (leaks.py)."""
    COAXED = "coaxed"
    """The same, after the caller had asked about them."""
    WITHHELD = "withheld"
    """A placeholder: what stood in its place was taken out of the source (leaks.py)."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact in a text, in forms that can be compared.

    Attributes:
        kind: What it is.
        text: As it stands there, number words as digits.
        keys: What it may mean; "four o'clock" means two times. One of them must be known.
        also: What else is known where this is known: of a date its month, say.
        spread: What another number in front of it means ("8 to 16:00"), given that number.
        number: The number, of one whose meaning may follow from the fact behind it.
        start: Where it begins in the text.
        end: Where it ends.
    """

    kind: Kind
    text: str
    keys: tuple[str, ...]
    also: tuple[str, ...] = ()
    spread: Callable[[Decimal], tuple[str, ...]] | None = None
    number: Decimal | None = None
    start: int = 0
    end: int = 0


Read = Callable[[re.Match[str], str], Sequence[Fact]]
"""Reads a match in a language; no facts where it is none after all."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One way in which facts are written.

    Attributes:
        pattern: What it looks like.
        read: What it says.
        digits: Whether it has a digit, so that a text without one needs no search.
        cues: One of these, in lower case, stands in every such fact; a search costs far more.
    """

    pattern: re.Pattern[str]
    read: Read
    digits: bool = True
    cues: tuple[str, ...] = ()

    def may_match(self, lower: str, has_digit: bool) -> bool:
        """Tell whether a search of a text, given in lower case, may find anything."""
        if self.digits and not has_digit:
            return False
        return not self.cues or any(cue in lower for cue in self.cues)


_DIGIT = re.compile("[0-9]")
_GONE = "\x1f"
"""In the place of what a rule has read, so that no later one reads it again."""

_UP_TO = re.compile(r" ?(?:bis(?: zu)?|to|till|until|through|-) ?", re.IGNORECASE)
_BESIDE = re.compile(r" ?(?:und|oder|and|or|,|/|sowie) ?(?:von |from |um |at )?", re.IGNORECASE)


def find(text: str, language: str, rules: Sequence[Rule]) -> list[Fact]:
    """Return the facts of a text, in its order; earlier rules go first.

    Args:
        text: A text whose number words are digits.
        language: ``de`` or ``en``: which of the comma and the point is for decimals.
        rules: The most telling first.
    """
    found: list[Fact] = []
    rest, lower, has_digit = text, text.lower(), _DIGIT.search(text) is not None
    for rule in rules:
        if rule.may_match(lower, has_digit):
            rest = rule.pattern.sub(partial(_take, rule, language, text, found), rest)
            has_digit = has_digit and _DIGIT.search(rest) is not None
    return _spread(text, sorted(found, key=lambda fact: fact.start))


def _take(rule: Rule, language: str, text: str, found: list[Fact], match: re.Match[str]) -> str:
    """Note what a rule reads in a match; returns what stands in its place from then on."""
    start, end = match.span()
    facts = rule.read(match, language)
    found += [replace(f, text=text[start:end].strip(), start=start, end=end) for f in facts]
    return _GONE * (end - start) if facts else match.group()


def _spread(text: str, facts: list[Fact]) -> list[Fact]:
    """Give numbers the meaning of the fact that they lead up to: "8 to 16:00", "8, 10 and 12 %"."""
    for at in range(len(facts) - 2, -1, -1):
        fact, then = facts[at], facts[at + 1]
        if fact.number is None or then.spread is None:
            continue
        gap = text[fact.end : then.start]
        meant = then.spread(fact.number)
        if meant and _UP_TO.fullmatch(gap):
            facts[at] = replace(
                fact, kind=then.kind, keys=meant, also=fact.keys + fact.also, spread=then.spread
            )
        elif meant and _BESIDE.fullmatch(gap):
            facts[at] = replace(fact, keys=fact.keys + meant, spread=then.spread)
    return facts


def number(text: str, language: str) -> Decimal:
    """Return a written number: "1.250,5" in German, "1,250.5" in English.

    A single sign before exactly three digits is the language's own: "1.250" is 1250 in German
    and 1.25 in English.
    """
    last = max(text.rfind("."), text.rfind(","))
    if last < 0:
        return Decimal(text)
    sign, tail = text[last], text[last + 1 :]
    other = "," if sign == "." else "."
    groups = text.count(sign) > 1
    thousands = sign == ("." if language == "de" else ",")
    if groups or (len(tail) == 3 and thousands and other not in text and text[0] != "0"):
        return Decimal(text.replace(".", "").replace(",", ""))
    whole = text[:last].replace(".", "").replace(",", "")
    return Decimal(f"{whole}.{tail}")


def written(value: Decimal) -> str:
    """Return a number in its one form, without zeros behind it."""
    return f"{value.normalize():f}"
