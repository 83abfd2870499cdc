"""Does once what is slow the first time, before a caller waits for it: reads word lists."""

from __future__ import annotations

from apps.llm.grammars import grammar
from apps.llm.intents import classify
from apps.llm.prompt import Exchange
from apps.llm.rewrite import rewrite
from apps.llm.style import wording

_FOLLOW_UP = {
    "de": ("wie melde ich mein auto an", "und was kostet das"),
    "en": ("how do i register my car", "and how much does that cost"),
}


def rehearse(language: str) -> None:
    """Understand a question and its follow-up, so that the first caller's need no longer."""
    first, then = _FOLLOW_UP[language]
    wording(language)
    grammar(language)
    for text in (first, then):
        classify(text, language)
    rewrite(then, (Exchange(first, "", "", first, ""),), language)
