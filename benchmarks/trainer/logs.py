"""Logs to train on, from simulated callers, and the truth about all 243 combinations of slots.

The logging policies are small stand-ins for a deployment, with exact propensities: the trainer is
judged here, not the bandit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from apps.rl.reward_calc import RewardCalculator
from apps.rl.simulator import Scenario, World
from apps.rl.simulator.callers import Calls
from apps.rl.simulator.outcomes import CallOutcome
from apps.rl.trainer.calls import Gathered, Source, TrainingCall
from apps.rl.trainer.features import ALL_SLOTS
from apps.store.decisions import DecisionRow

Floats = NDArray[np.float64]

POLICIES = ("uniform", "learned", "guarded")
_BATCH = 100
_FLOOR = 0.1
_NOISE = 0.42
_CALCULATOR = RewardCalculator()


@dataclass(frozen=True, slots=True)
class Logged:
    """One log and its truth.

    Attributes:
        gathered: The calls, as the trainer reads them.
        truth: True mean logged reward of every combination, in the order of ``ALL_SLOTS``.
    """

    gathered: Gathered
    truth: Floats


def truth_of(scenario: Scenario, seed: int) -> Floats:
    """Return the true mean logged reward of every combination, over all people."""
    everything = {f"s{i:03}": slots for i, slots in enumerate(ALL_SLOTS)}
    every = replace(scenario, variants={**everything, scenario.base: ALL_SLOTS[0]}, faults={})
    means: Floats = World(every, seed).population_means[: len(ALL_SLOTS)]
    return means


def simulate(scenario: Scenario, seed: int, calls: int, policy: str) -> Gathered:
    """Return a log of so many calls, by one of ``POLICIES``.

    ``uniform`` tries all variants evenly; ``learned`` is Thompson sampling that learns every 100
    calls and spreads 10 % evenly; ``guarded`` gives the base variant 85 % and the others the rest.
    """
    world = World(scenario, seed)
    rng = np.random.default_rng([seed, POLICIES.index(policy)])
    k = len(world.ids)
    counts, sums = np.zeros(k), np.zeros(k)
    found = []
    for begin in range(0, calls, _BATCH):
        batch = world.calls(min(_BATCH, calls - begin))
        outcomes = world.outcomes(batch)
        chances = _chances(policy, counts, sums, world.ids.index(scenario.base), rng)
        chosen = rng.choice(k, len(batch), p=chances)
        for i, arm in enumerate(chosen):
            outcome = outcomes.of(i, int(arm))
            if outcome.reward is None:
                continue
            counts[arm] += 1
            sums[arm] += outcome.reward
            found.append(_call(world, batch, i, int(arm), chances, outcome))
    return Gathered(tuple(found), {}, Source("simulated", calls, calls), frozenset(world.ids))


def _chances(
    policy: str, counts: Floats, sums: Floats, base: int, rng: np.random.Generator
) -> Floats:
    k = len(counts)
    if policy == "uniform":
        return np.full(k, 1.0 / k)
    if policy == "guarded":
        chances = np.full(k, 0.15 / (k - 1))
        chances[base] = 0.85
        return chances
    mean = (sums + 0.2) / (counts + 1.0)
    draws = rng.normal(mean, _NOISE / np.sqrt(counts + 1.0), (4000, k))
    best = np.bincount(draws.argmax(axis=1), minlength=k) / len(draws)
    return np.asarray((1.0 - _FLOOR) * best + _FLOOR / k, np.float64)


def _call(
    world: World, calls: Calls, i: int, arm: int, chances: Floats, outcome: CallOutcome
) -> TrainingCall:
    name, ref = world.ids[arm], f"call{int(calls.index[i])}"
    reward = _CALCULATOR.calculate(outcome.signals)
    context = calls.context(world.scenario, i)
    decision = DecisionRow(
        call_ref=ref,
        variant=name,
        propensity=float(chances[arm]),
        propensities=dict(zip(world.ids, chances.tolist(), strict=True)),
        stages={},
        why="",
        learns=True,
        state_version=0,
        context=context,
        subject=f"caller{int(calls.subject[i])}",
        seq=int(calls.index[i]) + 1,
    )
    return TrainingCall(
        decision=decision,
        slots=world.scenario.variants[name],
        reward=reward.value,
        components=reward.components,
        context=context,
        caller=decision.subject or ref,
    )
