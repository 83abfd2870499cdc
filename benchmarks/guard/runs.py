"""Runs of the guard on simulated callers, many in lockstep, and when each rule would blacklist."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from apps.rl.guard.evidence import Sureness
from apps.rl.guard.window import CAPPED, seats_of
from apps.rl.simulator import Scenario, World
from apps.rl.variants import GuardRules
from benchmarks.guard import rules as tests
from benchmarks.guard.traffic import (
    BASE,
    ESTABLISHED,
    NEW,
    NUMBERS,
    UNCERTAIN,
    Arms,
    Bools,
    Floats,
    Ints,
    Policy,
    Window,
    allocate,
    draw,
)


class Traffic(StrEnum):
    """Who decides which variant a call gets."""

    GUARDED = "guarded"
    """Thompson sampling within the guard's caps, as it serves."""
    THOMPSON = "thompson"
    """Thompson sampling with the exploration floor alone."""
    UNIFORM = "uniform"
    """Every variant as often as any other: the most looks at each."""


RULES = (
    "contest",
    "joined",
    "asymptotic",
    "threshold",
    "z",
    "z_bonferroni",
    "z_bonferroni_once",
)
"""The guard's own rule first; see ``_looks``."""

NEVER = -1
_SELDOM = 5
"""The other rules are looked at after every fifth call only: of innocents they find fewer so."""


@dataclass(frozen=True, slots=True)
class Found:
    """What came of some runs.

    Attributes:
        own: By rule, each variant's own rewarded calls when it would have been blacklisted first,
            ``NEVER`` where it was not; shape (runs, variants).
        at: The same, in calls of all variants.
        calls: Each variant's rewarded calls at the end.
        most: By stage, the largest number of its decisions in any window of each run.
        established: Variants that stood as established at the end.
    """

    own: Mapping[str, Ints]
    at: Mapping[str, Ints]
    calls: Ints
    most: Mapping[str, Ints]
    established: Bools

    def joined(self, other: Found) -> Found:
        """Return these runs and others."""

        def both(one: Mapping[str, Ints], two: Mapping[str, Ints]) -> Mapping[str, Ints]:
            return {name: np.concatenate([one[name], two[name]]) for name in one}

        return Found(
            both(self.own, other.own),
            both(self.at, other.at),
            np.concatenate([self.calls, other.calls]),
            both(self.most, other.most),
            np.concatenate([self.established, other.established]),
        )


@dataclass(frozen=True, slots=True)
class Drawn:
    """What becomes of every call with every variant.

    Attributes:
        reward: Shape (runs, calls, kinds); NaN is an abandoned call.
        kind: Each variant's kind, shape (variants,): variants that are alike share their rewards.
    """

    reward: Floats
    kind: Ints


def rewards(scenario: Scenario, seeds: range, calls: int) -> Drawn:
    """Return the simulated callers' rewards."""
    kinds = [scenario.base, *(name for name in scenario.faults if name in scenario.variants)]
    small = replace(
        scenario, calls=calls, variants={name: scenario.variants[name] for name in kinds}
    )
    reward = np.empty((len(seeds), calls, len(kinds)))
    for run, seed in enumerate(seeds):
        world = World(small, seed)
        for begin in range(0, calls, 4096):
            part = world.calls(min(4096, calls - begin))
            reward[run, begin : begin + len(part)] = world.outcomes(part).reward
    kind = [kinds.index(name) if name in kinds else 0 for name in scenario.variants]
    return Drawn(reward, np.array(kind))


def run(
    drawn: Drawn,
    traffic: Traffic,
    guard: GuardRules,
    *,
    seed: int,
    active: bool = False,
    sure: Sureness | None = None,
) -> Found:
    """Let all runs go, call by call.

    Args:
        drawn: The rewards.
        traffic: Who decides.
        guard: The guard's rules.
        seed: Of the draws.
        active: Whatever the guard's own rule blacklists gets no call any more; else all rules
            only watch the same traffic, which changes nothing about when each is first met.
        sure: How sure the guard must be.
    """
    sure = sure or Sureness()
    course = _Course(drawn, traffic, guard, sure, active)
    rng = np.random.default_rng(seed)
    for step in range(drawn.reward.shape[1]):
        course.step(step, rng.random(len(drawn.reward)))
    return course.found()


class _Course:
    """The state of runs in lockstep."""

    def __init__(
        self, drawn: Drawn, traffic: Traffic, guard: GuardRules, sure: Sureness, active: bool
    ) -> None:
        (runs, self._steps, _), variants = drawn.reward.shape, len(drawn.kind)
        self._drawn, self._traffic, self._guard = drawn, traffic, guard
        self._sure, self._active = sure, active
        self._rows = np.arange(runs)
        self.arms = Arms.none(runs, variants)
        self._policy = Policy(self.arms)
        self.trials = tests.Trials(runs, variants)
        self._joined = tests.Joined(runs, variants)
        self.window = Window(runs, guard)
        self.good = np.zeros((runs, variants), np.bool_)
        self.bad = np.zeros((runs, variants), np.bool_)
        shape = (runs, variants)
        self._own = {rule: np.full(shape, NEVER) for rule in RULES}
        self._at = {rule: np.full(shape, NEVER) for rule in RULES}
        self._most = {stage: np.zeros(runs, np.int64) for stage in CAPPED}
        self._shown = {stage: np.zeros((runs, guard.cap_window), np.bool_) for stage in CAPPED}

    def stages(self) -> Ints:
        """Return every variant's stage, as ``standing.stage_of`` does."""
        stages = np.where(self.good, ESTABLISHED, UNCERTAIN)
        stages[self.arms.calls < self._guard.min_pulls_for_confidence] = NEW
        stages[:, 0] = BASE
        return stages

    def shares(self, stages: Ints) -> Floats:
        """Return the probabilities of the next choice."""
        runs, variants = stages.shape
        if self._traffic is Traffic.UNIFORM:
            return np.full((runs, variants), 1.0 / variants)
        if self._traffic is Traffic.THOMPSON:
            everything = np.ones(stages.shape, np.bool_)
            free, floor = self._policy.chances(everything, "free"), self._guard.exploration_rate
            mixed: Floats = (1.0 - floor) * free + floor / variants
            return mixed
        return allocate(self._policy, stages, self.window, self._guard, out=self.bad)

    def step(self, step: int, u: Floats) -> None:
        """Let one call come in each run."""
        stages = self.stages()
        shares = self.shares(stages)
        chosen = draw(shares, u)
        self._count(step, stages[self._rows, chosen])
        reward = self._drawn.reward[self._rows, step, self._drawn.kind[chosen]]
        own = np.zeros(shares.shape, np.bool_)
        own[self._rows, chosen] = True
        there = np.flatnonzero(~np.isnan(reward))
        self.arms.add(there, chosen[there], reward[there])
        self._joined.add(there, chosen[there], reward[there])
        changed = self.trials.add(own, shares, reward)
        sure = self._sure
        good = tests.surely_not_worse(self.trials.whole, changed, sure.gate_alpha, sure.margin)
        self.good = np.where(changed, good, self.good)
        for rule, worse in self._looks(step, changed).items():
            first = worse & (self._at[rule] == NEVER)
            self._at[rule][first] = step + 1
            self._own[rule][first] = self.arms.calls[first]
        if self._active:
            self.bad = self._at["contest"] != NEVER

    def _looks(self, step: int, changed: Bools) -> Mapping[str, Bools]:
        alpha = self._sure.alpha
        found = {"contest": self.trials.surely_worse(changed, alpha)}
        if self._active:
            return found
        if (step + 1) % _SELDOM:
            return found
        each = alpha / (changed.shape[1] - 1)
        corrected = tests.z_test(self.arms, tests.normal_quantile(1.0 - each))
        return found | {
            "joined": self._joined.surely_worse(alpha),
            "asymptotic": tests.asymptotic_sequence(self.arms, each),
            "threshold": tests.threshold(self.arms),
            "z": tests.z_test(self.arms, tests.normal_quantile(1.0 - alpha)),
            "z_bonferroni": corrected,
            "z_bonferroni_once": corrected & (step + 1 == self._steps),
        }

    def _count(self, step: int, chosen: Ints) -> None:
        """Count each window apart from ``Window``, so that a mistake there would show."""
        self.window.add(chosen)
        for stage, shown in self._shown.items():
            shown[:, step % shown.shape[1]] = chosen == NUMBERS[stage]
            self._most[stage] = np.maximum(self._most[stage], shown.sum(axis=1))

    def found(self) -> Found:
        """Return what came of it."""
        most = {stage.value: most for stage, most in self._most.items()}
        established = self.stages() == ESTABLISHED
        return Found(self._own, self._at, self.arms.calls, most, established)


def seats(guard: GuardRules) -> Mapping[str, int]:
    """Return how many decisions of a window each capped stage may have."""
    return {stage.value: seats_of(stage, guard) for stage in CAPPED}
