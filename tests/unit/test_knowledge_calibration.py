"""A knowledge base finds its own threshold, from phrases that it did not learn from."""

from __future__ import annotations

import numpy as np
import pytest

from apps.knowledge.calibration import Trial, trial
from apps.knowledge.ridge import RidgeLesson
from apps.knowledge.syllabus import Syllabus
from apps.knowledge.vectors import TfidfMatrix

COVERED = [["plate", f"a{i}"] for i in range(20)] + [["bus", f"b{i}"] for i in range(20)]
BOTH = [0] * 20 + [1] * 20
OTHERS = [["moon", f"c{i}", f"d{i}"] for i in range(20)]


Taught = tuple[TfidfMatrix, RidgeLesson, Syllabus]


def taught(covered: list[list[str]], labels: list[int]) -> Taught:
    """Return who learns phrases of two entries, and pairs of questions that others answer."""
    phrases = [*covered, *OTHERS]
    classes = (*labels, *[2] * len(OTHERS))
    matrix = TfidfMatrix.of(phrases)
    groups = tuple((1, label) for label in labels) + ((2, 2),) * (len(OTHERS) // 2)
    syllabus = Syllabus(tuple(map(" ".join, phrases)), classes, groups, none=2)
    return matrix, RidgeLesson(matrix.products(), classes, classes=3, ridge=1.0), syllabus


def chance(covered: list[list[str]], labels: list[int]) -> float:
    _, lesson, syllabus = taught(covered, labels)
    return trial(lesson, syllabus).even_chance()


def test_who_left_a_phrase_out_knows_it_less_well_but_by_what_it_shares() -> None:
    matrix, lesson, _ = taught(COVERED, BOTH)
    rows = np.array([3, 25, 45])
    shown = [*COVERED, *OTHERS]
    said, known = lesson.left_out(rows), lesson.learn()
    assert said.argmax(axis=1).tolist() == [0, 1, 2]
    for row, scores in zip(rows, said, strict=True):
        assert known.scores(matrix.similarity(shown[row])).max() > scores.max()


def test_the_even_chance_parts_left_out_phrases_from_left_out_subjects() -> None:
    matrix, lesson, syllabus = taught(COVERED, BOTH)
    found, classifier = trial(lesson, syllabus).even_chance(), lesson.learn()

    def sure(features: list[str]) -> float:
        *entries, elsewhere = classifier.scores(matrix.similarity(features))
        return float(sum(entries) - elsewhere + max(entries))

    assert sure(["plate"]) > found
    assert sure(["moon"]) < found


def test_two_who_judge_together_are_as_right_as_the_better_one() -> None:
    _, lesson, syllabus = taught(COVERED, BOTH)
    one = trial(lesson, syllabus)
    assert (one + one).hits() == one.hits() == 1.0
    assert (one + one).even_chance() == pytest.approx(2 * one.even_chance())
    wrong = Trial(-one.scores, one.labels)
    assert (one + one + wrong).hits() == 1.0
    assert wrong.hits() == 0.0


def test_a_base_with_fewer_phrases_has_a_lower_threshold() -> None:
    few = chance([*COVERED[:4], *COVERED[20:24]], [0] * 4 + [1] * 4)
    assert few < chance(COVERED, BOTH)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_the_smallest_bases_have_a_threshold_too(size: int) -> None:
    assert np.isfinite(chance(COVERED[:size], [0] * size))
