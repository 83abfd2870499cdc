"""Tells which facts of a sentence do not stand in its sources. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache, partial

from apps.core.passages import Passage
from apps.llm.grounding.clock import TIMES
from apps.llm.grounding.contacts import CONTACTS
from apps.llm.grounding.counting import ORDINAL, in_digits, plain
from apps.llm.grounding.dates import DATES
from apps.llm.grounding.facts import Fact, Kind, find, number, written
from apps.llm.grounding.money import FREE, MONEY
from apps.llm.grounding.numbers import NUMBERS
from apps.llm.grounding.phones import PHONES
from apps.llm.grounding.streets import STREETS
from apps.llm.prompt import Prompt

RULES = (*CONTACTS, *DATES, *MONEY, *TIMES, *PHONES, *STREETS, FREE, *NUMBERS)

_ORDINAL_EN = re.compile(r"(?<![\w.,])(\d+)(?:st|nd|rd|th)\b")
_DECIMAL = re.compile(r"\b(\d+) (?:Komma|comma|point) (\d(?: \d)*)(?!\w)", re.IGNORECASE)
_AND_A_HALF = re.compile(r"\b(\d+|one) and a half\b", re.IGNORECASE)
_SCALED = re.compile(
    r"\b(\d+(?:[.,]\d+)?|eine|one|a) (millions?|Millionen|thousand|tausend|hundred|hundert)\b",
    re.IGNORECASE,
)
_SCALES = {"m": 1_000_000, "t": 1000, "h": 100}
_ONE_OCLOCK = re.compile(
    r"\b(?:one|ein)(?= ?(?:o'clock|[ap]\.?m\b|in the (?:morn|after|even)|at night|Uhr\b))"
    r"|(?:(?<=past )|(?<=quarter to ))one\b",
    re.IGNORECASE,
)
_DIGIT = re.compile(r"\d")
_LIST_MARK = re.compile(r"\s*[1-9][.)]\s*")
_LONGEST = 2000
"""Characters of a sentence that are looked at at once; what is longer is cut at a blank."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A fact that stands in no source.

    Attributes:
        kind: What it is about.
        text: The fact, number words as digits.
    """

    kind: Kind
    text: str


@dataclass(frozen=True, slots=True)
class Sources:
    """What an answer may rest on.

    Attributes:
        texts: Passages, and what was said before.
        language: ``de`` or ``en``.
    """

    texts: tuple[str, ...]
    language: str

    @staticmethod
    def of(prompt: Prompt) -> Sources:
        """Return what the answer to a prompt may rest on.

        These are the passages that cover the question, the exchanges before it, the question
        itself ("no, not 45 euros"), and what the prompt tells of the office and its people.
        """
        covered = (p for p in prompt.passages if p.score >= prompt.covered_score)
        said = (text for e in prompt.history for text in (e.question, e.answer, e.offer))
        return Sources(
            (*map(_text, covered), *said, prompt.question, prompt.dont_know(), prompt.office),
            prompt.language,
        )

    def knows(self, keys: Iterable[str]) -> bool:
        """Tell whether one of the meanings of a fact stands in a text."""
        return any(key in known for key in keys for known in self._known())

    def _known(self) -> Iterable[frozenset[str]]:
        return (_keys(text, self.language) for text in self.texts if text)


def check(sentence: str, sources: Sources) -> list[Violation]:
    """Return the facts of a sentence that stand in none of its sources, in its order."""
    if _LIST_MARK.fullmatch(sentence):
        return []
    return [
        Violation(fact.kind, fact.text)
        for fact in facts(sentence, sources.language)
        if "any" not in fact.keys and not sources.knows(fact.keys)
    ]


def facts(text: str, language: str) -> list[Fact]:
    """Return every fact of a text that must not be invented, in its order."""
    return [
        fact for part in _parts(text) for fact in find(_normal(part, language), language, RULES)
    ]


def _text(passage: Passage) -> str:
    title = passage.cited.title if passage.of_document else ""
    return f"{title} {passage.question} {passage.text}".strip()


def _parts(text: str) -> Iterable[str]:
    while len(text) > _LONGEST:
        cut = text.rfind(" ", 0, _LONGEST)
        cut = cut if cut > 0 else _LONGEST
        yield text[:cut]
        text = text[cut:]
    yield text


def _normal(text: str, language: str) -> str:
    """Return a text in which a fact has fewer forms: digits, one form of signs and decimals."""
    text = " ".join(plain(text).replace("’", "'").split())
    mark = "," if language == "de" else "."
    text = _ONE_OCLOCK.sub("1", text)
    text = _ORDINAL_EN.sub(rf"\1{ORDINAL}", in_digits(text))
    if "half" in text:
        text = _AND_A_HALF.sub(lambda m: f"{1 if m[1].isalpha() else m[1]}{mark}5", text)
    text = _SCALED.sub(partial(_scaled, language), text)
    if _DIGIT.search(text) is None:
        return text
    text = _DECIMAL.sub(lambda m: f"{m[1]}{mark}{m[2].replace(' ', '')}", text)
    return text


def _scaled(language: str, match: re.Match[str]) -> str:
    many = number(match[1], language) if match[1][0].isdigit() else Decimal(1)
    return written(many * _SCALES[match[2][0].lower()])


@lru_cache(maxsize=4096)
def _keys(text: str, language: str) -> frozenset[str]:
    """Return what a source knows; passages come again and again, so it is kept."""
    found = facts(text, language)
    return frozenset(key for fact in found for key in (*fact.keys, *fact.also)) - {"any"}
