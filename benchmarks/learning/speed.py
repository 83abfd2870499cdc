"""Decisions and updates a second of each policy: ``python -m benchmarks.learning.speed``.

Each has learned a simulated world's first 2,000 calls, the variants by turns. Then it decides
the next ones, without and with all variants' probabilities, by one thread. A second is one of this
process's, so that other programs on the machine do not count; the 99th percentile beside it is what
a caller would wait, other programs and all.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from time import perf_counter, process_time

import numpy as np

from apps.rl.policies import KINDS, Outcome, new_policy
from apps.rl.simulator import World
from benchmarks.learning.learners import Task
from benchmarks.learning.ours import slots_of
from benchmarks.learning.scenarios import STATIONARY

LEARNED, DECIDED = 2000, 4000


def timed(act: Callable[[int], object], n: int) -> tuple[float, float]:
    """Return how often a second ``act`` can be done, and its 99th percentile in milliseconds."""
    waits = np.empty(n)
    begun = process_time()
    for i in range(n):
        at = perf_counter()
        act(i)
        waits[i] = perf_counter() - at
    return n / (process_time() - begun), float(np.quantile(waits, 0.99) * 1000.0)


def row(kind: str, world: World) -> str:
    """Return a policy's line of the table."""
    calls = world.calls(LEARNED + DECIDED)
    rewards = np.nan_to_num(world.outcomes(calls).reward)
    contexts = [calls.context(STATIONARY, i) for i in range(len(calls))]
    names, rng = tuple(world.ids), np.random.default_rng(0)
    task = Task(names, 0, world.variants.one_hot, 1, len(calls), 0)
    policy = new_policy(kind).knowing(slots_of(task))

    def learn(i: int) -> None:
        nonlocal policy
        k = i % len(names)
        policy = policy.learned(Outcome(names[k], float(rewards[i, k]), contexts[i]))

    def scored(i: int) -> int:
        return int(policy.scores(names, contexts[LEARNED + i], rng).argmax())

    def weighed(i: int) -> object:
        return policy.chances(names, contexts[LEARNED + i])

    updates, _ = timed(learn, LEARNED)
    n = DECIDED // 20 if kind == "beta" else DECIDED
    cells = [
        f"{value:,.{digits}f}"
        for act in (scored, weighed)
        for value, digits in zip(timed(act, n), (0, 2), strict=True)
    ]
    return f"| {kind} | {' | '.join(cells)} | {updates:,.0f} |"


def main() -> int:
    """Print a table in Markdown."""
    print("| policy | decisions/s | p99, ms | with propensities/s | p99, ms | updates/s |")
    print("|---|---|---|---|---|---|")
    for line in map(partial(row, world=World(STATIONARY, 0)), KINDS):
        print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
