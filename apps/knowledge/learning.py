"""Learns from the entries of one profile and language what ranking them needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from apps.knowledge.calibration import trial
from apps.knowledge.entries import Entry
from apps.knowledge.ridge import RidgeClassifier, RidgeLesson
from apps.knowledge.syllabus import Syllabus, syllabus_of
from apps.knowledge.terms import all_pieces, content_pieces, meanings, pairs, sounds, stems
from apps.knowledge.vectors import Arrays, Floats, TfidfMatrix

# More is smoother. Chosen by the sample's phrases, left out by fifths; from 0.3 to 0.8 the hits
# there differ by half a percent.
_RIDGE = 0.5

# The classifier's features by view, and how much a feature of each counts.
_VIEWS = {"m": (meanings, 1.0), "c": (all_pieces, 0.4), "s": (sounds, 0.5), "p": (pairs, 0.3)}
# What the cosines see of the entries' phrases and sentences.
_OF_ENTRIES = (stems, content_pieces, sounds, meanings)


@dataclass(frozen=True, slots=True)
class Learned:
    """What is known of n entries.

    Attributes:
        stems: The whole entries by the stems of their words, one a row.
        pieces: The same by pieces of words.
        sounds: The same by sounds.
        near_meanings: Each phrase and sentence by the meanings of its words.
        near_pieces: The same by pieces of words.
        known: What the classifier knows: phrases, examples of what no entry covers, sentences.
        classifier: Tells the entries apart; its last class is what no entry covers.
        even_chance: How sure one must be that an entry covers a question.
    """

    stems: TfidfMatrix
    pieces: TfidfMatrix
    sounds: TfidfMatrix
    near_meanings: TfidfMatrix
    near_pieces: TfidfMatrix
    known: TfidfMatrix
    classifier: RidgeClassifier
    even_chance: float

    def to_arrays(self) -> Arrays:
        """Return what ``from_arrays`` makes an equal one of."""
        matrices = {name: getattr(self, name) for name in _MATRICES}
        matrices["known"] = self.known
        arrays = {
            f"{name}.{part}": array
            for name, matrix in matrices.items()
            for part, array in matrix.to_arrays().items()
        }
        even = np.array(self.even_chance)
        return arrays | {"dual": self.classifier.dual, "even_chance": even}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Learned:
        """Return the one that ``to_arrays`` was asked of.

        Raises:
            KeyError: An array is missing.
        """

        def parts(name: str) -> Arrays:
            return {part: arrays[f"{name}.{part}"] for part in TfidfMatrix.PARTS}

        matrices = {name: TfidfMatrix.from_arrays(parts(name)) for name in _MATRICES}
        known = TfidfMatrix.from_arrays(parts("known"), _weigh)
        return cls(
            **matrices,
            known=known,
            classifier=RidgeClassifier(arrays["dual"]),
            even_chance=float(arrays["even_chance"]),
        )

    def lesson(self, syllabus: Syllabus) -> RidgeLesson:
        """Return what the classifier learned, to be tried on what is left out of it."""
        return _lesson(self.known, syllabus)

    def looks_like(self, text: str, language: str) -> Floats:
        """Return how much a text looks like each entry, and last like what no entry covers."""
        return self.classifier.scores(self.known.similarity(features(text, language)))


_MATRICES = ("stems", "pieces", "sounds", "near_meanings", "near_pieces")


def learn(
    entries: Sequence[Entry],
    language: str,
    chance: float | None = None,
    not_answered: Sequence[str] = (),
) -> Learned:
    """Learn from entries of one profile and language.

    Args:
        entries: The entries.
        language: Their language.
        chance: The even chance, where it is known already; found by cross-validation when None.
        not_answered: Questions that none of them answers.
    """
    told = phrases(entries)
    # Text by text, so that its words are found once for all views.
    seen = [[view(text, language) for view in _OF_ENTRIES] for text, _ in told]
    by_stems, by_pieces, by_sounds, by_meanings = zip(*seen, strict=True)
    owners = [owner for _, owner in told]
    syllabus = syllabus_of(entries, language, not_answered)
    known = TfidfMatrix.of([features(text, language) for text in syllabus.texts], _weigh)
    lesson = _lesson(known, syllabus)
    return Learned(
        stems=TfidfMatrix.of(_joined(by_stems, owners)),
        pieces=TfidfMatrix.of(_joined(by_pieces, owners)),
        sounds=TfidfMatrix.of(_joined(by_sounds, owners)),
        near_meanings=TfidfMatrix.of(by_meanings),
        near_pieces=TfidfMatrix.of(by_pieces),
        known=known,
        classifier=lesson.learn(),
        even_chance=trial(lesson, syllabus).even_chance() if chance is None else chance,
    )


def _lesson(known: TfidfMatrix, syllabus: Syllabus) -> RidgeLesson:
    classes = syllabus.none + 1
    return RidgeLesson(known.products(), syllabus.labels, classes=classes, ridge=_RIDGE)


def _joined(found: Sequence[Sequence[str]], owners: Sequence[int]) -> list[list[str]]:
    """Return the features of each entry's phrases and sentences together."""
    joined: list[list[str]] = [[] for _ in range(max(owners) + 1)]
    for phrase, owner in zip(found, owners, strict=True):
        joined[owner] += phrase
    return joined


def phrases(entries: Sequence[Entry]) -> list[tuple[str, int]]:
    """Return each phrase and sentence of the entries, with its entry's position."""
    return [
        (text, position)
        for position, entry in enumerate(entries)
        for text in (entry.question, *entry.variants, *entry.sentences)
    ]


def features(text: str, language: str) -> list[str]:
    """Return what the classifier sees of a text."""
    return [
        f"{name}:{feature}"
        for name, (view, _) in _VIEWS.items()
        for feature in view(text, language)
    ]


def _weigh(feature: str) -> float:
    return _VIEWS[feature[0]][1]
