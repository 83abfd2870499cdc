"""Office-like German and English, generated: as many documents as wanted, the same each time.

Words come from the sample knowledge base, and from new ones made of those (compounds in German,
derivations in English), until there are as many as a real collection has. How often each stands
follows Zipf and Mandelbrot's law; a document returns to words of its own subject, as real ones do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np

from apps.core.words import words
from apps.knowledge.entries import load_entries
from apps.knowledge.index.base import Chunk, Document

KNOWLEDGE = Path(__file__).resolve().parents[2] / "docs" / "knowledge"
SPACES = ("registration", "tax", "permits", "household")
LANGUAGES = ("de", "en")
PASSAGES_EACH = 10
"""Passages of a document."""

_VOCABULARY = 60_000
_EXPONENT, _SHIFT = 1.05, 2.7  # Mandelbrot (1953); English prose has about these
_SUBJECT_WORDS, _SUBJECT_SHARE = 40, 0.25
_COMMONEST = 150  # words that belong to no subject
_ENDINGS = ("s", "ed", "ing", "er", "less", "able", "ness", "ment", "wise", "ship")
_BEGINNINGS = ("re", "un", "pre", "over", "sub", "inter", "non", "co", "under", "out")


@dataclass(frozen=True)
class Language:
    """A language's words, the commonest first, and how likely one up to each is drawn."""

    name: str
    words: tuple[str, ...]
    upto: np.ndarray[tuple[int], np.dtype[np.float64]] = field(repr=False)

    @classmethod
    def of(cls, name: str, seed: int) -> Language:
        """Return a language's words as they are drawn from."""
        rng = np.random.default_rng([seed, LANGUAGES.index(name)])
        texts = (f"{e.question} {e.answer}" for e in load_entries(KNOWLEDGE) if e.language == name)
        counts = Counter(word for text in texts for word in words(text) if word.isalpha())
        known = [word for word, _ in counts.most_common()]
        found = dict.fromkeys(known)
        while len(found) < _VOCABULARY:
            found[_new_word(name, known, rng)] = None
        shares = (np.arange(len(found)) + _SHIFT) ** -_EXPONENT
        return cls(name, tuple(found), np.cumsum(shares / shares.sum()))


def documents(passages: int, seed: int = 20261122) -> Iterator[tuple[Document, list[Chunk]]]:
    """Yield documents until they have so many passages, the languages and spaces in turn."""
    spoken = [Language.of(name, seed) for name in LANGUAGES]
    for number in range(passages // PASSAGES_EACH):
        language = spoken[number % len(spoken)]
        space = SPACES[number // len(spoken) % len(SPACES)]
        rng = np.random.default_rng([seed, 7, number])
        yield _document(number, space, language, rng)


def questions(
    found: Sequence[tuple[Document, list[Chunk]]], count: int, seed: int
) -> list[tuple[str, Document]]:
    """Return questions, each of some neighbouring words of one passage, common ones and rare."""
    rng = np.random.default_rng([seed, 11])
    asked = []
    for _ in range(count):
        document, chunks = found[int(rng.integers(len(found)))]
        stated = words(chunks[int(rng.integers(len(chunks)))].text)
        start = int(rng.integers(max(1, len(stated) - 8)))
        asked.append((" ".join(stated[start : start + int(rng.integers(5, 9))]), document))
    return asked


def _document(
    number: int, space: str, language: Language, rng: np.random.Generator
) -> tuple[Document, list[Chunk]]:
    subject = _COMMONEST + rng.choice(len(language.words) - _COMMONEST, _SUBJECT_WORDS)
    title = " ".join(language.words[i].capitalize() for i in subject[:3])
    chunks = [
        Chunk(position, _passage(language, subject, rng), (title,), position + 1, language.name)
        for position in range(PASSAGES_EACH)
    ]
    identity = f"{space}/{language.name}/{number:06}.md"
    document = Document(
        id=identity, space=space, title=title, source=identity, media_type="text/markdown",
        language=language.name, sha256=f"{number:064x}", size=4000, mtime_ns=number, quality=0.9,
    )  # fmt: skip
    return document, chunks


def _passage(
    language: Language, subject: np.ndarray[tuple[int], np.dtype[np.int64]],
    rng: np.random.Generator,
) -> str:  # fmt: skip
    length = int(rng.integers(35, 90))
    drawn = np.searchsorted(language.upto[:-1], rng.random(length))
    own = rng.random(length) < _SUBJECT_SHARE
    drawn[own] = rng.choice(subject, int(own.sum()))
    found = [language.words[i] for i in drawn]
    cuts = [*range(0, length, 11), length]
    sentences = [" ".join(found[a:b]).capitalize() + "." for a, b in pairwise(cuts)]
    return " ".join(sentences)


def _new_word(name: str, known: Sequence[str], rng: np.random.Generator) -> str:
    long = [word for word in known if len(word) > 4] if len(known) < 10 else known
    first, second = (long[int(i)] for i in rng.integers(50, len(long), 2))
    if name == "de":
        return first + ("s" if rng.random() < 0.3 else "") + second
    if rng.random() < 0.5:
        return (
            first + _ENDINGS[int(rng.integers(len(_ENDINGS)))] + ("" if rng.random() < 0.5 else "s")
        )
    return _BEGINNINGS[int(rng.integers(len(_BEGINNINGS)))] + first + second[:3]
