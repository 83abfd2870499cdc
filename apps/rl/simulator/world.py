"""A seeded world: its calls, what becomes of them, and the truth that learners only estimate."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from apps.rl.simulator.callers import Calling, Calls, Floats, Population, populate
from apps.rl.simulator.mechanics import Appeal, Chances, Variants, chances
from apps.rl.simulator.outcomes import CallOutcome, Outcomes, draw
from apps.rl.simulator.scenario import Scenario
from apps.rl.simulator.truth import Truth, truth_of

_REFERENCE_CALLS = 2048
_DRIFT_STEPS = 5


@dataclass(frozen=True, slots=True)
class Means:
    """The variants' true mean value by segment, at some points of the drift.

    Attributes:
        drift: Those points in [0, 1], ascending, shape (points,).
        logged: Mean of ``Truth.logged``, shape (points, segments, variants).
        full: Mean of ``Truth.full``.
    """

    drift: Floats
    logged: Floats
    full: Floats

    def at(self, calls: Calls, *, full: bool = False) -> Floats:
        """Return the means of each call's segment at its moment, shape (calls, variants)."""
        table = self.full if full else self.logged
        if len(self.drift) == 1:
            found: Floats = table[0][calls.segment]
            return found
        place = calls.hidden.drift * (len(self.drift) - 1)
        low = np.minimum(place.astype(np.int64), len(self.drift) - 2)
        part = (place - low)[:, None]
        between: Floats = (1.0 - part) * table[low, calls.segment]
        between += part * table[low + 1, calls.segment]
        return between


class World:
    """One run of a scenario.

    The same scenario and seed give the same world: the same people, calls, and outcome of each
    call with each variant. Learning changes nothing but who gets which variant.

    Args:
        scenario: What the world is like.
        seed: Its randomness, together with the scenario's name.
    """

    def __init__(self, scenario: Scenario, seed: int) -> None:
        self.scenario = scenario
        self.variants = Variants.of(scenario)
        name = zlib.crc32(scenario.name.encode())
        people, self._calls_seed, self._reference = np.random.SeedSequence([seed, name]).spawn(3)
        self.people: Population = populate(scenario, np.random.default_rng(people))
        self._appeal = Appeal.of(self.people, self.variants)
        self._calling = Calling(scenario, self.people, self._calls_seed)
        self._latest: Calls | None = None
        self._latest_outcomes: Outcomes | None = None

    @property
    def ids(self) -> tuple[str, ...]:
        """Return the variants' ids, in the order of all arrays' last axis."""
        return self.variants.ids

    def calls(self, n: int) -> Calls:
        """Return the next ``n`` calls; it does not matter in which portions they are taken."""
        self._latest, self._latest_outcomes = self._calling.next(n), None
        return self._latest

    def chances(self, calls: Calls) -> Chances:
        """Return what may become of the calls with each variant."""
        return chances(self.scenario, self.people, self.variants, self._appeal, calls)

    def truth(self, calls: Calls) -> Truth:
        """Return the expected reward of every variant for each of these very calls.

        The caller's taste and mood and the line are given, only the call's own luck is averaged.
        """
        return truth_of(self.scenario, calls, self.chances(calls))

    def outcomes(self, calls: Calls) -> Outcomes:
        """Return what becomes of the calls with each variant."""
        return draw(self.scenario, calls, self.chances(calls), self.bots_target)

    def outcome(self, call: Calls, variant: str) -> CallOutcome:
        """Return how one call ends with a variant, for learners that go step by step.

        It is fast for calls of the portion taken last, whose outcomes are all drawn at once.

        Args:
            call: One call, as ``calls.take(slice(i, i + 1))`` gives it.
            variant: Its id.

        Raises:
            ValueError: It is not one call, or there is no such variant.
        """
        if len(call) != 1:
            raise ValueError("one call at a time; for more there is outcomes()")
        number, latest = self.ids.index(variant), self._latest
        place = int(call.index[0] - latest.index[0]) if latest is not None and len(latest) else -1
        if latest is None or not 0 <= place < len(latest):
            return self.outcomes(call).of(0, number)
        if self._latest_outcomes is None:
            self._latest_outcomes = self.outcomes(latest)
        return self._latest_outcomes.of(place, number)

    @cached_property
    def means(self) -> Means:
        """Return the variants' true means by segment, over a reference draw of its callers."""
        points = np.linspace(0.0, 1.0, _DRIFT_STEPS) if self.scenario.drift else np.zeros(1)
        shape = (len(points), len(self.scenario.segments), len(self.ids))
        logged, full = np.empty(shape), np.empty(shape)
        for p, drift in enumerate(points):
            for segment in range(shape[1]):
                # The same reference calls at each point, so that only the drift differs.
                drawn = Calling(
                    self.scenario, self.people, self._reference, drift=float(drift), only=segment
                )
                truth = self.truth(drawn.next(_REFERENCE_CALLS))
                logged[p, segment] = truth.logged.mean(axis=0)
                full[p, segment] = truth.full.mean(axis=0)
        return Means(points, logged, full)

    @cached_property
    def population_means(self) -> Floats:
        """Return the variants' true mean logged reward over all people, before any drift."""
        shares = np.array([segment.share for segment in self.scenario.segments])
        means: Floats = shares / shares.sum() @ self.means.logged[0]
        return means

    @cached_property
    def bots_target(self) -> int:
        """Return the index of the variant that bots push."""
        target = self.scenario.bots.target
        if target is not None:
            return self.ids.index(target)
        return int(self.population_means.argmin()) if self.scenario.bots.share else 0
