"""What callers ask that others answer: examples to tell a knowledge base's own questions from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from itertools import chain
from pathlib import Path

import yaml

from apps.knowledge.terms import stems

# Each thing is asked about in so many frames, taken in turn.
_FRAMES_PER_THING = 3


@cache
def _subjects(language: str) -> tuple[tuple[frozenset[str], tuple[str, ...]], ...]:
    """Return the stems of each subject and the examples that ask about it, read once."""
    path = Path(__file__).with_name("lexicon") / f"elsewhere.{language}.yaml"
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    frames = data["frames"]
    step = len(frames) // _FRAMES_PER_THING
    asked = [
        (
            thing,
            tuple(
                frames[(number + turn * step) % len(frames)].format(thing)
                for turn in range(_FRAMES_PER_THING)
            ),
        )
        for number, thing in enumerate(data["things"])
    ]
    asked += [(saying, (saying,)) for saying in data["sayings"]]
    return tuple((frozenset(stems(about, language)), examples) for about, examples in asked)


def subjects_elsewhere(own: Iterable[str], language: str) -> Iterator[tuple[str, ...]]:
    """Yield what others are asked, by subject, without what a knowledge base covers itself.

    Args:
        own: The canonical questions of the knowledge base. A subject whose words all stand in one
            of them is left out: an office with an entry on passports covers them.
        language: ``de`` or ``en``.

    Yields:
        The questions about one subject.
    """
    phrases = [frozenset(stems(text, language)) for text in own]
    for about, examples in _subjects(language):
        if about and not any(about <= phrase for phrase in phrases):
            yield examples


def asked_elsewhere(own: Iterable[str], language: str) -> Iterator[str]:
    """Yield the questions of ``subjects_elsewhere`` one by one."""
    return chain.from_iterable(subjects_elsewhere(own, language))
