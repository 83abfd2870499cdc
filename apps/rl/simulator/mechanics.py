"""How a call's chances come about: from its caller, its hour and each variant's slots.

Everything is a matrix of shape (calls, variants). Sampling (outcomes.py) and the exact
expectation (truth.py) both start from these chances, so they cannot drift apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from apps.rl.simulator.callers import Calls, Floats, Population
from apps.rl.simulator.scenario import SLOT_VALUES, Fault, Scenario, values_of

SPREAD = 5.0
"""Shape of the log-logistic duration: the higher, the closer to its median."""

CUTS = np.array([-1.3, -0.6, 0.2, 1.2])
"""Contentment from which on two, three, four, five stars are likelier than not."""

STEEPNESS = 1.6
"""How sharply contentment decides on the stars."""

MOST_COUNTED = 12
"""More barge-ins or repeats than these are cut off; their chance is below 1e-3."""


@dataclass(frozen=True, slots=True)
class Variants:
    """The variants as matrices; ``has[value]`` is 1 for those with this slot value.

    Attributes:
        ids: Their names.
        one_hot: Slot values, shape (variants, slot values).
        appeal: To each taste, shape (tastes, variants).
        quality: What their prompts' faults take, shape (variants,).
        hang_up: Their faults' chance of a hang-up.
        unsafe: Their faults' chance of an unsafe answer.
    """

    ids: tuple[str, ...]
    one_hot: Floats
    appeal: Floats
    quality: Floats
    hang_up: Floats
    unsafe: Floats

    @classmethod
    def of(cls, scenario: Scenario) -> Variants:
        """Return a scenario's variants."""
        slots = list(scenario.variants.values())
        faults = [scenario.faults.get(name, Fault()) for name in scenario.variants]
        return cls(
            tuple(scenario.variants),
            np.array([[float(v in values_of(s)) for v in SLOT_VALUES] for s in slots]),
            np.array([[taste.appeal(s) for s in slots] for taste in scenario.tastes]),
            np.array([fault.quality for fault in faults]),
            np.array([fault.hang_up for fault in faults]),
            np.array([fault.unsafe for fault in faults]),
        )

    def has(self, value: str) -> Floats:
        """Return which variants have a slot value, as 0.0 and 1.0."""
        column: Floats = self.one_hot[:, SLOT_VALUES.index(value)]
        return column


@dataclass(frozen=True, slots=True)
class Appeal:
    """How much each variant appeals to each caller, shapes (callers, variants).

    Attributes:
        before: Before any drift.
        change: What the whole drift adds.
    """

    before: Floats
    change: Floats

    @classmethod
    def of(cls, people: Population, variants: Variants) -> Appeal:
        """Return it for everybody: their taste, what is their own, and what faults take."""
        own = people.tilt @ variants.one_hot.T
        before, after = variants.appeal[people.taste], variants.appeal[people.taste_later]
        return cls(before + own + variants.quality, after - before)


@dataclass(frozen=True, slots=True)
class Chances:
    """What may become of each call with each variant; shapes (calls, variants).

    Attributes:
        abandoned: Left before the first answer.
        unsafe: An answer is flagged.
        solved: The matter is settled, given that the call goes on.
        known_if_solved: That shows in the signals.
        known_if_not: The opposite shows in the signals.
        handover: To a person, given that it is not settled.
        barge_ins: Mean of a Poisson number.
        repeats: The same.
        duration_s: Median of the duration.
        contentment: What the stars come from, before ``relief``.
        answers: Chance of an answer to the rating question by the stars, shape (calls, 5).
    """

    abandoned: Floats
    unsafe: Floats
    solved: Floats
    known_if_solved: Floats
    known_if_not: Floats
    handover: Floats
    barge_ins: Floats
    repeats: Floats
    duration_s: Floats
    contentment: Floats
    answers: Floats

    RELIEF = 1.2
    """What a settled matter adds to the contentment (an unsettled one takes half of it)."""

    def stars(self, *, solved: bool) -> Floats:
        """Return the chance of at least 2, 3, 4, 5 stars; shape (4, calls, variants)."""
        content = self.contentment + (self.RELIEF if solved else -self.RELIEF / 2)
        return sigmoid(STEEPNESS * (content - CUTS[:, None, None]))


def chances(
    scenario: Scenario, people: Population, variants: Variants, liked: Appeal, calls: Calls
) -> Chances:
    """Return what may become of each call with each variant."""
    speech, hidden = scenario.speech, calls.hidden
    impatience = people.impatience[hidden.caller][:, None]
    mood = hidden.mood[:, None]
    slow = np.maximum(0.0, (calls.latency_ms - 700.0) / 700.0)[:, None]
    noisy = np.maximum(0.0, (calls.noise_db - 56.0) / 8.0)[:, None]
    unheard = np.maximum(0.0, 0.85 - calls.stt_confidence)[:, None]
    bad = speech.severity * (2.0 * unheard + 0.6 * slow + 0.3 * noisy)
    short, long = variants.has("length=short"), variants.has("length=long")
    high, low = (variants.has(f"barge_in_sensitivity={level}") for level in ("high", "low"))
    confirm, proactive = (variants.has(f"inquiry_mode={m}") for m in ("confirm", "proactive"))
    rush = ((calls.time_of_day == 1) & (calls.segment % 2 == 0))[:, None]
    drift = hidden.drift[:, None]
    appeal = liked.before[hidden.caller] + drift * liked.change[hidden.caller]
    # What depends on the conditions: noise triggers a sensitive assistant, long answers through
    # a slow line are a burden, a check helps whoever is badly heard.
    appeal = appeal - bad - speech.severity * (0.5 * noisy * high + 0.3 * slow * long)
    appeal = appeal + speech.severity * 0.8 * unheard * confirm - 0.25 * rush * long + 0.1 * mood
    return Chances(
        abandoned=_abandoned(variants, impatience, slow),
        unsafe=np.broadcast_to(variants.unsafe, appeal.shape),
        solved=sigmoid(0.4 + 1.7 * appeal),
        known_if_solved=np.broadcast_to(0.88 + 0.07 * confirm, appeal.shape),
        known_if_not=np.broadcast_to(0.3 + 0.45 * confirm, appeal.shape),
        handover=sigmoid(-1.6 - 0.8 * appeal + 0.3 * impatience),
        barge_ins=_counts(
            -0.9 - 0.5 * appeal + 0.3 * impatience * (1.0 + long) + 0.5 * long - 0.5 * short
        ),
        repeats=_counts(-1.2 - 0.5 * appeal + 1.2 * bad + 0.2 * short + 0.3 * low * (noisy > 0)),
        duration_s=170.0
        * (1.0 - 0.2 * short + 0.25 * long)
        * (1.0 + 0.08 * confirm + 0.12 * proactive)
        * np.exp(0.25 * bad - 0.1 * appeal),
        contentment=0.9 * appeal + 0.5 * mood,
        answers=_answers(scenario, mood),
    )


def sigmoid(x: Floats) -> Floats:
    """Return the logistic function; finite for every finite x."""
    value: Floats = 0.5 * (1.0 + np.tanh(0.5 * x))
    return value


def _abandoned(variants: Variants, impatience: Floats, slow: Floats) -> Floats:
    ceremony = variants.has("greeting=formal") - variants.has("greeting=brief")
    chance = sigmoid(-4.3 + 0.6 * impatience + 0.7 * slow + 0.3 * ceremony)
    return np.minimum(chance + variants.hang_up, 0.98)


def _counts(log_mean: Floats) -> Floats:
    mean: Floats = np.exp(np.minimum(log_mean, 1.25))
    return mean


def _answers(scenario: Scenario, mood: Floats) -> Floats:
    rule, half = scenario.ratings, np.arange(-2, 3) / 2.0
    return sigmoid(rule.base + rule.extremes * half**2 + rule.happy * half + rule.mood * mood)
