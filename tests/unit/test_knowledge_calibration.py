"""A knowledge base finds its own threshold, from phrases that it did not learn from."""

from __future__ import annotations

import numpy as np
import pytest

from apps.knowledge.calibration import even_chance
from apps.knowledge.ridge import RidgeLesson

COVERED = [["plate", f"a{i}"] for i in range(20)] + [["bus", f"b{i}"] for i in range(20)]
OTHERS = [["moon", f"c{i}", f"d{i}"] for i in range(20)]


def lesson(covered: list[list[str]], labels: list[int], others: list[list[str]]) -> RidgeLesson:
    return RidgeLesson(
        [*covered, *others],
        [*labels, *[2] * len(others)],
        weigh=lambda _: 1.0,
        classes=3,
        ridge=1.0,
    )


def test_who_left_a_phrase_out_knows_it_less_well_but_by_what_it_shares() -> None:
    labels = [0] * 20 + [1] * 20
    every = lesson(COVERED, labels, OTHERS)
    rows = np.array([3, 25, 45])
    shown = [*COVERED, *OTHERS]
    said, known = every.left_out(rows), every.learn()
    assert said.argmax(axis=1).tolist() == [0, 1, 2]
    for row, scores in zip(rows, said, strict=True):
        assert known.scores(shown[row]).max() > scores.max()


def test_the_even_chance_parts_left_out_phrases_from_left_out_subjects() -> None:
    labels = [0] * 20 + [1] * 20
    every = lesson(COVERED, labels, OTHERS)
    groups = [(1, label) for label in labels] + [(2, 2)] * 10
    chance = even_chance(every, groups, none=2)
    classifier = every.learn()

    def sure(features: list[str]) -> float:
        *entries, elsewhere = classifier.scores(features)
        return float(sum(entries) - elsewhere + max(entries))

    assert sure(["plate"]) > chance
    assert sure(["moon"]) < chance


def test_a_base_with_fewer_phrases_has_a_lower_threshold() -> None:
    labels = [0] * 20 + [1] * 20
    many = even_chance(
        lesson(COVERED, labels, OTHERS), [(1, label) for label in labels] + [(2, 2)] * 10, none=2
    )
    few_labels = [0] * 4 + [1] * 4
    few = even_chance(
        lesson([*COVERED[:4], *COVERED[20:24]], few_labels, OTHERS),
        [(1, label) for label in few_labels] + [(2, 2)] * 10,
        none=2,
    )
    assert few < many


@pytest.mark.parametrize("size", [1, 2, 3])
def test_the_smallest_bases_have_a_threshold_too(size: int) -> None:
    labels = [0] * size
    chance = even_chance(
        lesson(COVERED[:size], labels, OTHERS), [(1, 0)] * size + [(2, 2)] * 10, none=2
    )
    assert np.isfinite(chance)
