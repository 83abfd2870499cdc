"""What callers ask that others answer: examples to tell a knowledge base's own questions from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import yaml

from apps.knowledge.terms import stems

# Each thing is asked about in so many frames, taken in turn.
_FRAMES_PER_THING = 3


@cache
def _examples(language: str) -> tuple[tuple[str, frozenset[str]], ...]:
    """Return each example and the stems of what it is about, read once."""
    path = Path(__file__).with_name("lexicon") / f"elsewhere.{language}.yaml"
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    frames = data["frames"]
    step = len(frames) // _FRAMES_PER_THING
    asked = [
        (frames[(number + turn * step) % len(frames)].format(thing), thing)
        for number, thing in enumerate(data["things"])
        for turn in range(_FRAMES_PER_THING)
    ]
    asked += [(saying, saying) for saying in data["sayings"]]
    return tuple((text, frozenset(stems(about, language))) for text, about in asked)


def asked_elsewhere(own: Iterable[str], language: str) -> Iterator[str]:
    """Yield questions that others answer, without those that a knowledge base covers itself.

    Args:
        own: The canonical questions of the knowledge base. An example whose subject's words all
            stand in one of them is left out: an office with an entry on passports covers them.
        language: ``de`` or ``en``.
    """
    phrases = [frozenset(stems(text, language)) for text in own]
    for text, about in _examples(language):
        if about and not any(about <= phrase for phrase in phrases):
            yield text
