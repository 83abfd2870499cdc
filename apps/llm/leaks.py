"""What of a prompt must never be said: its marks, its instructions, and its placeholders. Pure.

A caller may try to have a model read its instructions out, and a badly worded prompt may make it do
so unasked. Either way that is no answer. Nor is "call us on [phone]": of what was taken out of a
document (``apps/core/redaction``) the caller gets to hear that TOM does not have it.
"""

from __future__ import annotations

import re
from functools import lru_cache

from apps.core.redaction import PLACEHOLDER
from apps.core.words import words
from apps.llm.grounding import Kind, Violation
from apps.llm.prompt import Prompt

RUN = 8
"""So many words in a row as the instructions have them are no chance."""

_ABOUT_IT = re.compile(
    r"prompt|instruct|system|rules?\b|ignore|repeat (?:after|every)|anweisung|vorgabe|regeln?\b",
    re.IGNORECASE,
)
_MARK = re.compile(r"</?(?:passages|caller|system|user|assistant)\b|<\|", re.IGNORECASE)


def leaks(sentence: str, prompt: Prompt) -> list[Violation]:
    """Return what a sentence holds of its prompt that must not be said; at most one violation.

    The line for what the base does not cover stands in the instructions, and may be said.
    """
    if PLACEHOLDER.search(sentence) or any(mark in sentence for mark in _placeholders(prompt)):
        return [Violation(Kind.WITHHELD, sentence)]
    if not _MARK.search(sentence) and _runs(sentence).isdisjoint(
        _secret(prompt.instructions(), prompt.dont_know())
    ):
        return []
    asked = (prompt.question, *(exchange.question for exchange in prompt.history))
    coaxed = any(_ABOUT_IT.search(question) for question in asked)
    return [Violation(Kind.COAXED if coaxed else Kind.LEAK, sentence)]


def _placeholders(prompt: Prompt) -> set[str]:
    """Return the placeholders of the passages as a prompt shows them: in round brackets."""
    shown = (t for p in prompt.facts for t in (p.cited.title, p.question, p.text))
    found = {mark for text in shown for mark in PLACEHOLDER.findall(text)}
    return {f"({mark[1:-1]})" for mark in found}


@lru_cache(maxsize=256)
def _secret(instructions: str, sayable: str) -> frozenset[tuple[str, ...]]:
    return _runs(instructions.replace(sayable, "\n")) - _runs(sayable)


def _runs(text: str) -> frozenset[tuple[str, ...]]:
    return frozenset(
        tuple(said[i : i + RUN])
        for line in text.splitlines()
        for said in (words(line),)
        for i in range(len(said) - RUN + 1)
    )
