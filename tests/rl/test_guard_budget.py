import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.rl.guard.budget import Budget, BudgetRules

CALLS = st.lists(st.tuples(st.floats(-1, 1), st.booleans()), max_size=40)


def budget(calls, rules: BudgetRules | None = None) -> Budget:
    found = Budget()
    for reward, base in calls:
        found = found.add(reward, base=base, rules=rules)
    return found


def simulated(difference: float, others: float, calls: int, seed: int) -> tuple[Budget, int]:
    """Return the budget at the end, and how many calls the base had to serve alone."""
    rng = np.random.default_rng(seed)
    found, alone = Budget(), 0
    for u in rng.random(calls):
        other = u < others and not found.exhausted
        alone += found.exhausted
        reward = float(np.clip(rng.normal(0.3 + difference * other, 0.4), -1, 1))
        found = found.add(reward, base=not other)
    return found, alone


class TestBudget:
    def test_a_new_installation_may_try_something(self):
        assert not Budget().exhausted
        assert Budget().left() > 0.0

    def test_variants_like_the_base_never_exhaust_it(self):
        assert [simulated(0.0, 0.15, 1000, seed)[1] for seed in range(5)] == [0] * 5

    def test_variants_that_are_far_worse_exhaust_it_and_the_base_serves_until_it_recovers(self):
        found, alone = simulated(-1.0, 0.3, 1500, seed=0)
        assert alone > 500
        assert found.others > 30  # it has recovered, again and again
        held = found
        while not held.exhausted:
            held = held.add(-1.0, base=False)
        assert "only the base variant serves" in held.why()
        for _ in range(400):
            held = held.add(0.3, base=True)
        assert not held.exhausted
        assert "holds" in held.why()

    def test_what_was_earned_is_never_below_the_promise(self):
        rules = BudgetRules(alpha=0.1, credit=5.0)
        for seed in range(5):
            rng = np.random.default_rng(seed)
            found, earned, owed = Budget(), 0.0, 0.0
            for _ in range(1000):
                other = rng.random() < 0.5 and not found.exhausted
                mean = -0.6 if other else 0.3
                found = found.add(
                    float(rng.choice([-1, 1], p=[(1 - mean) / 2, (1 + mean) / 2])),
                    base=not other,
                    rules=rules,
                )
                earned += 1.0 + mean
                owed += (1.0 - rules.alpha) * 1.3
                assert earned + rules.credit + 10.0 >= owed  # 10: luck of the others' rewards

    def test_once_exhausted_it_must_have_something_in_reserve(self):
        rules = BudgetRules(resume=5.0)
        found = budget([(0.3, True)] * 50, rules)
        while not found.exhausted:
            found = found.add(-1.0, base=False, rules=rules)
        while found.exhausted:
            assert found.left(rules) < 5.0
            found = found.add(0.3, base=True, rules=rules)
        assert found.left(rules) >= 5.0

    def test_the_less_is_known_of_the_base_the_less_may_be_lost(self):
        few = budget([(0.3, True)] * 10 + [(0.3, False)] * 30)
        many = budget([(0.3, True)] * 20 + [(0.3, False)] * 30)
        assert few.left() < many.left()

    @settings(max_examples=50)
    @given(CALLS, st.integers(0, 40))
    def test_a_fold_that_was_stored_goes_on_as_if_it_had_not_been(self, calls, cut):
        goes_on = Budget.from_dict(json.loads(json.dumps(budget(calls[:cut]).as_dict())))
        for reward, base in calls[cut:]:
            goes_on = goes_on.add(reward, base=base)
        assert goes_on == budget(calls)

    @settings(max_examples=50)
    @given(CALLS)
    def test_a_better_call_never_leaves_less_for_the_others(self, calls):
        found = budget(calls)
        worse, better = (found.add(r, base=False).left() for r in (-0.5, 0.5))
        assert better == pytest.approx(worse + 1.0)
