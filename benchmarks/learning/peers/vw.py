"""Vowpal Wabbit 9.11: ``--cb_explore_adf`` with features of the call and of the variants."""

from __future__ import annotations

import numpy as np
from vowpalwabbit import Workspace

from benchmarks.learning.learners import Feedback, Floats, Seen, Task

ALWAYS = "--cb_explore_adf --cb_type mtr --quiet -q ci"
"""The call's features crossed with the variant's id, and with its slot values where it has some."""


class VowpalWabbit:
    """A contextual bandit with action-dependent features; costs lie in [0, 1].

    Args:
        task: What is known before the first call.
        options: The kind of exploration and its parameters.
    """

    def __init__(self, task: Task, options: str) -> None:
        slots = task.one_hot.shape[1] > 0
        crossed = f"{ALWAYS} -q cs" if slots else ALWAYS
        self._vw = Workspace(f"{crossed} {options} --random_seed {task.seed}")
        self._rng, self._low = np.random.default_rng(task.seed), task.low
        self._arms = [
            f"|i v{k}" + (" |s " + _sparse(row) if slots else "")
            for k, row in enumerate(task.one_hot)
        ]
        self._chances: dict[int, float] = {}  # by call, until its reward is known

    def choose(self, call: Seen) -> int:
        """Return a variant drawn from the probabilities that it gives."""
        chances = np.array(self._vw.predict([_shared(call.features), *self._arms]))
        arm = int(self._rng.choice(len(chances), p=chances / chances.sum()))
        self._chances[call.index] = float(chances[arm])
        return arm

    def learn(self, feedback: Feedback) -> None:
        """Learn from a cost and the probability of what was chosen."""
        if feedback.revises is not None:
            return
        cost = (1.0 - feedback.reward) / (1.0 - self._low)
        chance = self._chances[feedback.call.index]
        arms = list(self._arms)
        arms[feedback.variant] = f"0:{cost:.5f}:{chance:.6f} {arms[feedback.variant]}"
        self._vw.learn([_shared(feedback.call.features), *arms])


def squarecb(task: Task, gamma: float = 10.0, rate: float = 0.5) -> VowpalWabbit:
    """Return inverse gap weighting (Foster and Rakhlin 2020)."""
    return VowpalWabbit(task, f"--squarecb --gamma_scale {gamma} -l {rate}")


def regcb(task: Task, mellowness: float = 0.001, rate: float = 0.5) -> VowpalWabbit:
    """Return RegCB with optimism (Foster et al. 2018)."""
    return VowpalWabbit(task, f"--regcb --regcbopt --mellowness {mellowness} -l {rate}")


def _shared(features: Floats) -> str:
    return "shared |c " + _sparse(features)


def _sparse(row: Floats) -> str:
    return " ".join(f"{k}:{row[k]:.5g}" for k in np.flatnonzero(row))
