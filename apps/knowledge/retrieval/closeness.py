"""How close a passage is to a question: the features of the second stage. Pure.

Everything is counted in words' meanings (stems, one word standing for its synonyms), so nothing
here needs weights of a model or a statistic of the whole collection. A word that the passage lacks
may still be heard in it (a misrecognised word shares its sound), or be part of a compound there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from math import log

import numpy as np
from numpy.typing import NDArray

from apps.core.focus import Focus, question_focus, tells
from apps.core.sentences import split_sentences
from apps.knowledge.terms import content_words, lexicon, sound_key, sound_keys, stem

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
    """One content word of a question.

    Attributes:
        meaning: What it means.
        sound: How it sounds.
        parts: What it may be a compound of: pieces of its meaning, none where it is short.
    """

    meaning: str
    sound: str
    parts: frozenset[str]


@dataclass(frozen=True)
class Terms:
    """The content words of a text, and what they are looked up by, made when it is needed.

    Attributes:
        order: What the words mean, in order.
        written: The words themselves.
        language: ``de`` or ``en``.
    """

    order: tuple[str, ...]
    written: tuple[str, ...]
    language: str

    @cached_property
    def meanings(self) -> frozenset[str]:
        """What the words mean."""
        return frozenset(self.order)

    @cached_property
    def sounds(self) -> frozenset[str]:
        """How the words sound."""
        return sound_keys(self.written, self.language)

    @cached_property
    def joined(self) -> str:
        """What the words mean, as one text."""
        return f" {' '.join(self.order)} "

    def match(self, term: Term) -> float:
        """Return how surely a question's word stands in the text, in [0, 1]."""
        if term.meaning in self.meanings:
            return 1.0
        least = _SHORTEST_PART[self.language]
        if len(term.meaning) >= least and term.meaning in self.joined:
            return _PART_OF_COMPOUND
        if len(term.sound) >= _SHORTEST_SOUND and term.sound in self.sounds:
            return _SOUNDS_ALIKE
        if not self.meanings.isdisjoint(term.parts):
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


def standing(question: Asked, passages: Sequence[PassageTerms]) -> NDArray[np.float64]:
    """Return how surely each word of a question stands in each passage, or above it.

    Returns:
        In [0, 1], shape (passages, terms).
    """
    rows = [[passage.whole.match(term) for term in question.terms] for passage in passages]
    return np.array(rows).reshape(len(passages), len(question.terms))


def weights(stands: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how much each word of a question counts, from 1 to 2; shape (terms,).

    A word that few of the passages have tells more than one that all have. They are only what the
    first stage found, in which the question's words are common, so it counts twice at most.

    Args:
        stands: What ``standing`` says of the question and at least one passage.
    """
    passages = len(stands)
    having = (stands > 0).sum(axis=0)
    weight: NDArray[np.float64] = 1 + np.log((1 + passages) / (1 + having)) / log(1 + passages)
    return weight


def closeness(
    question: Asked,
    passage: PassageTerms,
    stands: NDArray[np.float64],
    weight: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the features of a question and a passage, shape (8,); all 0 without a content word.

    Args:
        question: What is asked.
        passage: Where.
        stands: The passage's row of ``standing``, shape (terms,).
        weight: How much each of the question's words counts, shape (terms,).
    """
    if not question.terms:
        return np.zeros(len(FEATURES))
    # What stands nowhere in the passage is not looked for sentence by sentence.
    known = [(n, term) for n, term in enumerate(question.terms) if stands[n] > 0]
    above = _matches(known, passage.headings, len(stands))
    inside = np.stack([_matches(known, text, len(stands)) for text in passage.sentences])
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


def _matches(known: Sequence[tuple[int, Term]], terms: Terms, size: int) -> NDArray[np.float64]:
    matched = np.zeros(size)
    for n, term in known:
        matched[n] = terms.match(term)
    return matched


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
    return float(any(tells(text, question.focus, question.language) for text in said))


@lru_cache(maxsize=50_000)
def _meaning(word: str, language: str) -> str:
    return stem(lexicon(language).canonical.get(word, word), language)


def _term(word: str, language: str) -> Term:
    meaning, least = _meaning(word, language), _SHORTEST_PART[language]
    long = len(meaning) >= 2 * least
    starts = range(len(meaning) - least + 1 if long else 0)
    parts = {meaning[at:end] for at in starts for end in range(at + least, len(meaning) + 1)}
    return Term(meaning, sound_key(word, language), frozenset(parts))


def _terms(text: str, language: str) -> Terms:
    written = tuple(content_words(text, language))
    return Terms(tuple(_meaning(word, language) for word in written), written, language)


def _joined(parts: Sequence[Terms]) -> Terms:
    order = tuple(word for part in parts for word in part.order)
    written = tuple(word for part in parts for word in part.written)
    return Terms(order, written, parts[0].language)
