"""Fits the second stage's score: a logistic regression whose weights are not negative."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from apps.knowledge.retrieval.second_stage import Calibration

_RIDGE = 0.02
_STEPS = 4000
_RATE = 0.5
WRONG_COSTS = 2.0
"""A wrong answer takes away what so many right ones bring; saying nothing brings nothing."""
MOST_WRONG = 0.03
"""Of the questions that nothing answers, so many may get an answer on the fitted half."""


@dataclass(frozen=True, slots=True)
class Example:
    """One piece that was found for a question.

    Attributes:
        inputs: What the second stage saw of it.
        right: Whether it answers the question.
        question: Which question, by number.
        answerable: Whether anything answers that question.
    """

    inputs: NDArray[np.float64]
    right: bool
    question: int
    answerable: bool


def fit(examples: list[Example], decide_on: list[Example]) -> Calibration:
    """Return the score that parts right pieces from others.

    The weights maximise the likelihood with both classes weighing the same, by projected gradient
    descent. The bias is then moved so that 0.5 gives the most right answers while few of the
    questions that nothing answers get one.

    Args:
        examples: The weights are fitted on these.
        decide_on: The bias is moved on these.
    """
    x = np.stack([example.inputs for example in examples])
    y = np.array([example.right for example in examples], dtype=float)
    balance = np.where(y > 0, 0.5 / y.sum(), 0.5 / (len(y) - y.sum()))
    weights, bias = np.ones(x.shape[1]), -3.0
    for _ in range(_STEPS):
        p = 1 / (1 + np.exp(-(x @ weights + bias)))
        error = balance * (p - y)
        weights = np.maximum(0.0, weights - _RATE * (x.T @ error + _RIDGE * weights / len(weights)))
        bias -= _RATE * float(error.sum())
    return _moved(Calibration(bias, tuple(float(w) for w in weights)), decide_on)


def _moved(found: Calibration, examples: list[Example]) -> Calibration:
    """Return it with the bias at which 0.5 decides best whether a question is answered."""
    best: dict[int, tuple[float, bool, bool]] = {}
    for example in examples:
        logit = found.bias + float(np.dot(found.weights, example.inputs))
        if example.question not in best or logit > best[example.question][0]:
            best[example.question] = (logit, example.right, example.answerable)
    tops = list(best.values())
    none = sum(not answerable for _, _, answerable in tops)

    def gain(threshold: float) -> float:
        answered = [top for top in tops if top[0] >= threshold]
        wrong = sum(not answerable for _, _, answerable in answered)
        if wrong > MOST_WRONG * none:
            return float("-inf")
        return sum(1.0 if right else -WRONG_COSTS for _, right, _ in answered)

    threshold = max(sorted(logit for logit, _, _ in tops), key=gain)
    return Calibration(found.bias - threshold, found.weights)
