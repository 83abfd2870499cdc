"""How far the model of answers can be believed: calibration on callers unseen, and overlap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from apps.rl.missing.calls import Floats, RatedCalls
from apps.rl.missing.estimates import Fitted
from apps.rl.missing.models import RIDGE, fit_logistic

FOLDS = 5
_BINS = 10
_RARE = 0.05


@dataclass(frozen=True, slots=True)
class Bin:
    """Calls with about the same predicted chance of an answer.

    Attributes:
        calls: How many.
        predicted: Their mean predicted chance.
        observed: The share of them that answered.
    """

    calls: int
    predicted: float
    observed: float


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """How well the chance of an answer is known.

    Attributes:
        bins: Calibration, from the least to the most likely, on callers that were left out.
        calibration_error: Mean distance of predicted and observed over the bins.
        gain: Log-likelihood per call that the features add to the bare answer rate, on callers
            that were left out, in nats; not above 0, they tell nothing.
        least: The smallest chance of an asked call, before the floor.
        rare: Share of the asked calls whose chance is below 5 %: their kind hardly ever answers.
        never: Names of the features' values whose calls were asked, but never answered.
    """

    bins: tuple[Bin, ...]
    calibration_error: float
    gain: float
    least: float
    rare: float
    never: tuple[str, ...]


def diagnose(calls: RatedCalls, fitted: Fitted, *, ridge: float = RIDGE) -> Diagnosis:
    """Return how well the chance of an answer is known.

    Args:
        calls: Rewarded calls; at least one was asked.
        fitted: The models that were fitted to them.
        ridge: As it was for the model.
    """
    asked = calls.asked
    features, happened = calls.features[asked], calls.answered[asked]
    unseen, rate = _left_out(features, happened, calls.caller[asked], ridge)
    order = np.argsort(unseen, kind="stable")
    bins = tuple(
        Bin(len(rows), float(unseen[rows].mean()), float(happened[rows].mean()))
        for rows in np.array_split(order, min(_BINS, len(order)))
    )
    chance = fitted.answers.chance(features)
    error = sum(b.calls * abs(b.predicted - b.observed) for b in bins) / len(order)
    high = features > features.mean(axis=0)
    two_valued = [len(np.unique(column)) == 2 for column in features.T]
    return Diagnosis(
        bins=bins,
        calibration_error=float(error),
        gain=float((_likelihood(unseen, happened) - _likelihood(rate, happened)).mean()),
        least=float(chance.min()),
        rare=float((chance < _RARE).mean()),
        never=tuple(
            name
            for name, two, rows in zip(calls.names, two_valued, high.T, strict=True)
            if two and rows.any() and not happened[rows].any()
        ),
    )


def _left_out(
    features: Floats, happened: np.ndarray, caller: np.ndarray, ridge: float
) -> tuple[Floats, Floats]:
    """Return each call's chance by a model that has not seen its caller, and the bare rate so."""
    fold = caller % FOLDS
    chance, rate = np.full(len(fold), happened.mean()), np.full(len(fold), happened.mean())
    for number in range(FOLDS):
        inside, outside = fold != number, fold == number
        if inside.any() and outside.any():
            model = fit_logistic(features[inside], happened[inside], ridge=ridge)
            chance[outside] = model.chance(features[outside])
            rate[outside] = happened[inside].mean()
    return chance, rate


def _likelihood(chance: Floats, happened: np.ndarray) -> Floats:
    sure = np.clip(chance, 1e-9, 1.0 - 1e-9)
    return np.where(happened, np.log(sure), np.log1p(-sure))
