"""What a caller wants with an utterance: end the call, a person, a repetition, or an answer.

An utterance counts as one of these only when hardly anything else was said: "goodbye" and "thanks
a lot, bye bye" do, "what do I have to bring when I say goodbye to my car" does not. Everything
that is not recognised is a question.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

import yaml

from apps.core.words import fold, words


class Intent(StrEnum):
    """What an utterance is."""

    QUESTION = "question"
    GOODBYE = "goodbye"
    HANDOVER = "handover"
    REPEAT = "repeat"
    SOURCE = "source"
    YES = "yes"
    NO = "no"
    THANKS = "thanks"
    BACKCHANNEL = "backchannel"


# Tried in this order: "yes, thank you, goodbye" is a goodbye.
_ORDER = (
    Intent.HANDOVER,
    Intent.GOODBYE,
    Intent.SOURCE,
    Intent.REPEAT,
    Intent.NO,
    Intent.YES,
    Intent.THANKS,
    Intent.BACKCHANNEL,
)


@dataclass(frozen=True, slots=True)
class _Phrases:
    """A language's phrases; all folded."""

    polite: frozenset[str]
    patterns: Mapping[Intent, re.Pattern[str]]
    left_over: Mapping[Intent, int]
    never: Mapping[Intent, re.Pattern[str]]


@cache
def _phrases(language: str) -> _Phrases:
    path = Path(__file__).with_name("grammar") / f"intents.{language}.yaml"
    data = yaml.safe_load(path.read_text(encoding="utf-8"))

    def compiled(patterns: list[str]) -> re.Pattern[str]:
        # Longer phrases first, so that "bye bye" is not left with a "bye".
        ordered = sorted((fold(p) for p in patterns), key=len, reverse=True)
        return re.compile(rf"\b(?:{'|'.join(ordered)})\b")

    return _Phrases(
        polite=frozenset(fold(data["polite"]).split()),
        patterns={intent: compiled(data[intent.value]["phrases"]) for intent in _ORDER},
        left_over={intent: data[intent.value].get("left_over", 0) for intent in _ORDER},
        never={
            intent: compiled(data[intent.value]["never"])
            for intent in _ORDER
            if "never" in data[intent.value]
        },
    )


def classify(text: str, language: str) -> Intent:
    """Return what an utterance is.

    Args:
        text: A transcript; case, punctuation and polite words do not matter.
        language: ``de`` or ``en``.
    """
    phrases = _phrases(language)
    said = " ".join(words(text))
    for intent in _ORDER:
        never = phrases.never.get(intent)
        if never is not None and never.search(said):
            continue
        rest, found = phrases.patterns[intent].subn(" ", said)
        if found:
            left = [word for word in rest.split() if word not in phrases.polite]
            if len(left) <= phrases.left_over[intent]:
                return intent
    return Intent.QUESTION
