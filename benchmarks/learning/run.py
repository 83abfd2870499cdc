"""Holds one learner's calls in one world, and measures what it cost them."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from apps.rl.simulator import TIMES_OF_DAY, Calls, Outcomes, Scenario, World
from benchmarks.learning.learners import Feedback, Learner, Maker, Seen, Task

Floats = NDArray[np.float64]

BAD_GAP = 0.25
"""A variant is bad for a segment when its true mean is this far below the best one's there."""

POINTS = 100
"""Points at which a run's regret is kept."""


@dataclass(frozen=True, slots=True)
class Run:
    """What one learner did in one world; bots' calls cost nothing.

    Attributes:
        regret: Cumulative regret at ``POINTS`` even moments: the best variant of the call's
            profile, language and moment less the chosen one, in expected logged rewards.
        full_regret: At the end, in expected rewards as if everything were known.
        bad_share: Share of the people's calls that got a variant that is bad for them.
        worst_share: Share that got the variant that is the worst for all people together.
        decisions_per_s: Of ``choose`` alone.
        updates_per_s: Of ``learn`` alone.
    """

    regret: Floats
    full_regret: float
    bad_share: float
    worst_share: float
    decisions_per_s: float
    updates_per_s: float


@dataclass(frozen=True, slots=True)
class Course:
    """A world's calls and all that may become of them: the same for every learner.

    Attributes:
        world: The world.
        calls: Its calls.
        outcomes: Of each with every variant.
        features: See ``features_of``.
        costs: Regret of every variant for each call, logged, shape (calls, variants).
        full_costs: The same in full rewards.
        bad: Which variants are bad for each call.
    """

    world: World
    calls: Calls
    outcomes: Outcomes
    features: Floats
    costs: Floats
    full_costs: Floats
    bad: NDArray[np.bool_]

    @property
    def single(self) -> float:
        """Return the regret of the one variant that is best for the whole run."""
        return float(self.costs.sum(axis=0).min())


def course(scenario: Scenario, seed: int) -> Course:
    """Return a world and its calls."""
    world = World(scenario, seed)
    calls = world.calls(scenario.calls)
    truth, means = world.truth(calls), world.means
    segment, full_segment = means.at(calls), means.at(calls, full=True)
    people = ~calls.hidden.bot[:, None]
    return Course(
        world,
        calls,
        world.outcomes(calls),
        features_of(scenario, calls),
        _below_best(truth.logged, segment),
        _below_best(truth.full, full_segment),
        (segment < segment.max(axis=1, keepdims=True) - BAD_GAP) & people,
    )


def features_of(scenario: Scenario, calls: Calls) -> Floats:
    """Return what is known of each call as numbers, shape (calls, features).

    One; profile, language and time of day one-hot; whether the caller is known; the recogniser's
    confidence, the latency and the noise, centred and scaled to about one.
    """
    columns = [np.ones(len(calls))]
    for kind in ("profile", "language"):
        of = np.array([getattr(segment, kind) for segment in scenario.segments])
        columns += [(of[calls.segment] == name).astype(float) for name in sorted(set(of))]
    columns += [(calls.time_of_day == k).astype(float) for k in range(len(TIMES_OF_DAY))]
    columns.append(calls.returning.astype(float))
    columns.append((calls.stt_confidence - 0.8) / 0.1)
    columns.append(np.log(calls.latency_ms / 500.0) / 0.3)
    columns.append((calls.noise_db - 52.0) / 6.0)
    return np.stack(columns, axis=1)


def run(on: Course, make: Maker, seed: int) -> Run:
    """Let a learner hold all calls, one after another, as a live system would.

    Feedback reaches it when it comes: a call's own when the call has ended, a late rating as a
    revision hours later, bots' copies as events of their own.
    """
    world, n = on.world, len(on.calls)
    ids = world.ids
    base = ids.index(world.scenario.base)
    learner = make(Task(ids, base, world.variants.one_hot, on.features.shape[1], n, seed))
    chosen, waiting = np.empty(n, np.int64), _Waiting(learner)
    choosing_s = 0.0
    for i in range(n):
        at_s = float(on.calls.at_s[i])
        waiting.deliver(until_s=at_s)
        context = on.calls.context(world.scenario, i)
        call = Seen(i, int(on.calls.subject[i]), on.features[i], context)
        begun = perf_counter()
        chosen[i] = learner.choose(call)
        choosing_s += perf_counter() - begun
        waiting.add(on.outcomes, call, int(chosen[i]), at_s)
    costs = np.take_along_axis(on.costs, chosen[:, None], axis=1)[:, 0]
    full = np.take_along_axis(on.full_costs, chosen[:, None], axis=1)[:, 0]
    people = ~on.calls.hidden.bot
    worst = int(world.population_means.argmin())
    moments = np.linspace(n / POINTS, n, POINTS).astype(np.int64) - 1
    return Run(
        regret=np.cumsum(costs)[moments],
        full_regret=float(full.sum()),
        bad_share=float(on.bad[np.arange(n), chosen].sum() / people.sum()),
        worst_share=float((chosen[people] == worst).mean()),
        decisions_per_s=n / max(choosing_s, 1e-9),
        updates_per_s=waiting.count / max(waiting.learning_s, 1e-9),
    )


class _Waiting:
    """Feedback on its way, in the order in which it arrives."""

    def __init__(self, learner: Learner) -> None:
        self._learner = learner
        self._heap: list[tuple[float, int, Feedback]] = []
        self._order = 0
        self.count, self.learning_s = 0, 0.0

    def add(self, outcomes: Outcomes, call: Seen, variant: int, at_s: float) -> None:
        at = (call.index, variant)
        if outcomes.abandoned[at]:
            return
        ended_s = at_s + float(outcomes.duration_s[at])
        reward, at_end = float(outcomes.reward[at]), float(outcomes.reward_at_end[at])
        for copy in range(1 + int(outcomes.copies[call.index])):
            event = f"{call.index}-{copy}"
            self._push(ended_s, Feedback(event, call, variant, at_end))
        if reward != at_end:
            late_s = ended_s + float(outcomes.rating_delay_s[call.index])
            event = f"{call.index}-rating"
            self._push(late_s, Feedback(event, call, variant, reward, revises=at_end))

    def deliver(self, *, until_s: float) -> None:
        while self._heap and self._heap[0][0] <= until_s:
            feedback = heapq.heappop(self._heap)[2]
            begun = perf_counter()
            self._learner.learn(feedback)
            self.learning_s += perf_counter() - begun
            self.count += 1

    def _push(self, at_s: float, feedback: Feedback) -> None:
        self._order += 1
        heapq.heappush(self._heap, (at_s, self._order, feedback))


def _below_best(true: Floats, segment: Floats) -> Floats:
    """Return how far each variant is below the one that is best in the call's segment."""
    best = segment.argmax(axis=1)[:, None]
    below: Floats = np.take_along_axis(true, best, axis=1) - true
    return below
