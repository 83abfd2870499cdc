"""Decisions and updates a second of everybody, by the same calls of twelve variants.

A second is one of this process's, which is one thread: other programs do not count.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import process_time
from typing import Any

import numpy as np

from apps.rl.policies import LinearPolicy, NigPolicy
from apps.rl.variants import GuardRules
from benchmarks.learning.guarded import Deployment
from benchmarks.learning.learners import Feedback, Learner, Seen, Task
from benchmarks.learning.ours import Ours
from benchmarks.learning.roster import SIMULATED, Entry
from benchmarks.learning.run import course
from benchmarks.learning.scenarios import STATIONARY

CALLS = 1500
TAUGHT = 1000
REPEATS = 3


def speeds(roster: Mapping[str, Entry] = SIMULATED) -> dict[str, Any]:
    """Return decisions and updates per second: of each learner the best of some repeats.

    Each is taught some calls of a simulated world; then it decides on others, and learns others,
    in a row. Ours are also timed with the probabilities of the choice.
    """
    by: dict[str, dict[str, float]] = {}
    for name, entry in roster.items():
        taught = [_taught(entry) for _ in range(REPEATS)]
        by[name] = {
            "decisions": max(_rate(learner.choose, calls) for learner, calls, _ in taught),
            "updates": max(_rate(learner.learn, told) for learner, _, told in taught),
        }
        learner, calls, _ = taught[0]
        if isinstance(learner, Ours):
            by[f"{name}, with propensities"] = {
                "decisions": max(_rate(learner.propensities, calls) for _ in range(REPEATS)),
                "updates": 0.0,
            }
    return {
        "by": by,
        "live": {policy.kind: live(policy) for policy in (NigPolicy(), LinearPolicy())},
    }


def live(policy: NigPolicy | LinearPolicy) -> dict[str, float]:
    """Return how long a choice takes after the guard, with all its propensities, in milliseconds.

    Without the store: ``python -m benchmarks.store`` measures it with.
    """
    on = course(STATIONARY, seed=0)
    ids, scenario = on.world.ids, on.world.scenario
    slots = {name: scenario.variants[name].as_dict() for name in ids}
    rules, rng = GuardRules(base_variant=scenario.base), np.random.default_rng(0)
    deployment = Deployment(ids, rules, policy.knowing(slots), rng)
    took = []
    for i in range(2 * CALLS):
        context = on.calls.context(scenario, i)
        begun = process_time()
        choice = deployment.choose(context)
        took.append(1e3 * (process_time() - begun))
        reward = float(np.nan_to_num(on.outcomes.reward_at_end[i, ids.index(choice.variant)]))
        deployment.learn(choice, reward, context=context)
    p50, p99 = np.quantile(took[TAUGHT:], [0.5, 0.99])
    return {"p50_ms": round(float(p50), 3), "p99_ms": round(float(p99), 3)}


def _taught(entry: Entry) -> tuple[Learner, list[Seen], list[Feedback]]:
    """Return a learner that knows something, calls to decide on and feedback to learn."""
    on = course(STATIONARY, seed=0)
    ids = on.world.ids
    task = Task(ids, 0, on.world.variants.one_hot, on.features.shape[1], CALLS, seed=0)
    learner = entry.make(task)
    seen = [
        Seen(i, i, on.features[i], on.calls.context(on.world.scenario, i)) for i in range(2 * CALLS)
    ]
    feedback = []
    for call in seen:
        if call.index < TAUGHT or call.index >= CALLS:
            arm = learner.choose(call)
            reward = float(np.nan_to_num(on.outcomes.reward_at_end[call.index, arm]))
            feedback.append(Feedback(f"{call.index}", call, arm, reward))
            if call.index < TAUGHT:
                learner.learn(feedback[-1])
    return learner, seen[TAUGHT:CALLS], feedback[TAUGHT:]


def _rate(act: Callable[[Any], object], on: list[Any]) -> float:
    begun = process_time()
    for one in on:
        act(one)
    return round(len(on) / (process_time() - begun), 1)
