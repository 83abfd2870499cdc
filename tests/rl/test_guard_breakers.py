import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.rl.guard.breakers import BreakerRules, Breakers, tail

FLAGS = st.frozensets(st.sampled_from(["hang_up", "engine_error", "unsafe", "unknown"]))
CALLS = st.lists(st.tuples(st.sampled_from(["base", "a", "b"]), FLAGS), max_size=60)


def breakers(calls) -> Breakers:
    found = Breakers("base")
    for variant, flags in calls:
        found = found.add(variant, flags)
    return found


WELL = [("base", ())] * 60


class TestBreakers:
    def test_one_unsafe_call_is_enough_and_is_not_forgotten(self):
        found = breakers([("a", {"unsafe"}), *[("a", ())] * 100])
        assert found.tripped("a") == "A call with a was flagged as unsafe."
        assert found.tripped("b") is None

    def test_it_says_so_of_the_base_too(self):
        assert breakers([("base", {"unsafe"})]).tripped("base")

    @pytest.mark.parametrize("flag", ["hang_up", "engine_error"])
    def test_a_variant_that_fails_every_time_stops_after_a_few_calls(self, flag):
        found, calls = breakers(WELL), 0
        while not found.tripped("a"):
            found = found.add("a", {flag}).add("base").add("base")
            calls += 1
        assert 3 <= calls <= 5
        assert f"{calls} of the last {calls} calls with a had" in str(found.tripped("a"))

    def test_a_variant_that_breaks_after_many_good_calls_stops_as_soon(self):
        found = breakers([*WELL, *[("a", ())] * 50])
        for _ in range(5):
            found = found.add("a", {"hang_up"}).add("base")
        assert found.tripped("a")

    def test_an_outage_that_hits_all_blames_nobody(self):
        found = breakers([*WELL, *[("a", ()), ("base", ())] * 10])
        for _ in range(30):
            found = found.add("a", {"engine_error"}).add("base", {"engine_error"})
            assert found.tripped("a") is None

    def test_without_a_call_of_the_base_since_then_nobody_is_blamed_yet(self):
        found = breakers([*WELL, *[("a", {"engine_error"})] * 20])
        assert found.tripped("a") is None
        assert breakers([*WELL, *[("a", {"engine_error"})] * 20, *WELL[:3]]).tripped("a")

    def test_the_base_is_never_stopped_for_its_own_rate(self):
        assert breakers([("base", {"hang_up"})] * 50).tripped("base") is None

    def test_where_callers_often_hang_up_it_takes_more(self):
        rng = np.random.default_rng(0)
        often = [("base", {"hang_up"} if u < 0.3 else ()) for u in rng.random(100)]
        flags = [("a", {"hang_up"})] * 5 + WELL[:4]
        assert breakers(WELL + flags).tripped("a")
        assert breakers(often + flags).tripped("a") is None

    def test_variants_with_the_base_s_own_rate_practically_never_trip(self):
        rng = np.random.default_rng(1)
        found, names = Breakers("base"), ["base", "a", "b", "c"]
        for variant, u in zip(rng.choice(names, 8000), rng.random(8000), strict=True):
            found = found.add(str(variant), {"hang_up"} if u < 0.04 else ())
            if u < 0.04:
                assert found.tripped(str(variant)) is None

    def test_a_second_chance_begins_without_what_was(self):
        found = breakers([("a", {"unsafe"})]).restart("a")
        assert found.tripped("a") is None

    @settings(max_examples=50)
    @given(CALLS, st.integers(0, 60))
    def test_a_fold_that_was_stored_goes_on_as_if_it_had_not_been(self, calls, cut):
        goes_on = Breakers.from_dict(json.loads(json.dumps(breakers(calls[:cut]).as_dict())))
        for variant, flags in calls[cut:]:
            goes_on = goes_on.add(variant, flags)
        assert goes_on == breakers(calls)

    @settings(max_examples=50)
    @given(CALLS)
    def test_no_more_is_kept_than_is_looked_at(self, calls):
        rules = BreakerRules(windows=(2, 4), base_memory=6)
        found = Breakers("base")
        for variant, flags in calls:
            found = found.add(variant, flags, rules)
        for name, recent in found.recent.items():
            assert len(recent.calls) <= (6 if name == "base" else 4)
            for numbers in recent.flagged.values():
                assert set(numbers) <= set(recent.calls)


def test_the_tail_is_that_of_the_binomial_law():
    assert tail(0, 7, 0.3) == pytest.approx(1.0)
    assert tail(2, 3, 0.5) == pytest.approx(0.5)
    assert tail(5, 5, 0.1) == pytest.approx(1e-5)
