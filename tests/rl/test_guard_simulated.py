"""The whole guard, by its pure parts, on simulated callers; and a live selector on a store."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from apps.rl.guard.stages import Stage
from apps.rl.guard.window import CAPPED, seats_of
from apps.rl.policies import NigPolicy
from apps.rl.selector import CallFeedback, PolicySelector
from apps.rl.signals import CallFacts, TurnFacts
from apps.rl.simulator import Fault, World
from apps.rl.variants import GuardRules
from apps.store.database import open_database
from apps.store.decisions import decisions_since
from apps.store.feedback import Flag, feedback_since
from benchmarks.learning.guarded import Deployment
from benchmarks.learning.scenarios import SCENARIOS
from tests.rl.conftest import Parts
from tests.rl.test_guard_window import most_in_any_window

CALLS = 3000
GOOD = CallFacts((TurnFacts(answered=True, grounded=True),), True, duration_s=60.0)
BROKEN = {"v2b": Fault(unsafe=1.0), "v2c": Fault(hang_up=1.0)}


def simulated(seed: int) -> Deployment:
    """Let the product hold 3,000 simulated calls with two broken variants."""
    scenario = replace(SCENARIOS["stationary"], name="two broken", faults=BROKEN)
    world = World(scenario, seed)
    outcomes = world.outcomes(world.calls(CALLS))
    rules = GuardRules(base_variant=scenario.base)
    run = Deployment(world.ids, rules, NigPolicy(), np.random.default_rng(seed))
    for i in range(CALLS):
        choice = run.choose()
        end = outcomes.of(i, world.ids.index(choice.variant))
        flags = {"hang_up": end.abandoned, "unsafe": end.unsafe}
        run.learn(choice, end.reward_at_end, flags=[flag for flag, found in flags.items() if found])
    return run


def test_broken_variants_are_stopped_within_a_handful_of_calls_and_the_caps_hold() -> None:
    run = simulated(seed=1)
    acts = {(act.actor, act.action, act.variant) for act in run.acts}
    assert acts == {("guard", "blacklist", "v2b"), ("guard", "pause", "v2c")}
    assert run.state.stages["v2b"] is Stage.BLACKLISTED
    assert run.state.stages["v2c"] is Stage.PAUSED
    calls = Counter(choice.variant for choice in run.chosen)
    assert calls["v2b"] == 1
    assert 3 <= calls["v2c"] <= 8
    assert min(calls[name] for name in run.names if name not in BROKEN) >= 10
    taken = [choice.stage.value for choice in run.chosen]
    for capped in CAPPED:
        assert 0 < most_in_any_window(taken, capped, 200) <= seats_of(capped, run.rules)
    assert min(choice.propensities[choice.variant] for choice in run.chosen) > 0.0


async def test_selectors_of_several_processes_keep_the_caps_and_stop_what_is_unsafe_once(
    parts: Parts,
) -> None:
    where = parts.db.url.render_as_string(hide_password=False)
    stores = [open_database(where) for _ in range(3)]
    guards = [replace(parts, db=db).guard(seed=k, cap_window=40) for k, db in enumerate(stores)]
    selectors = [PolicySelector(guard) for guard in guards]
    for i in range(30):
        refs = [f"c{i}-{k}" for k in range(3)]
        choosing = (s.choose(ref, {}) for s, ref in zip(selectors, refs, strict=True))
        decisions = await asyncio.gather(*choosing)
        for selector, ref, decision in zip(selectors, refs, decisions, strict=True):
            harmless = decision.stages[decision.variant] == "base"
            facts = GOOD if harmless else replace(GOOD, flags=(Flag.UNSAFE,))
            await selector.learn(ref, CallFeedback(facts, "kfz"))
    rows = await parts.db.query(decisions_since, 0)
    taken = [row.stage for row in rows]
    assert [row.stages[row.variant] for row in rows] == taken
    assert 2 <= most_in_any_window(taken, Stage.NEW, 40) <= 4
    events = await parts.db.query(feedback_since, 0)
    unsafe = {event.variant for event in events if event.flags}
    assert unsafe
    stopped = [str(act.variant) for act in guards[0].acts() if act.action == "blacklist"]
    assert sorted(stopped) == sorted(unsafe)
    for store in (parts.db, *stores):
        await store.aclose()


async def test_full_seats_show_in_the_stored_probabilities(parts: Parts) -> None:
    guard = parts.guard(seed=0, cap_window=20, split_new=0.5, split_uncertain=0.0)
    selector = PolicySelector(guard)
    decisions = [await selector.choose(f"c{i}", {}) for i in range(40)]
    for n, decision in enumerate(decisions):
        latest = [d.stages[d.variant] for d in decisions[max(0, n - 19) : n]]
        wanted = 0.0 if latest.count("new") >= 10 else 0.5
        new = sum(p for name, p in decision.propensities.items() if decision.stages[name] == "new")
        assert new == pytest.approx(wanted)
    assert {0.0, 0.5} == {round(1.0 - decision.propensities["v1a"], 9) for decision in decisions}
    await parts.db.aclose()
