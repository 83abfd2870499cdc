"""What becomes of calls: potential outcomes of every variant, from numbers the call brings along.

A call with the same variant always ends the same way, whoever asks and in whichever order, so
several learners can be compared on the very same calls.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from apps.rl.signals import Signals
from apps.rl.simulator.callers import Bools, Calls, Floats, Ints
from apps.rl.simulator.mechanics import MOST_COUNTED, SPREAD, Chances
from apps.rl.simulator.scenario import Bots, Scenario
from apps.rl.simulator.truth import WEIGHTS

UNKNOWN = -1
"""A resolution that is not known."""


@dataclass(frozen=True, slots=True)
class CallOutcome:
    """How one call ended.

    Attributes:
        signals: As a live call leaves them, with the rating if one was given at all.
        reward: Of these signals; None when the call was abandoned.
        reward_at_end: The same without a rating that comes later.
        abandoned: It ended before its first answer.
        unsafe: An answer was flagged.
        rating_offered: The caller was asked.
        rating_answered: They answered, in the call or later.
        rating_delay_s: How long after the call; 0 when in it.
        copies: How many further times the same feedback is sent.
    """

    signals: Signals
    reward: float | None
    reward_at_end: float | None
    abandoned: bool
    unsafe: bool
    rating_offered: bool
    rating_answered: bool
    rating_delay_s: float
    copies: int

    def event(self, call_id: str, variant: str, profile: str) -> Mapping[str, object]:
        """Return the feedback event, as ``FeedbackCollector.collect`` takes it."""
        return {
            "call_id": call_id,
            "policy_variant": variant,
            "profile": profile,
            "signals": self.signals.model_dump(exclude_none=True),
            "abandoned": self.abandoned,
            "rating_offered": self.rating_offered,
            "rating_answered": self.rating_answered,
        }


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What becomes of each call with each variant; shapes (calls, variants).

    Attributes:
        resolution: 1 settled, 0 not, ``UNKNOWN``.
        rating: The stars given; 0 for none.
        felt: The stars that the caller would give if they had to.
        barge_ins: How often they broke in.
        repeats: How often they asked again.
        handover: Whether the call went to a person.
        duration_s: Its length.
        abandoned: Left before the first answer.
        unsafe: An answer was flagged.
        offered: The caller was asked for a rating.
        reward: Of the signals with the rating; NaN where abandoned.
        reward_at_end: The same without a rating that comes later.
        rating_delay_s: How long after the call a rating comes, shape (calls,).
        copies: How many further times feedback is sent, shape (calls,).
    """

    resolution: Ints
    rating: Ints
    felt: Ints
    barge_ins: Ints
    repeats: Ints
    handover: Bools
    duration_s: Floats
    abandoned: Bools
    unsafe: Bools
    offered: Bools
    reward: Floats
    reward_at_end: Floats
    rating_delay_s: Floats
    copies: Ints

    def of(self, i: int, variant: int) -> CallOutcome:
        """Return how the ``i``-th call ends with a variant (its index)."""
        at = (i, variant)
        abandoned, rating = bool(self.abandoned[at]), int(self.rating[at])
        resolution = int(self.resolution[at])
        signals = Signals(
            resolution=None if resolution == UNKNOWN else bool(resolution),
            user_rating=rating or None,
            barge_in_count=int(self.barge_ins[at]),
            repeats=int(self.repeats[at]),
            handover=bool(self.handover[at]),
            duration_sec=float(self.duration_s[at]),
        )
        return CallOutcome(
            signals=signals,
            reward=None if abandoned else float(self.reward[at]),
            reward_at_end=None if abandoned else float(self.reward_at_end[at]),
            abandoned=abandoned,
            unsafe=bool(self.unsafe[at]),
            rating_offered=bool(self.offered[at]),
            rating_answered=rating > 0,
            rating_delay_s=float(self.rating_delay_s[i]) if rating else 0.0,
            copies=int(self.copies[i]),
        )


def draw(scenario: Scenario, calls: Calls, chances: Chances, target: int) -> Outcomes:
    """Return the outcomes of all variants.

    Args:
        scenario: What the world is like.
        calls: The calls, with the random numbers that decide.
        chances: What may become of them.
        target: Index of the variant that bots push.
    """
    u = calls.hidden.draws.T[:, :, None]  # (draws, calls, 1)
    bot = np.broadcast_to(calls.hidden.bot[:, None], chances.solved.shape)
    likes = np.broadcast_to(np.arange(bot.shape[1]) == target, bot.shape)
    abandoned = (u[0] < chances.abandoned) & ~bot
    solved = u[1] < chances.solved
    handover = ~solved & (u[2] < chances.handover) & ~abandoned & ~bot
    known = (u[3] < np.where(solved, chances.known_if_solved, chances.known_if_not)) & ~handover
    felt = _stars(chances, solved, u[4])
    offered = ~abandoned & ~handover & (u[5] < scenario.ratings.offered)
    by_stars = np.take_along_axis(chances.answers, felt - 1, axis=1)
    rating = np.where(offered & (u[6] < by_stars), felt, 0)
    late = (u[7] < scenario.ratings.late_share)[:, 0]
    delay_s = -scenario.ratings.late_mean_s * np.log1p(-u[8])[:, 0]
    resolution = np.where(bot, likes, np.where(known & ~abandoned, solved, UNKNOWN))
    rating = np.where(bot, np.where(likes, 5, 1), rating)
    barge_ins = np.where(bot, np.where(likes, 0, 3), _poisson(chances.barge_ins, u[9]) * ~abandoned)
    repeats = np.where(bot, np.where(likes, 0, 3), _poisson(chances.repeats, u[10]) * ~abandoned)
    length = (u[11] / (1.0 - u[11])) ** (1.0 / SPREAD)
    duration_s = np.where(abandoned, 4.0 + 8.0 * u[11], chances.duration_s * length)
    duration_s = np.where(bot, np.where(likes, 60.0, 300.0), duration_s)
    at_end = _reward(resolution, np.zeros_like(rating), barge_ins, repeats, handover, duration_s)
    term = np.where(rating > 0, WEIGHTS.rating * (rating - 3) / 2.0, 0.0)
    reward = np.where(abandoned, np.nan, np.clip(at_end + term, -1.0, 1.0))
    late &= ~bot[:, 0]
    return Outcomes(
        resolution=resolution,
        rating=rating,
        felt=np.where(bot, rating, felt),
        barge_ins=barge_ins,
        repeats=repeats,
        handover=handover,
        duration_s=duration_s,
        abandoned=abandoned,
        unsafe=(u[2] > 1.0 - chances.unsafe) & ~abandoned & ~bot,
        offered=offered | bot,
        reward=reward,
        reward_at_end=np.where(late[:, None] & ~abandoned, at_end, reward),
        rating_delay_s=np.where(late, delay_s, 0.0),
        copies=_copies(scenario.bots, calls),
    )


def _stars(chances: Chances, solved: Bools, u: Floats) -> Ints:
    """Return 1 to 5: the number of thresholds that are passed, and one."""
    passed = [
        np.where(solved, y, n)
        for y, n in zip(chances.stars(solved=True), chances.stars(solved=False), strict=True)
    ]
    stars: Ints = 1 + sum((u < p).astype(np.int64) for p in passed)
    return stars


def _poisson(mean: Floats, u: Floats) -> Ints:
    """Return Poisson numbers by inversion, cut at ``MOST_COUNTED``."""
    probability = np.exp(-mean)
    below = probability.copy()
    number = (u >= below).astype(np.int64)
    for k in range(1, MOST_COUNTED):
        probability = probability * mean / k
        below += probability
        number += u >= below
    return number


def _reward(
    resolution: Ints,
    rating: Ints,
    barge_ins: Ints,
    repeats: Ints,
    handover: Bools,
    length_s: Floats,
) -> Floats:
    """Return the rewards by reward_calc.py's formula, for arrays."""
    w = WEIGHTS
    total = w.resolution * (resolution == 1) - w.handover * handover
    total += np.where(rating > 0, w.rating * (rating - 3) / 2.0, 0.0)
    total -= w.barge_ins * np.minimum(barge_ins, w.most_counted) / w.most_counted
    total -= w.repeats * np.minimum(repeats, w.most_counted) / w.most_counted
    total += np.clip((w.target_s - length_s) / w.target_s, -w.duration, w.duration)
    reward: Floats = np.clip(total, -1.0, 1.0)
    return reward


def _copies(bots: Bots, calls: Calls) -> Ints:
    """Return geometric numbers with the mean that the scenario says, for bots alone."""
    if bots.copies == 0.0:
        return np.zeros(len(calls), np.int64)
    stop = 1.0 / (1.0 + bots.copies)
    number = np.log1p(-calls.hidden.draws[:, 8]) / np.log1p(-stop)
    copies: Ints = (number * calls.hidden.bot).astype(np.int64)
    return copies
