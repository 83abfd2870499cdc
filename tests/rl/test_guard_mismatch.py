import json
from math import exp, log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.rl.guard.mismatch import AWAITED, TILTS, Ends, Mismatch, Ratio

SHARES = {"base": 0.85, "a": 0.1, "b": 0.05, "off": 0.0}


def fold(choices, shares=SHARES) -> Mismatch:
    found = Mismatch()
    for chosen in choices:
        found = found.add(str(chosen), shares)
    return found


def drawn(shares, calls: int, seed: int):
    return np.random.default_rng(seed).choice(list(shares), calls, p=list(shares.values()))


class TestMismatch:
    def test_a_sound_draw_raises_no_alarm_at_any_look(self):
        for seed in range(10):
            found = Mismatch()
            for chosen in drawn(SHARES, 1000, seed):
                found = found.add(str(chosen), SHARES)
                assert found.alarm() is None

    def test_probabilities_may_change_from_call_to_call(self):
        rng = np.random.default_rng(3)
        found = Mismatch()
        for p in rng.uniform(0.01, 0.99, 3000):
            found = found.add("a" if rng.random() < p else "base", {"a": p, "base": 1.0 - p})
        assert found.alarm() is None
        assert found.ratios["a"].expected == pytest.approx(1500, abs=60)

    def test_another_draw_than_was_logged_is_found_and_told(self):
        found = fold(drawn({"base": 0.75, "a": 0.2, "b": 0.05}, 1000, seed=0))
        why = found.alarm()
        assert why is not None
        assert "by the logged probabilities" in why

    def test_lost_calls_of_one_variant_are_found(self):
        kept = [c for i, c in enumerate(drawn(SHARES, 4000, seed=1)) if c != "a" or i % 2]
        assert str(fold(kept).alarm()).startswith("a was chosen")

    def test_what_was_impossible_is_an_alarm_at_once(self):
        assert fold(["off"]).alarm() == "off was chosen 1 time at probability 0."
        assert Mismatch().add("never heard of", SHARES).alarm() is not None

    def test_the_evidence_has_mean_one_where_nothing_is_wrong(self):
        # Exactly, over both outcomes: so it is a martingale whatever came before.
        before = Ratio(1).add(0.3, chosen=True).add(0.6, chosen=False)
        p = 0.2
        after = p * exp(before.add(p, chosen=True).log_evidence())
        after += (1 - p) * exp(before.add(p, chosen=False).log_evidence())
        assert after == pytest.approx(exp(before.log_evidence()))

    def test_the_error_is_bounded_over_all_looks(self):
        rng = np.random.default_rng(11)
        alarmed = 0
        for _ in range(300):
            chosen = rng.random(300) < 0.3
            logs = np.array(TILTS) * chosen.cumsum()[:, None] - np.outer(
                np.arange(1, 301), np.log1p(0.3 * np.expm1(TILTS))
            )
            alarmed += bool((np.log(np.exp(logs).mean(1)) >= -log(0.1)).any())
        assert 0 < alarmed <= 30

    @settings(max_examples=50)
    @given(st.lists(st.sampled_from(list(SHARES)), max_size=40), st.integers(0, 40))
    def test_a_fold_that_was_stored_goes_on_as_if_it_had_not_been(self, choices, cut):
        goes_on = Mismatch.from_dict(json.loads(json.dumps(fold(choices[:cut]).as_dict())))
        for chosen in choices[cut:]:
            goes_on = goes_on.add(chosen, SHARES)
        assert goes_on == fold(choices)

    def test_calls_that_last_longer_with_one_variant_raise_no_alarm(self):
        # A thousand calls at once; those with "a" last twice as long as the others.
        for seed in range(5):
            rng = np.random.default_rng(seed)
            begins = rng.exponential(3.0 / 1000, 3000).cumsum()
            own = rng.random(3000) < 0.2
            order = np.argsort(begins + rng.gamma(2.0, 1.5, 3000) * np.where(own, 2.0, 1.0))
            told, shares = Mismatch(), {"base": 0.8, "a": 0.2}
            for i in order[:1500].tolist():
                told = told.ended(i + 1).add("a" if own[i] else "base", shares, i + 1)
                assert told.alarm() is None

    def test_calls_that_never_end_are_lost_in_the_end(self):
        found = Mismatch()
        for i, chosen in enumerate(drawn(SHARES, AWAITED + 6000, seed=1), 1):
            if chosen != "a" or i % 4 == 0:
                found = found.ended(i).add(str(chosen), SHARES, i)
        assert str(found.alarm()).startswith("a was chosen")

    def test_after_a_restart_only_later_decisions_count(self):
        begun = Mismatch().ended(3).add("a", SHARES, 3).restart()
        late = begun.ended(2).add("a", SHARES, 2)
        assert late == begun
        assert late.ended(4).add("a", SHARES, 4).ratios["a"].chosen == 1

    @given(st.lists(st.integers(1, 2 * AWAITED), max_size=60))
    def test_what_is_open_is_what_was_decided_and_has_not_ended(self, told):
        ends = Ends()
        for choice in told:
            ends = ends.add(choice)
        newest = max(told, default=0)
        recent = {choice for choice in told if choice > newest - AWAITED}
        assert ends.open == min(newest, AWAITED) - len(recent)
        assert (
            Mismatch.from_dict(json.loads(json.dumps(Mismatch(ends=ends).as_dict()))).ends == ends
        )
