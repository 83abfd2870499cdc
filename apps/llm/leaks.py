"""What of a prompt must never be said: the marks that delimit it, and its instructions. Pure.

A caller may try to have a model read its instructions out, and a badly worded prompt may make it do
so unasked. Either way that is no answer.
"""

from __future__ import annotations

import re
from functools import lru_cache

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
    """Return what a sentence holds of its prompt's marks and instructions; at most one violation.

    The line for what the base does not cover stands in the instructions, and may be said.
    """
    if not _MARK.search(sentence) and _runs(sentence).isdisjoint(
        _secret(prompt.instructions(), prompt.dont_know())
    ):
        return []
    asked = (prompt.question, *(exchange.question for exchange in prompt.history))
    coaxed = any(_ABOUT_IT.search(question) for question in asked)
    return [Violation(Kind.COAXED if coaxed else Kind.LEAK, sentence)]


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
