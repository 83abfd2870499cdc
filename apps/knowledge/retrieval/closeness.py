"""How close a passage is to a question: the features of the second stage. Pure.

Everything is counted in words' meanings (stems, one word standing for its synonyms), so nothing
here needs weights of a model or a statistic of the whole collection. A word that the passage lacks
may still be heard in it (a misrecognised word shares its sound), or be part of a compound there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from math import log

import numpy as np
from numpy.typing import NDArray

from apps.core.focus import Focus, question_focus, told_by
from apps.core.sentences import split_sentences
from apps.knowledge.terms import content_words, lexicon, sound_key, stem

FEATURES = (
    "words",
    "window",
    "sentence",
    "headings",
    "headings_asked",
    "near",
    "told",
    "rarest",
)
"""What each feature says, in [0, 1]; ``Closeness`` has them in this order.

words: The share of the question's words, by weight, that stand in the passage or above it.
window: The same in its best two neighbouring sentences, with the headings.
sentence: The same in its best sentence alone.
headings: The same in the headings and the title.
headings_asked: The share of the last heading's words that the question has.
near: The share of the question's neighbouring words that stand near each other in one sentence.
told: 1 where the best two sentences tell the kind of fact that is asked for, 0 where they do not,
    one half where the question does not say what it is after.
rarest: Whether the question's weightiest word is there, from 0 to 1.
"""


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ASKING = {
    "en": _names(
        "what when where who which why how much many long often soon early late old time does do"
        " can could may need want get have there please tell know"
    ),
    "de": _names(
        "was wann wo woher wohin wer wen welche welcher welches warum wie viel viele lange oft hoch"
        " kann darf muss soll brauche moechte gibt es bitte wissen sagen hat haben"
    ),
}
"""Words that ask and say nothing of what about; what they ask for is the question's focus."""
_SOUNDS_ALIKE = 0.6
_PART_OF_COMPOUND = 0.7
_COMPOUND_OF_PART = 0.5
_SHORTEST_SOUND = 3
_SHORTEST_PART = {"de": 4, "en": 5}
_NEAR = 3
_CACHED_TEXTS = 4096


@dataclass(frozen=True, slots=True)
class Term:
    """One content word: what it means, and how it sounds."""

    meaning: str
    sound: str


@dataclass(frozen=True, slots=True)
class Terms:
    """The content words of a text, in order, and what they are looked up by."""

    order: tuple[str, ...]
    meanings: frozenset[str]
    sounds: frozenset[str]
    joined: str

    def match(self, term: Term, language: str) -> float:
        """Return how surely a question's word stands in the text, in [0, 1]."""
        if term.meaning in self.meanings:
            return 1.0
        least = _SHORTEST_PART[language]
        if len(term.meaning) >= least and term.meaning in self.joined:
            return _PART_OF_COMPOUND
        if len(term.sound) >= _SHORTEST_SOUND and term.sound in self.sounds:
            return _SOUNDS_ALIKE
        if len(term.meaning) >= 2 * least and any(
            len(known) >= least and known in term.meaning for known in self.meanings
        ):
            return _COMPOUND_OF_PART
        return 0.0


@dataclass(frozen=True, slots=True)
class PassageTerms:
    """A passage as it is compared with a question."""

    sentences: tuple[Terms, ...]
    whole: Terms
    headings: Terms
    last_heading: Terms
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as passages are compared with it.

    Attributes:
        terms: Its content words without repetitions.
        pairs: Its neighbouring content words, by meaning.
        focus: The kind of fact that it asks for.
        language: ``de`` or ``en``.
    """

    terms: tuple[Term, ...]
    pairs: tuple[tuple[str, str], ...]
    focus: Focus
    language: str


def asked(question: str, language: str) -> Asked:
    """Return a question as passages are compared with it."""
    content = content_words(question, language)
    order = [_term(word, language) for word in content if word not in _ASKING[language]]
    terms = tuple({term.meaning: term for term in order}.values())
    pairs = tuple(pairwise(term.meaning for term in order))
    return Asked(terms, pairs, question_focus(question, language), language)


@lru_cache(maxsize=_CACHED_TEXTS)
def passage_terms(text: str, headings: tuple[str, ...], title: str, language: str) -> PassageTerms:
    """Return a passage as it is compared with a question; kept, for passages are found again."""
    sentences = tuple(split_sentences(text)) or (text,)
    by_sentence = tuple(_terms(sentence, language) for sentence in sentences)
    above = _terms(" . ".join((title, *headings)), language)
    return PassageTerms(
        sentences=by_sentence,
        whole=_joined((*by_sentence, above)),
        headings=above,
        last_heading=_terms(headings[-1] if headings else title, language),
        texts=sentences,
    )


def weights(question: Asked, passages: Sequence[PassageTerms]) -> NDArray[np.float64]:
    """Return how much each word of a question counts, from 1 to 2; shape (terms,).

    A word that few of the passages have tells more than one that all have. They are only what the
    first stage found, in which the question's words are common, so it counts twice at most.
    """
    counts = Counter(
        term.meaning
        for passage in passages
        for term in question.terms
        if passage.whole.match(term, question.language) > 0
    )
    most = log(1 + len(passages)) or 1.0
    return np.array(
        [
            1 + log((1 + len(passages)) / (1 + counts[term.meaning])) / most
            for term in question.terms
        ]
    )


def closeness(
    question: Asked, passage: PassageTerms, weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the features of a question and a passage, shape (8,); all 0 without a content word."""
    if not question.terms:
        return np.zeros(len(FEATURES))
    above = _matches(question, passage.headings)
    inside = np.stack([_matches(question, sentence) for sentence in passage.sentences])
    windows = [
        np.maximum(np.maximum(inside[i], inside[min(i + 1, len(inside) - 1)]), above)
        for i in range(len(inside))
    ]
    of_windows = [_share(window, weight) for window in windows]
    best = int(np.argmax(of_windows))
    whole = np.maximum(inside.max(axis=0), above)
    return np.array(
        [
            _share(whole, weight),
            of_windows[best],
            max(_share(row, weight) for row in inside),
            _share(above, weight),
            _heading_asked(question, passage.last_heading),
            _near(question, passage),
            _told(question, passage, best),
            float(whole[int(np.argmax(weight))]),
        ]
    )


def alike(a: PassageTerms, b: PassageTerms) -> float:
    """Return the Jaccard similarity of two passages' words, in [0, 1]."""
    union = len(a.whole.meanings | b.whole.meanings)
    return len(a.whole.meanings & b.whole.meanings) / union if union else 1.0


def _matches(question: Asked, terms: Terms) -> NDArray[np.float64]:
    return np.array([terms.match(term, question.language) for term in question.terms])


def _share(matched: NDArray[np.float64], weight: NDArray[np.float64]) -> float:
    return float(matched @ weight / weight.sum())


def _heading_asked(question: Asked, heading: Terms) -> float:
    known = {term.meaning for term in question.terms}
    return len(heading.meanings & known) / len(heading.meanings) if heading.meanings else 0.0


def _near(question: Asked, passage: PassageTerms) -> float:
    """Return the share of the question's neighbours that are at most some words apart."""
    if not question.pairs:
        return 0.0
    found = sum(
        any(_within_reach(pair, sentence.order) for sentence in passage.sentences)
        for pair in question.pairs
    )
    return found / len(question.pairs)


def _within_reach(pair: tuple[str, str], order: Sequence[str]) -> bool:
    if pair[0] not in order or pair[1] not in order:
        return False
    first = [place for place, word in enumerate(order) if word == pair[0]]
    second = [place for place, word in enumerate(order) if word == pair[1]]
    return any(abs(a - b) <= _NEAR for a in first for b in second)


def _told(question: Asked, passage: PassageTerms, best: int) -> float:
    if question.focus is Focus.OTHER:
        return 0.5
    said = passage.texts[best : best + 2]
    return float(any(question.focus in told_by(text, question.language) for text in said))


@lru_cache(maxsize=50_000)
def _term(word: str, language: str) -> Term:
    return Term(
        stem(lexicon(language).canonical.get(word, word), language), sound_key(word, language)
    )


def _terms(text: str, language: str) -> Terms:
    found = [_term(word, language) for word in content_words(text, language)]
    order = tuple(term.meaning for term in found)
    return Terms(
        order, frozenset(order), frozenset(term.sound for term in found), f" {' '.join(order)} "
    )


def _joined(parts: Sequence[Terms]) -> Terms:
    order = tuple(word for part in parts for word in part.order)
    sounds = frozenset(sound for part in parts for sound in part.sounds)
    return Terms(order, frozenset(order), sounds, f" {' '.join(order)} ")
