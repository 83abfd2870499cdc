"""Who calls, and when: people with habits, and the calls that they make."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.rl.simulator.scenario import SLOT_VALUES, Scenario

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

DRAWS = 12
"""Uniform numbers that each call brings along; its outcomes are functions of them."""

TIMES_OF_DAY = ("night", "morning", "afternoon", "evening")
"""Six hours each, from midnight on."""

DAY_S = 86_400.0
_HOURLY = np.array([1, 1, 1, 1, 1, 2, 5, 9, 12, 12, 10, 8, 7, 8, 9, 9, 8, 6, 5, 4, 3, 2, 2, 1.0])


@dataclass(frozen=True, slots=True)
class Population:
    """Everybody who may call; bots come last.

    Attributes:
        segment: Each caller's segment, shape (callers,).
        taste: Each caller's taste.
        taste_later: The one that it drifts to.
        tilt: Own liking of each slot value, shape (callers, slot values).
        temper: Mean of the mood, in standard deviations of all moods.
        impatience: In the same units; patience is its opposite.
        line: Quality of the caller's line, standard normal.
        activity: Share of all calls; sums to 1.
        bot: Whether it is one.
    """

    segment: Ints
    taste: Ints
    taste_later: Ints
    tilt: Floats
    temper: Floats
    impatience: Floats
    line: Floats
    activity: Floats
    bot: Bools


@dataclass(frozen=True, slots=True)
class Hidden:
    """What no learner may look at; arrays of shape (calls,), draws of (calls, DRAWS)."""

    caller: Ints
    bot: Bools
    mood: Floats
    drift: Floats
    draws: Floats


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls in the order in which they begin, with what is known when their variant is chosen.

    Attributes:
        index: Running number from 0, shape (calls,).
        at_s: Begin, seconds from the world's first midnight.
        subject: The caller's pseudonymous number.
        segment: Index into the scenario's segments: profile and language.
        time_of_day: Index into ``TIMES_OF_DAY``.
        returning: The caller has called before.
        stt_confidence: Of the recogniser, in (0, 1).
        latency_ms: Voice to voice.
        noise_db: Of the line, as sound pressure.
        hidden: What only the simulator knows.
    """

    index: Ints
    at_s: Floats
    subject: Ints
    segment: Ints
    time_of_day: Ints
    returning: Bools
    stt_confidence: Floats
    latency_ms: Floats
    noise_db: Floats
    hidden: Hidden

    def __len__(self) -> int:
        return len(self.index)

    def take(self, which: slice | Ints | Bools) -> Calls:
        """Return some of the calls."""
        return self._each(lambda part, name: getattr(part, name)[which], self)

    @classmethod
    def joined(cls, parts: Sequence[Calls]) -> Calls:
        """Return calls one after another."""

        def join(*each: object) -> Any:
            *holders, name = each
            return np.concatenate([getattr(holder, str(name)) for holder in holders])

        return cls._each(join, *parts)

    @classmethod
    def _each(cls, make: Callable[..., Any], *parts: Calls) -> Calls:
        """Return calls whose every array is ``make(*holders, name)``."""
        hidden = {f.name: make(*(p.hidden for p in parts), f.name) for f in fields(Hidden)}
        seen = {f.name: make(*parts, f.name) for f in fields(cls) if f.name != "hidden"}
        return cls(**seen, hidden=Hidden(**hidden))

    def context(self, scenario: Scenario, i: int) -> dict[str, object]:
        """Return what a live call's choice would be told of the ``i``-th of these calls."""
        segment = scenario.segments[self.segment[i]]
        return {
            "profile": segment.profile,
            "language": segment.language,
            "time_of_day": TIMES_OF_DAY[self.time_of_day[i]],
            "returning": bool(self.returning[i]),
            "stt_confidence": float(self.stt_confidence[i]),
            "latency_ms": float(self.latency_ms[i]),
            "noise_db": float(self.noise_db[i]),
        }


def populate(scenario: Scenario, rng: np.random.Generator) -> Population:
    """Return the world's callers."""
    n, bots = scenario.callers, scenario.bots.accounts if scenario.bots.share else 0
    shares = np.array([segment.share for segment in scenario.segments])
    # Everybody's segment is drawn, but each segment has somebody.
    segment = rng.choice(len(shares), n + bots, p=shares / shares.sum())
    segment[: len(shares)] = np.arange(len(shares))
    names = [taste.name for taste in scenario.tastes]
    taste = np.zeros(n + bots, np.int64)
    for number, group in enumerate(scenario.segments):
        there = np.flatnonzero(segment == number)
        weights = np.array([group.tastes.get(name, 0.0) for name in names])
        taste[there] = rng.choice(len(names), len(there), p=weights / weights.sum())
    becomes = scenario.drift.becomes if scenario.drift else {}
    later = np.array([names.index(becomes.get(name, name)) for name in names])
    activity = rng.gamma(1.5, size=n + bots)
    is_bot = np.arange(n + bots) >= n
    activity[~is_bot] *= (1.0 - scenario.bots.share) / activity[~is_bot].sum()
    if bots:
        activity[is_bot] *= scenario.bots.share / activity[is_bot].sum()
    return Population(
        segment=segment,
        taste=taste,
        taste_later=later[taste],
        tilt=rng.normal(0.0, scenario.individuality, (n + bots, len(SLOT_VALUES))),
        temper=rng.normal(0.0, 0.7, n + bots),
        impatience=rng.normal(0.0, 1.0, n + bots),
        line=rng.normal(0.0, 1.0, n + bots),
        activity=activity / activity.sum(),
        bot=is_bot,
    )


class Calling:
    """Draws calls one batch after another; the same calls whatever the batches' sizes are.

    Args:
        scenario: What the world is like.
        people: Its callers.
        seed: Source of all randomness from here on.
        drift: Fixes how far the drift is, in [0, 1]; by the call's index when None.
        only: Fixes the callers' segment; all segments when None.
    """

    CHUNK = 2048

    def __init__(
        self,
        scenario: Scenario,
        people: Population,
        seed: np.random.SeedSequence,
        *,
        drift: float | None = None,
        only: int | None = None,
    ) -> None:
        self._scenario, self._people, self._drift = scenario, people, drift
        self._rng = np.random.default_rng(seed)
        self._phases = self._rng.uniform(0.0, 2.0 * np.pi, 4)
        may = people.activity if only is None else people.activity * (people.segment == only)
        if drift is not None:
            may = may * ~people.bot
        self._cumulated = np.cumsum(may / may.sum())
        self._seen = np.zeros(len(may), np.bool_)
        self._hazard = 0.0  # expected number of calls since the first midnight
        self._begun = 0
        self._waiting: list[Calls] = []

    def next(self, n: int) -> Calls:
        """Return the next ``n`` calls."""
        while sum(map(len, self._waiting)) < n:
            self._waiting.append(self._chunk())
        ready = Calls.joined(self._waiting)
        self._waiting = [ready.take(slice(n, None))]
        return ready.take(slice(n))

    def _chunk(self) -> Calls:
        n, rng, people = self.CHUNK, self._rng, self._people
        index = np.arange(self._begun, self._begun + n)
        self._begun += n
        hazard = self._hazard + np.cumsum(rng.exponential(size=n))
        self._hazard = float(hazard[-1])
        at_s = self._times(hazard)
        caller = np.minimum(
            np.searchsorted(self._cumulated, rng.random(n), side="right"), len(people.bot) - 1
        )
        hour = at_s % DAY_S / 3600.0
        noise = rng.normal(size=(n, 4))
        slow = self._slowness(at_s)
        noise_db = 52.0 + 5.0 * noise[:, 0] - 2.0 * people.line[caller] + 6.0 * slow
        logit = 1.7 + 0.4 * people.line[caller] - 0.06 * (noise_db - 52.0) + 0.3 * noise[:, 1]
        logit += np.array([s.stt_offset for s in self._scenario.segments])[people.segment[caller]]
        tired = 0.15 * (hour > 17.0)
        mood = people.temper[caller] + 0.7 * noise[:, 3] - tired - 0.2 * slow
        return Calls(
            index=index,
            at_s=at_s,
            subject=caller,
            segment=people.segment[caller],
            time_of_day=(hour // 6).astype(np.int64),
            returning=self._returning(caller),
            stt_confidence=1.0 / (1.0 + np.exp(-logit)),
            latency_ms=480.0 * np.exp(0.2 * noise[:, 2] + slow),
            noise_db=noise_db,
            hidden=Hidden(
                caller, people.bot[caller], mood, self._drifted(index), rng.random((n, DRAWS))
            ),
        )

    def _times(self, hazard: Floats) -> Floats:
        """Return when the expected number of calls is reached, busy hours and nights in mind."""
        share = np.concatenate([[0.0], np.cumsum(_HOURLY) / _HOURLY.sum()])
        days, part = np.divmod(hazard / self._scenario.calls_per_day, 1.0)
        times: Floats = days * DAY_S + np.interp(part, share, np.arange(25) * 3600.0)
        return times

    def _slowness(self, at_s: Floats) -> Floats:
        """Return how slow and noisy the hour is, 0 or more; a smooth function of the time."""
        periods = np.array([0.9, 2.3, 5.1, 11.7]) * 3600.0
        wave = np.sin(2.0 * np.pi * at_s[:, None] / periods + self._phases).sum(axis=1)
        slow: Floats = self._scenario.speech.slow_hours * np.maximum(0.0, wave - 0.5)
        return slow

    def _drifted(self, index: Ints) -> Floats:
        if self._drift is not None:
            return np.full(len(index), self._drift)
        drift = self._scenario.drift
        if drift is None:
            return np.zeros(len(index))
        far = (index + 1 - drift.begins) / (drift.ends + 1 - drift.begins)
        return np.clip(far, 0.0, 1.0)

    def _returning(self, caller: Ints) -> Bools:
        _, first = np.unique(caller, return_index=True)
        again = np.ones(len(caller), np.bool_)
        again[first] = False
        returning = again | self._seen[caller]
        self._seen[caller] = True
        return returning
