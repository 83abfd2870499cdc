import json
from math import inf, log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.rl.guard.confidence import Contest, spend
from apps.rl.guard.evidence import Evidence, Finding, Sureness
from apps.rl.guard.mixture import STAKES, boundary, log_evidence

SHARES = {"base": 0.9, "a": 0.06, "b": 0.04}

CALLS = st.lists(
    st.tuples(st.floats(-1, 1), st.booleans(), st.floats(0.01, 0.99), st.floats(-0.5, 0.5)),
    max_size=40,
)


def contest(calls) -> Contest:
    found = Contest()
    for reward, own, chance, expected in calls:
        found = found.add(reward, own=own, chance=chance, expected=expected)
    return found


def simulated(difference: float, calls: int, seed: int, chance: float = 0.1) -> Contest:
    rng = np.random.default_rng(seed)
    own = rng.random(calls) < chance
    reward = np.clip(rng.normal(0.2 + difference * own, 0.4), -1, 1)
    return contest((float(r), bool(o), chance, 0.0) for r, o in zip(reward, own, strict=True))


class TestBoundary:
    @given(st.floats(0, 1e4), st.floats(1e-6, 0.5))
    def test_the_boundary_is_where_the_evidence_is_enough(self, spread, alpha):
        assert log_evidence(boundary(spread, alpha), spread) == pytest.approx(-log(alpha), abs=1e-8)

    def test_a_walk_with_bounded_steps_crosses_it_in_fewer_runs_than_allowed(self):
        rng = np.random.default_rng(7)
        steps = np.where(rng.random((2000, 1000)) < 0.2, 0.8, -0.2)  # mean 0, skewed to the right
        ever = log_evidence(steps.cumsum(1)[:, ::5], (steps**2).cumsum(1)[:, ::5]).max(1)
        for alpha in (0.2, 0.05):
            crossed = float(np.mean(ever >= -log(alpha)))
            assert 0.0 < crossed <= alpha

    def test_larger_errors_and_less_spread_give_nearer_boundaries(self):
        assert boundary(10.0, 0.05) < boundary(10.0, 0.01) < boundary(40.0, 0.01)


class TestSpending:
    def test_all_tests_that_may_ever_come_share_one_error(self):
        shares = [spend(0.05, trial) for trial in range(1, 200_001)]
        assert sum(shares) < 0.05
        assert sum(shares) == pytest.approx(0.05, rel=1e-4)
        assert shares == sorted(shares, reverse=True)


class TestContest:
    @settings(max_examples=50)
    @given(CALLS, st.integers(0, 40))
    def test_a_contest_that_was_stored_goes_on_as_if_it_had_not_been(self, calls, cut):
        stored = json.loads(json.dumps(contest(calls[:cut]).as_dict()))
        goes_on = Contest.from_dict(stored)
        for reward, own, chance, expected in calls[cut:]:
            goes_on = goes_on.add(reward, own=own, chance=chance, expected=expected)
        assert goes_on == contest(calls)

    @settings(max_examples=50)
    @given(CALLS)
    def test_the_interval_says_what_the_tests_say(self, calls):
        found = contest(calls)
        low, high = found.difference(0.05)
        if abs(high) > 1e-9:
            assert found.surely_worse(0.05) == (high < 0.0)
        for margin in (0.0, 0.15):
            if abs(low + margin) > 1e-9:
                assert found.surely_not_worse(0.05, margin) == (low > -margin)

    @settings(max_examples=50)
    @given(CALLS)
    def test_what_speaks_for_a_variant_speaks_against_it_when_rewards_are_turned_round(self, calls):
        one = contest(calls)
        other = contest((-r, own, q, -e) for r, own, q, e in calls)
        for mine, theirs in ((one.better, other.worse), (one.worse, other.better)):
            assert mine.total == pytest.approx(theirs.total)
            assert mine.spread == pytest.approx(theirs.spread)

    @settings(max_examples=100)
    @given(
        CALLS,
        st.floats(0.01, 0.99),
        st.tuples(st.floats(-1, 1), st.floats(-1, 1), st.floats(0, 1)),
        st.tuples(st.floats(-1, 1), st.floats(-1, 1), st.floats(0, 1)),
        st.floats(-1, 1),
    )
    def test_no_call_is_expected_to_add_evidence_beyond_the_truth(self, calls, q, mine, base, e):
        # Exactly, over all outcomes of one call whose rewards have two values for each variant.
        before = contest(calls)
        means = [low + (high - low) * p for low, high, p in (mine, base)]
        difference = means[0] - means[1]
        stakes = np.repeat(STAKES[:, None], 2, axis=1)
        expected = np.zeros_like(stakes)
        for own, (low, high, p) in ((True, mine), (False, base)):
            for reward, chance in ((low, 1.0 - p), (high, p)):
                after = before.add(reward, own=own, chance=q, expected=e)
                moves = []
                for now, then, truth in (
                    (after.better, before.better, difference),
                    (after.worse, before.worse, -difference),
                ):
                    gain = now.total - then.total - truth * (now.weight - then.weight)
                    moves.append((gain, now.spread - then.spread))
                gains, spreads = np.array(moves).T
                wealth = np.exp(stakes * gains + (np.log1p(-stakes) + stakes) * spreads)
                expected += (q if own else 1.0 - q) * chance * wealth
        assert (expected <= 1.0 + 1e-9).all()

    def test_nothing_is_known_before_the_first_call(self):
        assert Contest().difference(0.05) == (-2.0, 2.0)
        assert Contest().better.floor(0.05) == -inf
        assert not Contest().surely_worse(0.05)

    def test_a_variant_worse_by_three_tenths_is_found(self):
        found = simulated(-0.3, 2500, seed=1)
        assert found.surely_worse(0.002)
        low, high = found.difference(0.002)
        assert low < -0.3 < high < 0.0

    def test_a_better_variant_passes_the_gate_and_is_never_worse(self):
        found = simulated(0.2, 2500, seed=2)
        assert found.surely_not_worse(0.1, 0.15)
        assert not found.surely_worse(0.05)

    def test_the_interval_holds_the_difference_at_all_looks(self):
        missed = 0
        for seed in range(60):
            rng = np.random.default_rng([1, seed])
            found, wrong = Contest(), False
            for step in range(400):
                own = bool(rng.random() < 0.3)
                reward = float(2 * (rng.random() < (0.5 if own else 0.6)) - 1)
                found = found.add(reward, own=own, chance=0.3)
                if step % 20 == 19:
                    low, high = found.difference(0.05)
                    wrong |= not low <= -0.2 <= high
            missed += wrong
        assert missed <= 6  # an error of 0.05 at each end

    def test_hours_that_are_bad_for_both_do_not_blame_the_variant(self):
        # The variant is tried in the bad hours above all: its plain mean is far below the base's.
        rng = np.random.default_rng(5)
        blamed, means = 0, []
        for _ in range(20):
            found, sums, counts = Contest(), [0.0, 0.0], [0, 0]
            for step in range(800):
                bad = step // 100 % 2 == 1
                chance = 0.5 if bad else 0.05
                own = bool(rng.random() < chance)
                reward = float(np.clip(rng.normal(-0.3 if bad else 0.5, 0.2), -1, 1))
                sums[own] += reward
                counts[own] += 1
                found = found.add(reward, own=own, chance=chance)
            means.append(sums[1] / counts[1] - sums[0] / counts[0])
            blamed += found.surely_worse(0.05)
        assert max(means) < -0.3
        assert blamed <= 1

    def test_what_the_context_lets_expect_narrows_the_interval(self):
        rng = np.random.default_rng(3)
        plain = adjusted = Contest()
        for _ in range(1500):
            own, context = bool(rng.random() < 0.2), float(rng.choice([-0.5, 0.5]))
            reward = float(np.clip(context + rng.normal(0.0, 0.2), -1, 1))
            plain = plain.add(reward, own=own, chance=0.2)
            adjusted = adjusted.add(reward, own=own, chance=0.2, expected=context)
        wide, narrow = (np.subtract(*c.difference(0.05)[::-1]) for c in (plain, adjusted))
        assert narrow < 0.7 * wide
        low, high = adjusted.difference(0.05)
        assert low < 0.0 < high

    @pytest.mark.parametrize(("reward", "chance"), [(1.5, 0.5), (0.0, 0.0), (0.0, 1.0)])
    def test_what_cannot_be_is_refused(self, reward, chance):
        with pytest.raises(ValueError):
            Contest().add(reward, own=True, chance=chance)


class TestEvidence:
    def evidence(self, worse: float = 0.0, calls: int = 3000, seed: int = 0) -> Evidence:
        rng = np.random.default_rng(seed)
        found, names = Evidence("base"), list(SHARES)
        for chosen in rng.choice(names, calls, p=list(SHARES.values())):
            mean = 0.3 - (worse if chosen == "b" else 0.0)
            reward = float(np.clip(rng.normal(mean, 0.3), -1, 1))
            found = found.add(str(chosen), reward, SHARES)
        return found

    def test_the_bad_variant_is_found_beside_a_good_one(self):
        found = self.evidence(worse=0.5)
        assert found.verdict("b").finding is Finding.WORSE
        assert "b is surely worse beside base" in found.verdict("b").why
        assert not found.surely_worse("a")

    def test_a_sound_variant_passes_the_gate(self):
        verdict = self.evidence().verdict("a", Sureness(margin=0.2))
        assert verdict.finding is Finding.NOT_WORSE
        assert verdict.low < 0.0 < verdict.high

    def test_a_variant_without_calls_is_open(self):
        assert Evidence("base").verdict("c").finding is Finding.OPEN
        assert Evidence("base").difference("c") == (-2.0, 2.0)

    def test_calls_that_could_not_have_gone_to_the_other_tell_nothing(self):
        empty = Evidence("base")
        assert empty.add("base", 1.0, {"base": 1.0, "a": 0.0}) == empty
        assert empty.add("a", 1.0, {"base": 0.0, "a": 1.0}) == empty

    def test_base_calls_from_before_a_variant_joined_do_not_count(self):
        before = Evidence("base").add("base", 1.0, {"base": 0.9, "a": 0.1})
        joined = before.add("base", 1.0, SHARES)
        assert joined.trials["a"].contest.base_calls == 2
        assert joined.trials["b"].contest.base_calls == 1
        assert joined.trials["b"].number == 2

    @pytest.mark.parametrize("before", [400, 500])
    def test_a_variant_that_was_good_for_long_and_turns_bad_is_found(self, before):
        rng = np.random.default_rng(before)
        shares, found, own = {"base": 0.6, "a": 0.4}, Evidence("base"), 0
        while not found.surely_worse("a"):
            chosen = "a" if rng.random() < 0.4 else "base"
            own += chosen == "a"
            difference = 0.0 if chosen == "base" else 0.2 if own < before else -0.5
            reward = float(np.clip(rng.normal(0.2 + difference, 0.4), -1, 1))
            found = found.add(chosen, reward, shares)
        assert before < own < before + 250
        low, high = found.difference("a")  # of the recent calls, since these decide
        assert low < -0.2
        assert high < 0.0
        assert found.trials["a"].contest.difference(0.05)[1] > 0.0

    def test_a_second_chance_spends_an_error_of_its_own(self):
        found = self.evidence(worse=0.5).restart("b")
        assert found.trials["b"].contest == Contest()
        assert found.trials["b"].number == 3
        assert not found.surely_worse("b")

    def test_evidence_that_was_stored_goes_on_as_if_it_had_not_been(self):
        found = self.evidence(calls=5000).restart("a")
        assert found.blocks > 0
        stored = Evidence.from_dict(json.loads(json.dumps(found.as_dict())))
        assert stored == found
        assert stored.add("a", 0.3, SHARES) == found.add("a", 0.3, SHARES)
