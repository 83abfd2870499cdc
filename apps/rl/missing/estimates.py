"""Mean ratings and rewards by variant, corrected for who answered, beside the complete cases.

With a = answered, p = the chance of it given the call, r = the stars and m = the stars to be
expected of such a call, over the calls of a variant that were asked:

=============  ============================  ===========
estimate       numerator                     denominator
=============  ============================  ===========
complete case  a r                           a
IPW            a r / p                       a / p
DR             m + a (r - m) / p             1
=============  ============================  ===========

IPW is Hajek's ratio; DR is the augmented estimate of Robins, Rotnitzky and Zhao 1994: right if
either model is. No rating is invented: a call without one has weight, never stars of its own.

All of it rests on ratings being missing at random *given the features*. Where those who are unhappy
keep silent for a reason that no feature shows, a part of the error stays (``Estimate.if_lower``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from apps.rl.missing.calls import Bools, Floats, RatedCalls, rating_term
from apps.rl.missing.models import RIDGE, Linear, Logistic, fit_linear, fit_logistic
from apps.rl.off_policy.estimators import Terms
from apps.rl.off_policy.intervals import Interval, bootstrap, delta


@dataclass(frozen=True, slots=True)
class Floors:
    """Below these nothing is corrected.

    Attributes:
        answers: Ratings of all variants together, for the models.
        asked: Asked calls of a variant.
        answered: Ratings of a variant.
        effective: Effective number of a variant's ratings.
        chance: Chances of an answer are taken for no smaller than this, so that no single rating
            speaks for more than so many calls.
    """

    answers: int = 60
    asked: int = 30
    answered: int = 15
    effective: float = 10.0
    chance: float = 0.02


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """Both models and what they say of every call, shapes (n,).

    Attributes:
        answers: The chance of an answer.
        stars: The stars to be expected.
        chance: Of an answer, for each call, at least ``Floors.chance``.
        expected: The stars to be expected of each call.
    """

    answers: Logistic
    stars: Linear
    chance: Floats
    expected: Floats


@dataclass(frozen=True, slots=True)
class Value:
    """An estimate and its interval by the delta method, callers taken whole."""

    value: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is known of a variant's ratings and rewards.

    Attributes:
        variant: Its id.
        calls: Rewarded calls.
        asked: Of these, asked for a rating.
        answered: Of these, answered with one.
        complete_case: Mean of the ratings given; None without one.
        ipw: The same, each rating weighed by one over its chance; None below the floors.
        dr: Doubly robust; None below the floors.
        effective: Effective number of ratings behind ``ipw``.
        reward: Mean reward as it is logged, where no rating adds nothing.
        corrected_reward: Mean reward as if all who were asked had answered; None as above.
        too_little: Why nothing is corrected, in a sentence; None where it is.
    """

    variant: str
    calls: int
    asked: int
    answered: int
    complete_case: Value | None
    ipw: Value | None
    dr: Value | None
    effective: float
    reward: Value | None
    corrected_reward: Value | None
    too_little: str | None = None

    def if_lower(self, stars: float) -> float | None:
        """Return the doubly robust mean if the silent are so many stars below what is expected.

        That is what no data can tell; this says how much hangs on it.
        """
        if self.dr is None:
            return None
        return self.dr.value - stars * (1.0 - self.answered / self.asked)


def fit(calls: RatedCalls, floors: Floors | None = None, *, ridge: float = RIDGE) -> Fitted | None:
    """Fit both models to the calls that were asked; None where too few have answered."""
    floors = floors or Floors()
    answered = calls.asked & calls.answered
    if answered.sum() < floors.answers:
        return None
    asked = calls.asked
    answers = fit_logistic(calls.features[asked], calls.answered[asked], ridge=ridge)
    stars = fit_linear(calls.features[answered], calls.rating[answered], ridge=ridge)
    return Fitted(
        answers,
        stars,
        np.maximum(answers.chance(calls.features), floors.chance),
        stars.stars(calls.features),
    )


def estimates(
    calls: RatedCalls, floors: Floors | None = None, *, fitted: Fitted | None = None
) -> dict[str, Estimate]:
    """Return what is known of every variant.

    Args:
        calls: Rewarded calls.
        floors: Below which nothing is corrected.
        fitted: The models; fitted to the calls when None.
    """
    floors = floors or Floors()
    fitted = fitted or fit(calls, floors)
    return {
        name: _estimate(calls, calls.variant == number, name, fitted, floors)
        for number, name in enumerate(calls.variants)
    }


def pseudo_ratings(calls: RatedCalls, fitted: Fitted) -> Floats:
    """Return each call's doubly robust score of its stars, shape (n,).

    Its mean over calls is the estimate; a single one may lie outside 1 to 5 and is nobody's
    rating.
    """
    residual = np.where(calls.answered, calls.rating - fitted.expected, 0.0)
    score: Floats = fitted.expected + residual / fitted.chance
    return score


def pseudo_rewards(calls: RatedCalls, fitted: Fitted) -> Floats:
    """Return rewards in whose mean those without a rating are made up for, shape (n,).

    Off-policy evaluation takes them in the rewards' place: ``dataclasses.replace(log,
    reward=...)``; the chance of an answer is then a further weight beside the propensity. Calls
    that were not asked keep their reward without a rating's term.
    """
    term = rating_term(pseudo_ratings(calls, fitted))
    rewards: Floats = calls.rest + np.where(calls.asked, term, 0.0)
    return rewards


def bootstrapped(
    calls: RatedCalls, fitted: Fitted, variant: str, *, seed: int = 0, replicates: int = 1000
) -> dict[str, Interval]:
    """Return bootstrap intervals of a variant's three mean ratings, callers drawn as wholes.

    Args:
        calls: Rewarded calls.
        fitted: The models; they are not fitted anew in each draw.
        variant: Its id.
        seed: Of the draws.
        replicates: How often is drawn.
    """
    rows = (calls.variant == calls.variants.index(variant)) & calls.asked
    terms = _terms(calls, rows, fitted)
    found = bootstrap(terms, calls.caller[rows], seed=seed, replicates=replicates)
    return {term.name: interval for term, interval in zip(terms, found, strict=True)}


def _estimate(
    calls: RatedCalls, mine: Bools, name: str, fitted: Fitted | None, floors: Floors
) -> Estimate:
    rows = mine & calls.asked
    answered = rows & calls.answered
    caller = calls.caller
    logged = calls.rest + np.where(calls.answered, rating_term(_filled(calls.rating)), 0.0)
    effective = 0.0
    if fitted is not None and answered.any():
        weights = 1.0 / fitted.chance[answered]
        effective = float(weights.sum() ** 2 / np.square(weights).sum())
    too_little = _too_little(fitted, int(rows.sum()), int(answered.sum()), effective, floors)
    values: Mapping[str, Value] = {}
    corrected = None
    if fitted is not None and too_little is None:
        values = {term.name: _value(term, caller[rows]) for term in _terms(calls, rows, fitted)}
        corrected = _mean(pseudo_rewards(calls, fitted)[mine], caller[mine])
    stars = _filled(calls.rating[rows]), calls.answered[rows].astype(float)
    return Estimate(
        variant=name,
        calls=int(mine.sum()),
        asked=int(rows.sum()),
        answered=int(answered.sum()),
        complete_case=_value(Terms("complete case", *stars), caller[rows])
        if answered.any()
        else None,
        ipw=values.get("IPW"),
        dr=values.get("DR"),
        effective=effective,
        reward=_mean(logged[mine], caller[mine]) if mine.any() else None,
        corrected_reward=corrected,
        too_little=too_little,
    )


def _terms(calls: RatedCalls, rows: Bools, fitted: Fitted) -> list[Terms]:
    answered, stars = calls.answered[rows].astype(float), _filled(calls.rating[rows])
    weights = answered / fitted.chance[rows]
    return [
        Terms("complete case", stars, answered),
        Terms("IPW", weights * stars, weights),
        Terms("DR", pseudo_ratings(calls, fitted)[rows], np.ones(len(stars))),
    ]


def _too_little(
    fitted: Fitted | None, asked: int, answered: int, effective: float, floors: Floors
) -> str | None:
    if fitted is None:
        return f"fewer than {floors.answers} ratings of all variants together"
    if asked < floors.asked:
        return f"calls asked: {asked}; {floors.asked} are needed"
    if answered < floors.answered:
        return f"ratings: {answered}; {floors.answered} are needed"
    if effective < floors.effective:
        return f"the ratings weigh as few as {effective:.0f}; {floors.effective:.0f} are needed"
    return None


def _mean(values: Floats, caller: np.ndarray) -> Value:
    return _value(Terms("mean", values, np.ones(len(values))), caller)


def _value(terms: Terms, caller: np.ndarray) -> Value:
    return Value(terms.value, delta(terms, caller))


def _filled(rating: Floats) -> Floats:
    """Return ratings with 0 where there are none; whatever is multiplied by them weighs 0."""
    return np.where(np.isfinite(rating), rating, 0.0)
