"""Ranks the entries of one profile and language, tolerant of words that were misrecognised.

Five opinions are weighed, because each fails on other questions: the full text (BM25), the
entry's words, its pieces of words and its sounds (cosines), and a classifier that knows what
tells the entries apart. An entry that is asked for the
same kind of fact (a price, papers, a place) as the question is preferred.

The weights were found on benchmarks/recognition/tuning.jsonl; docs/knowledge.md has the figures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from apps.core.focus import Focus, question_focus
from apps.core.words import words
from apps.knowledge.entries import Entry
from apps.knowledge.terms import (
    all_pieces,
    content_pieces,
    lexicon,
    meanings,
    pairs,
    sounds,
    stems,
)
from apps.knowledge.vectors import RidgeClassifier, TfidfMatrix

Scores = NDArray[np.float64]

# BM25, stems, pieces, sounds, classifier.
_WEIGHTS = np.array([0.2, 0.4, 1.0, 0.25, 4.4])
_FOCUS_BONUS = 0.4

# The weighed opinions become a score by a logistic curve, fitted so that 0.5 parts what is covered
# from what is not; docs/knowledge.md has the figures.
_SLOPE = 7.0
# It grows with the phrases that the entries have: thirty each in English, fifteen in German.
_EVEN_CHANCE = {"en": 0.85, "de": 0.65}

_ANSWER_WEIGHT = 0.5  # of an answer's sentence beside a caller's phrase, for the classifier

# The classifier's features by view, and how much a feature of each counts.
_VIEWS = {"m": (meanings, 1.0), "c": (all_pieces, 0.4), "s": (sounds, 0.5), "p": (pairs, 0.3)}


def vector_scores(opinions: Scores) -> Scores:
    """Return what the cosines alone say of each entry, shape (n,).

    Args:
        opinions: What ``EntryRanker.opinions`` returned, shape (5, n).
    """
    return _WEIGHTS[1:4] @ opinions[1:4]


class EntryRanker:
    """Ranks entries for a query.

    Args:
        entries: The entries of one profile in one language.
        language: Their language.
    """

    def __init__(self, entries: Sequence[Entry], language: str) -> None:
        self._entries = entries
        self._language = language
        self._even_chance = _EVEN_CHANCE[language]
        asked = [(entry.question, *entry.variants) for entry in entries]
        texts = [" ".join((*a, e.answer)) for a, e in zip(asked, entries, strict=True)]
        self._stems = TfidfMatrix([stems(text, language) for text in texts])
        self._pieces = TfidfMatrix([content_pieces(text, language) for text in texts])
        self._sounds = TfidfMatrix([sounds(text, language) for text in texts])
        self._classifier = self._learn(asked)
        self._asked_for = [_focus_shares(group, language) for group in asked]

    def _learn(self, asked: Sequence[Sequence[str]]) -> RidgeClassifier:
        """Return a classifier of the entries' phrases and, less heavily, their answers."""
        examples = [
            (text, label, weight)
            for label, (group, entry) in enumerate(zip(asked, self._entries, strict=True))
            for texts, weight in ((group, 1.0), (entry.sentences, _ANSWER_WEIGHT))
            for text in texts
        ]
        return RidgeClassifier(
            [self._features(text) for text, _, _ in examples],
            [label for _, label, _ in examples],
            [weight for _, _, weight in examples],
            weigh=lambda feature: _VIEWS[feature[0]][1],
        )

    def _features(self, text: str) -> list[str]:
        return [
            f"{name}:{feature}"
            for name, (view, _) in _VIEWS.items()
            for feature in view(text, self._language)
        ]

    def opinions(self, query: str, bm25: Scores) -> Scores:
        """Return what each view says of each entry, shape (5, n).

        Args:
            query: The question.
            bm25: The full-text score of each entry, 0 where no word fits; shape (n,).
        """
        return np.stack(
            [
                bm25 / (bm25.max() + 1e-9),
                self._stems.similarity(stems(query, self._language)),
                self._pieces.similarity(content_pieces(query, self._language)),
                self._sounds.similarity(sounds(query, self._language)),
                self._classifier.scores(self._features(query)),
            ]
        )

    def rank(self, query: str, bm25: Scores) -> list[tuple[int, float]]:
        """Return (position, score in [0, 1]) of the entries similar to a query, best first."""
        opinions = self.opinions(query, bm25)
        total = _WEIGHTS @ opinions
        focus = question_focus(query, self._language)
        if focus is not Focus.OTHER:
            total *= 1 + _FOCUS_BONUS * np.array([shares[focus] for shares in self._asked_for])
        order = np.argsort(-total, kind="stable")
        # BM25 and the focus compare entries; how sure it is that any entry fits, they do not say.
        sure = (_WEIGHTS[1:] @ opinions[1:])[order]
        scores = np.minimum.accumulate(1 / (1 + np.exp(-_SLOPE * (sure - self._even_chance))))
        return [
            (int(position), float(score))
            for position, score in zip(order, scores, strict=True)
            if total[position] > 0
        ]

    @cached_property
    def telling_words(self) -> tuple[str, ...]:
        """The words that stand in many questions of few entries, most telling first."""
        stop_words = lexicon(self._language).stop_words
        counts: Counter[str] = Counter()
        spread: Counter[str] = Counter()
        for entry in self._entries:
            found = [w for text in (entry.question, *entry.variants) for w in words(text)]
            counts.update(found)
            spread.update(set(found))
        weight = {
            word: count * float(np.log((1 + len(self._entries)) / spread[word]))
            for word, count in counts.items()
            if word not in stop_words and len(word) > 3
        }
        return tuple(sorted(weight, key=lambda word: (-weight[word], word)))


def _focus_shares(asked: Sequence[str], language: str) -> dict[Focus, float]:
    """Return for each kind of fact the share of an entry's phrases that ask for it."""
    counts = Counter(question_focus(text, language) for text in asked)
    return {focus: counts[focus] / len(asked) for focus in Focus}
