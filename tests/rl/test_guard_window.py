"""The hard caps: in no so many consecutive decisions do new or uncertain variants get more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.rl.guard.stages import Stage
from apps.rl.guard.window import CAPPED, full_stages, seats_of
from apps.rl.propensity import allocate
from apps.rl.variants import GuardRules
from apps.store.decisions import DecisionRow, add_decision, count_stages
from tests.rl.conftest import Parts

RULES = GuardRules(base_variant="base")


@pytest.mark.parametrize(
    ("share", "window", "seats"), [(0.1, 200, 20), (0.05, 200, 10), (0.07, 100, 7), (0.1, 25, 2)]
)
def test_seats_are_the_shares_whole_calls(share: float, window: int, seats: int) -> None:
    rules = replace(RULES, split_new=share, cap_window=window)
    assert seats_of(Stage.NEW, rules) == seats
    assert seats_of(Stage.BASE, rules) == window


def test_a_stage_is_full_when_its_seats_are_taken() -> None:
    assert full_stages({"new": 19, "uncertain": 9}, RULES) == frozenset()
    assert full_stages({"new": 20, "uncertain": 9, "base": 170}, RULES) == {Stage.NEW}
    assert full_stages({"new": 20, "uncertain": 10}, RULES) == {Stage.NEW, Stage.UNCERTAIN}


def eager(names: Sequence[str]) -> dict[str, float]:
    """Want anything rather than the base."""
    wanted = [name for name in names if name != "base"]
    return {name: 1.0 / len(wanted) if name in wanted else 0.0 for name in names} or {}


def most_in_any_window(stages: Sequence[str], stage: Stage, window: int) -> int:
    counted = np.cumsum([0, *(found == stage.value for found in stages)])
    return int((counted[window:] - counted[:-window]).max()) if len(stages) >= window else 0


@given(
    window=st.integers(20, 60),
    split_new=st.floats(0.05, 0.5),
    split_uncertain=st.floats(0.05, 0.5),
    shifts=st.lists(
        st.tuples(
            st.integers(0, 300),
            st.sampled_from([f"v{i}" for i in range(6)]),
            st.sampled_from(["new", "uncertain", "established", "paused", "blacklisted"]),
        ),
        max_size=40,
    ),
    seed=st.integers(0, 2**32 - 1),
)
@settings(deadline=None, max_examples=40)
def test_whatever_is_chosen_and_however_stages_change_every_window_keeps_its_caps(
    window: int,
    split_new: float,
    split_uncertain: float,
    shifts: list[tuple[int, str, str]],
    seed: int,
) -> None:
    rules = replace(RULES, cap_window=window, split_new=split_new, split_uncertain=split_uncertain)
    stages = {"base": Stage.BASE} | {f"v{i}": Stage.NEW for i in range(6)}
    rng = np.random.default_rng(seed)
    taken: list[str] = []
    for step in range(300):
        stages |= {name: Stage(to) for at, name, to in shifts if at == step}
        full = full_stages(Counter(taken[-(window - 1) :]), rules)
        # As if all probability that the caps leave open were used up each time.
        eligible = [
            name
            for name, p in allocate(eager, stages, replace(rules, split_new=1.0), full=full).items()
            if p > 0.0
        ]
        pushed = [name for name in eligible if stages[name] in CAPPED]
        taken.append(stages[str(rng.choice(pushed or eligible))].value)
    for stage in CAPPED:
        assert most_in_any_window(taken, stage, window) <= seats_of(stage, rules)


def test_the_store_counts_the_latest_decisions_by_stage(parts: Parts) -> None:
    with parts.db.transaction() as conn:
        for i, stage in enumerate(["new"] * 3 + ["base"] * 4 + ["uncertain"] * 2):
            row = DecisionRow(f"c{i}", "v", 0.5, {"v": 0.5}, {}, "", True, 0, stage=stage)
            add_decision(conn, row)
        assert count_stages(conn, 5) == {"uncertain": 2, "base": 3}
        assert count_stages(conn, 100) == {"new": 3, "base": 4, "uncertain": 2}
        assert count_stages(conn, 100, tenant="other") == {}
