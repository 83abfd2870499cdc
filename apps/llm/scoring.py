"""Scores an answer by rules alone: what must not be done, and how well the rest is done. Pure.

It is what a variant's answers in the shadow are judged by, where no caller can.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from apps.core.policy import InquiryMode
from apps.core.words import words
from apps.llm.grounding import Sources, check
from apps.llm.prompt import Prompt
from apps.llm.style import max_sentences

PATIENCE_MS = 3000.0
"""An answer whose first sentence takes this long has no mark for speed left."""
_QUICK_MS = 1000.0
_WRITTEN = re.compile(r"[*_#`|<>\[\]{}]|https?:|^\s*[-•]\s|^\s*\d+[.)]\s", re.MULTILINE)
_REFUSAL_LIKENESS = 0.6
_TELLING_LENGTH = 4


@dataclass(frozen=True, slots=True)
class AnswerScore:
    """How good an answer is.

    Attributes:
        passed: It did nothing that must not be done.
        score: How well it did, in [0, 1]; the mean of its marks.
        checks: Every check (True or False) and every mark in [0, 1], by name.
    """

    passed: bool
    score: float
    checks: Mapping[str, bool | float]

    @property
    def marks(self) -> dict[str, float]:
        """Return the marks alone."""
        return {name: mark for name, mark in self.checks.items() if not isinstance(mark, bool)}


def score_answer(prompt: Prompt, sentences: Sequence[str], first_ms: float) -> AnswerScore:
    """Judge an answer.

    What must be: ``answered`` (it says something), ``supported`` (each of its figures stands in the
    passages or was said before: apps/llm/grounding), ``covered`` (what the knowledge base covers is
    answered, the rest is not), ``speakable`` (no markup, list or link). What is marked: ``length``
    (no longer than the policy allows), ``substance`` (share of its telling words that the passages
    have), ``speed``.

    Args:
        prompt: What was asked, with the passages that were found.
        sentences: The answer; empty where none came.
        first_ms: How long its first sentence took.
    """
    answer, sources = " ".join(sentences), Sources.of(prompt)
    checks = {
        "answered": bool(words(answer)),
        "supported": not any(check(sentence, sources) for sentence in sentences),
        "covered": _refuses(prompt, answer) == (prompt.grounding is None),
        "speakable": _WRITTEN.search("\n".join(sentences)) is None,
    }
    marks = {
        "length": _length(prompt, len(sentences)),
        "substance": _substance(prompt, answer),
        "speed": _clamped((PATIENCE_MS - first_ms) / (PATIENCE_MS - _QUICK_MS)),
    }
    mean = sum(marks.values()) / len(marks) if checks["answered"] else 0.0
    return AnswerScore(all(checks.values()), mean, {**checks, **marks})


def _sources(prompt: Prompt) -> str:
    said = (text for exchange in prompt.history for text in (exchange.question, exchange.answer))
    facts = (f"{p.question} {p.text}" for p in prompt.passages if p.score >= prompt.covered_score)
    return " ".join((*facts, *said, prompt.question, prompt.dont_know()))


def _refuses(prompt: Prompt, answer: str) -> bool:
    """Tell whether an answer says, in about the words it was given, that it does not know."""
    refusal, said = _telling(prompt.dont_know()), _telling(answer)
    return bool(refusal) and len(refusal & said) >= _REFUSAL_LIKENESS * len(refusal)


def _length(prompt: Prompt, count: int) -> float:
    if prompt.grounding is None:
        return 1.0
    # What asks back, or offers more, is a sentence of its own that the policy wants.
    asks = prompt.slots.inquiry_mode is not InquiryMode.DIRECT
    allowed = max_sentences(prompt.slots) + asks
    return _clamped(allowed / count) if count else 0.0


def _substance(prompt: Prompt, answer: str) -> float:
    said = _telling(answer)
    return len(said & _telling(_sources(prompt))) / len(said) if said else 0.0


def _telling(text: str) -> frozenset[str]:
    return frozenset(word for word in words(text) if len(word) >= _TELLING_LENGTH)


def _clamped(value: float) -> float:
    return max(0.0, min(1.0, value))
