"""What follow-up questions are made of in each language: patterns, read from ``grammar/``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml


@dataclass(frozen=True, slots=True)
class Grammar:
    """What a language's grammar file says; see there."""

    lead: re.Pattern[str]
    same_for: re.Pattern[str]
    light: frozenset[str]
    pronoun: re.Pattern[str]
    formal: re.Pattern[str]
    constituents: Mapping[str, re.Pattern[str]]
    qualities: re.Pattern[str]
    vehicle_noun: re.Pattern[str]
    one: re.Pattern[str]
    one_becomes: str
    fragment: re.Pattern[str]
    preposition: re.Pattern[str]
    question: re.Pattern[str]
    new_topic: str


def _pattern(text: str) -> re.Pattern[str]:
    # Folded YAML puts a blank before each continued "|": an alternative never begins with one.
    return re.compile(re.sub(r"\s+\|", "|", text.strip()), re.IGNORECASE)


@cache
def grammar(language: str) -> Grammar:
    """Return a language's grammar, read once."""
    path = Path(__file__).with_name("grammar") / f"{language}.yaml"
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    asked = ("lead", "same_for", "pronoun", "formal", "one", "fragment")
    patterns = (*asked, "qualities", "vehicle_noun")
    return Grammar(
        light=frozenset(data["light"].split()),
        constituents={kind: _pattern(text) for kind, text in data["constituents"].items()},
        one_becomes=data["one_becomes"],
        preposition=_pattern(data["preposition"]),
        question=_pattern(data["question"]),
        new_topic=data["new_topic"],
        **{name: _pattern(data[name]) for name in patterns},
    )
