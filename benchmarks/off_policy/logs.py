"""Logs of a small Thompson sampler with known truth, all runs at once."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from apps.rl.off_policy.log import Floats, Ints, Log

ARMS = 12
ROUNDS = 1000
EVERY = 5
FLOOR = 0.1
_NODES = 33
_TABLE_X = np.linspace(-9.0, 9.0, 4001)
_TABLE_CDF = np.array([0.5 * math.erfc(-x / math.sqrt(2)) for x in _TABLE_X])


@dataclass(frozen=True, slots=True)
class World:
    """How rewards come about.

    Attributes:
        means: Spread of the arms' true means.
        noise: Standard deviation of a reward around its caller's.
        calls_each: Mean calls of a caller; 1 for callers who never come back.
        caller_effect: Standard deviation between callers.
    """

    means: float = 0.2
    noise: float = 0.5
    calls_each: int = 1
    caller_effect: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """Logs of many runs.

    Attributes:
        truth: The arms' true means, shape (runs, arms).
        chosen: Shape (runs, rounds).
        reward: Shape (runs, rounds).
        propensities: Shape (runs, rounds, arms).
        caller: Shape (runs, rounds).
    """

    truth: Floats
    chosen: Ints
    reward: Floats
    propensities: Floats
    caller: Ints

    def log(self, run: int) -> Log:
        """Return one run's log."""
        p, chosen = self.propensities[run], self.chosen[run]
        own = p[np.arange(len(chosen)), chosen]
        return Log(chosen, self.reward[run], own, p.shape[1], p, self.caller[run])


def thompson_logs(runs: int, world: World, *, seed: int, rounds: int = ROUNDS) -> Runs:
    """Return logs of a Gaussian Thompson sampler with a floor of 10 % of exploration.

    It learns every five calls, as where calls overlap. The choice is drawn from exactly the
    probabilities that are logged.
    """
    rng = np.random.default_rng(seed)
    made = _strangers(runs, rounds, world, rng)
    count, total = np.zeros((runs, ARMS)), np.zeros((runs, ARMS))
    row = np.arange(runs)
    for t in range(rounds):
        if t % EVERY == 0:
            sd = 1.0 / np.sqrt(1.0 / 0.5**2 + count / world.noise**2)
            chance = best_of(total / world.noise**2 * sd**2, sd)
            chance = (1 - FLOOR) * chance + FLOOR / ARMS
        arm = _draw(chance, rng)
        made.propensities[:, t], made.chosen[:, t] = chance, arm
        made.reward[:, t] += made.truth[row, arm]
        count[row, arm] += 1
        total[row, arm] += made.reward[:, t]
    return made


def fixed_logs(runs: int, world: World, *, seed: int, rounds: int = ROUNDS) -> Runs:
    """Return logs of policies that do not learn: softmax of a rough guess at the true means."""
    rng = np.random.default_rng(seed)
    made = _strangers(runs, rounds, world, rng)
    guess = np.exp((made.truth + rng.normal(0.0, world.means, made.truth.shape)) / 0.3)
    chance = guess / guess.sum(axis=1, keepdims=True)
    for t in range(rounds):
        arm = _draw(chance, rng)
        made.propensities[:, t], made.chosen[:, t] = chance, arm
        made.reward[:, t] += made.truth[np.arange(runs), arm]
    return made


def _strangers(runs: int, rounds: int, world: World, rng: np.random.Generator) -> Runs:
    """Return runs in which nothing was decided yet: the rewards are the callers' part and noise."""
    callers = rounds // world.calls_each
    caller = rng.integers(callers, size=(runs, rounds))
    if world.calls_each == 1:
        caller = np.tile(np.arange(rounds), (runs, 1))
    effect = rng.normal(0.0, world.caller_effect, (runs, callers))
    reward = np.take_along_axis(effect, caller, axis=1)
    reward += rng.normal(0.0, world.noise, reward.shape)
    chosen, propensities = np.zeros((runs, rounds), np.intp), np.empty((runs, rounds, ARMS))
    return Runs(rng.normal(0.2, world.means, (runs, ARMS)), chosen, reward, propensities, caller)


def _draw(chance: Floats, rng: np.random.Generator) -> Ints:
    stacked = np.cumsum(chance, axis=1)
    arms: Ints = (rng.random((len(chance), 1)) * stacked[:, -1:] >= stacked).sum(axis=1)
    return arms


def best_of(means: Floats, sds: Floats) -> Floats:
    """Return each normal variable's probability to be its row's largest, shape (runs, arms)."""
    low = (means - 4 * sds).max(axis=1, keepdims=True)  # nobody below the best one's bottom wins
    high = (means + 4 * sds).max(axis=1, keepdims=True)
    x = low + (high - low) * np.linspace(0.0, 1.0, _NODES)  # (runs, nodes)
    z = (x[:, None, :] - means[:, :, None]) / sds[:, :, None]
    below = np.interp(z, _TABLE_X, _TABLE_CDF) + 1e-12
    density = np.exp(-0.5 * z**2) / sds[:, :, None]
    everyone = np.prod(below, axis=1, keepdims=True)
    chance = (density * everyone / below).sum(axis=2) + 1e-9
    result: Floats = chance / chance.sum(axis=1, keepdims=True)
    return result
