"""Ranks the entries of one profile and language, tolerant of words that were misrecognised.

Seven opinions are weighed, because each fails on other questions: the full text (BM25), the
entry's words, its pieces of words and its sounds (cosines), a classifier that knows what tells the
entries apart, and the entry's one phrase or sentence that is nearest, by meanings and by pieces. An
entry that is asked for the same kind of fact (a price, papers, a place) as the question is
preferred.

Whether any entry fits is a question of its own: the classifier also knows examples of what is asked
elsewhere, and so how much a question looks like something that any entry covers. Words of foreign
subjects speak against it, for a known frame ("is ... open on Sunday") outweighs an unknown subject.

The weights were found on the tuning sets of benchmarks/knowledge and benchmarks/recognition and
checked on the knowledge base's own phrases, a fifth of them left out at a time: none of them halved
or doubled changes the hits there by half a percent. docs/knowledge.md has the figures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from apps.core.focus import Focus, question_focus
from apps.core.words import words
from apps.knowledge.calibration import any_entry
from apps.knowledge.entries import Entry
from apps.knowledge.foreign import ForeignSubjects
from apps.knowledge.learning import Learned, learn, phrases
from apps.knowledge.senses import Sense
from apps.knowledge.terms import content_pieces, lexicon, meanings, sounds, stems
from apps.knowledge.vectors import Floats

Scores = NDArray[np.float64]

# BM25, stems, pieces, sounds, classifier, nearest phrase by meanings and by pieces.
_WEIGHTS = np.array([0.2, 0.5, 2.0, 0.4, 4.4, 0.3, 0.7])
# What a model of meanings says, where there is one. Chosen by the tuning half of the benchmark and
# by the sample's English phrases: from 4 to 8 the hits there differ by two percent.
_SENSE = 6.0
_FOCUS_BONUS = 0.4

# What the classifier says becomes a score by a logistic curve. Its slope was fitted by logistic
# regression to the sample's phrases and to what is asked elsewhere, both left out by fifths (7.3
# in English, 7.4 in German); where it passes 0.5, each knowledge base finds for itself.
_SLOPE = 7.4
# The same where a model of meanings says as much as the words do; fitted to the English sample.
_SLOPE_WITH_SENSE = 4.0
# How much less sure a question is that names nothing but foreign subjects. The most with which the
# sample refuses no more than 3.1 % of its phrases, left out by fifths; from 0.6 to 1.2 it is 2.9 to
# 3.3 %, and the tuning questions' refusals differ by one.
_FOREIGN = 0.8


@dataclass(frozen=True, slots=True)
class Opinions:
    """What is thought of n entries for one question.

    Attributes:
        of_entries: What each view says of each entry, shape (7, n).
        looks_like: What the classifier says of each entry, and last of what no entry covers, shape
            (n + 1,).
    """

    of_entries: Scores
    looks_like: Floats

    @property
    def cosines(self) -> Scores:
        """What the cosines alone say of each entry, shape (n,)."""
        chosen = [1, 2, 3, 5, 6]
        return _WEIGHTS[chosen] @ self.of_entries[chosen]


class EntryRanker:
    """Ranks entries for a query.

    Args:
        entries: The entries of one profile in one language.
        language: Their language.
        learned: What was learned from them, where it is known already.

    Attributes:
        sense: What a model of meanings knows of them; None ranks by the words alone.
    """

    def __init__(
        self, entries: Sequence[Entry], language: str, learned: Learned | None = None
    ) -> None:
        self._entries = entries
        self._language = language
        self._learned = learned if learned is not None else learn(entries, language)
        owners = [owner for _, owner in phrases(entries)]
        self._begins = np.searchsorted(owners, np.arange(len(entries)))
        self._asked_for = [
            _focus_shares((entry.question, *entry.variants), language) for entry in entries
        ]
        own = (text for entry in entries for text in (entry.question, *entry.sentences))
        asked = (text for entry in entries for text in entry.variants)
        self._foreign = ForeignSubjects(own, language, asked=asked)
        self.sense: Sense | None = None

    @property
    def learned(self) -> Learned:
        """What was learned from the entries."""
        return self._learned

    def opinions(self, query: str, bm25: Scores) -> Opinions:
        """Return what is thought of the entries for a question.

        Args:
            query: The question.
            bm25: The full-text score of each entry, 0 where no word fits; shape (n,).
        """
        known, language = self._learned, self._language
        looks_like = known.looks_like(query, language)
        pieces = content_pieces(query, language)
        of_entries = np.stack(
            [
                bm25 / (bm25.max() + 1e-9),
                known.stems.similarity(stems(query, language)),
                known.pieces.similarity(pieces),
                known.sounds.similarity(sounds(query, language)),
                looks_like[:-1],
                self._nearest(known.near_meanings.similarity(meanings(query, language))),
                self._nearest(known.near_pieces.similarity(pieces)),
            ]
        )
        return Opinions(of_entries, looks_like)

    def _nearest(self, cosines: Floats) -> Scores:
        """Return the cosine of each entry's nearest phrase or sentence, shape (n,)."""
        return np.maximum.reduceat(cosines, self._begins).astype(np.float64)

    def rank(
        self, query: str, bm25: Scores, vector: Floats | None = None
    ) -> list[tuple[int, float]]:
        """Return (position, score in [0, 1]) of the entries similar to a query, best first.

        Args:
            query: The question.
            bm25: The full-text score of each entry, 0 where no word fits; shape (n,).
            vector: The question's by the model of ``sense``; None, or where there is no sense,
                leaves it to the words.
        """
        opinions = self.opinions(query, bm25)
        looks_like, slope = opinions.looks_like, _SLOPE
        even_chance = self._learned.even_chance
        total = _WEIGHTS @ opinions.of_entries
        if self.sense is not None and vector is not None:
            by_model = self.sense.looks_like(vector)
            looks_like, slope = looks_like + by_model, _SLOPE_WITH_SENSE
            even_chance = self.sense.even_chance
            total += _SENSE * by_model[:-1]
        focus = question_focus(query, self._language)
        if focus is not Focus.OTHER:
            total *= 1 + _FOCUS_BONUS * np.array([shares[focus] for shares in self._asked_for])
        order = np.argsort(-total, kind="stable")
        # The other opinions compare entries; how sure it is that any entry fits, they do not say.
        sure = any_entry(looks_like) + looks_like[order]
        above = sure - _FOREIGN * self._foreign.share(query) - even_chance
        scores = np.minimum.accumulate(1 / (1 + np.exp(-slope * above)))
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
