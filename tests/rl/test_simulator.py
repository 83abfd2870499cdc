"""The caller simulator: seeded, documented in its marginals, and truthful about its truth."""

from __future__ import annotations

from dataclasses import fields, replace
from itertools import product
from time import perf_counter

import numpy as np
import pytest

from apps.core.errors import ConfigError
from apps.core.policy import BargeInSensitivity, Greeting, InquiryMode, Length, PolicySlots, Tone
from apps.rl.feedback import check_event
from apps.rl.reward_calc import calc_reward
from apps.rl.simulator import (
    UNKNOWN,
    Bots,
    Calls,
    Drift,
    Fault,
    Outcomes,
    Ratings,
    Rule,
    Scenario,
    Speech,
    Taste,
    World,
)
from apps.rl.simulator.scenario import SLOT_VALUES, values_of
from benchmarks.learning.scenarios import GUARD_SCENARIOS, SCENARIOS, STATIONARY, TASTES


def world(scenario: Scenario = STATIONARY, seed: int = 7, **changes: object) -> World:
    return World(replace(scenario, **changes) if changes else scenario, seed)  # type: ignore[arg-type]


def same(one: object, other: object) -> bool:
    """Tell whether two of the simulator's records are equal to the last bit."""
    for field in fields(one):  # type: ignore[arg-type]
        a, b = getattr(one, field.name), getattr(other, field.name)
        equal = np.array_equal(a, b, equal_nan=True) if isinstance(a, np.ndarray) else same(a, b)
        if not equal:
            return False
    return True


def people(calls: Calls, outcomes: Outcomes) -> np.ndarray:
    """Return where a person stayed until an answer; shape (calls, variants)."""
    return ~outcomes.abandoned & ~calls.hidden.bot[:, None]


# --- seeds -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_seed_gives_the_same_world_whatever_the_portions_are(name: str):
    whole, portions = World(SCENARIOS[name], 3), World(SCENARIOS[name], 3)
    calls = whole.calls(3000)
    parts = [portions.calls(n) for n in (1, 999, 0, 1500, 500)]
    assert same(calls, Calls.joined(parts))
    assert same(whole.outcomes(calls), portions.outcomes(Calls.joined(parts)))


def test_another_seed_or_name_gives_another_world():
    calls = world().calls(100)
    assert not same(calls, world(seed=8).calls(100))
    assert not same(calls, world(name="elsewhere").calls(100))


def test_a_call_ends_the_same_way_whoever_asks_and_when():
    one = world()
    calls = one.calls(200)
    everything = one.outcomes(calls)
    for i in (199, 3, 42):
        call = calls.take(slice(i, i + 1))
        assert one.outcome(call, "v2b") == everything.of(i, one.ids.index("v2b"))
    one.calls(10)  # the portion that is taken last is another now
    assert one.outcome(calls.take(slice(3, 4)), "v2b") == everything.of(3, one.ids.index("v2b"))
    with pytest.raises(ValueError, match="one call at a time"):
        one.outcome(calls, "v2b")


# --- what real calls leave -------------------------------------------------------------------


@pytest.mark.parametrize("name", ["confounded", "poisoned", "delayed_missing"])
def test_rewards_are_those_of_the_reward_calculator(name: str):
    one = World(SCENARIOS[name], 1)
    outcomes = one.outcomes(one.calls(300))
    for i in range(300):
        ended = outcomes.of(i, i % 12)
        if ended.abandoned:
            assert ended.reward is None
            continue
        assert ended.reward == pytest.approx(calc_reward(ended.signals), abs=1e-12)
        without = ended.signals.model_copy(update={"user_rating": None})
        at_end = without if ended.rating_delay_s > 0 else ended.signals
        assert ended.reward_at_end == pytest.approx(calc_reward(at_end), abs=1e-12)


def test_feedback_and_context_are_what_the_store_takes():
    one = world()
    calls = one.calls(60)
    outcomes = one.outcomes(calls)
    for i in range(60):
        context = calls.context(one.scenario, i)
        event = check_event(outcomes.of(i, 0).event(f"call-{i}", "v1a", str(context["profile"])))
        assert event.abandoned == outcomes.abandoned[i, 0]
        assert 0.0 < float(str(context["stt_confidence"])) < 1.0
        assert set(context) == {
            "profile",
            "language",
            "time_of_day",
            "returning",
            "stt_confidence",
            "latency_ms",
            "noise_db",
        }


# --- the truth -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["stationary", "confounded", "poisoned", "delayed_missing"])
def test_the_truth_is_the_mean_of_what_is_sampled(name: str):
    one = World(SCENARIOS[name], 5)
    calls = one.calls(16_000)
    truth, outcomes = one.truth(calls), one.outcomes(calls)
    reward = np.where(people(calls, outcomes), np.nan_to_num(outcomes.reward), 0.0)
    error = (reward - truth.logged).mean(axis=0) / (reward.std(axis=0) / np.sqrt(len(calls)))
    assert np.abs(error).max() < 4.0


def test_the_truth_of_one_call_is_its_mean_over_its_own_luck():
    one = world()
    call = one.calls(50).take(slice(11, 12))
    many = call.take(np.zeros(16_000, np.int64))
    draws = np.random.default_rng(0).random(many.hidden.draws.shape)
    many = replace(many, hidden=replace(many.hidden, draws=draws))
    reward = np.nan_to_num(one.outcomes(many).reward)
    error = (reward.mean(axis=0) - one.truth(call).logged[0]) / (
        reward.std(axis=0) / np.sqrt(len(many))
    )
    assert np.abs(error).max() < 4.0


def test_the_full_truth_is_what_everybody_would_say():
    one = world(ratings=Ratings(offered=0.3))
    calls = one.calls(16_000)
    outcomes, chances = one.outcomes(calls), one.chances(calls)
    solved = calls.hidden.draws[:, 1, None] < chances.solved
    signals = outcomes.reward_at_end - np.where(
        outcomes.rating > 0, 0.1 * (outcomes.rating - 3), 0.0
    )
    signals += 0.6 * (solved & (outcomes.resolution != 1))
    full = np.where(outcomes.abandoned, 0.0, signals + 0.1 * (outcomes.felt - 3))
    error = (full - one.truth(calls).full).mean(axis=0) / (full.std(axis=0) / np.sqrt(len(calls)))
    assert np.abs(error).max() < 4.0


def test_means_by_segment_are_those_of_the_calls():
    one = world(callers=400)
    calls = one.calls(30_000)
    logged = one.truth(calls).logged
    for segment in range(4):
        there = logged[calls.segment == segment].mean(axis=0)
        assert np.abs(there - one.means.logged[0, segment]).max() < 0.03


# --- marginals, as docs/simulator.md gives them ----------------------------------------------


def test_marginals_are_as_documented():
    one = world()
    calls = one.calls(10_000)
    outcomes = one.outcomes(calls)
    real = people(calls, outcomes)
    assert (outcomes.resolution[real] == 1).mean() == pytest.approx(0.48, abs=0.05)
    assert (outcomes.resolution[real] == UNKNOWN).mean() == pytest.approx(0.36, abs=0.05)
    assert outcomes.handover[real].mean() == pytest.approx(0.10, abs=0.03)
    assert outcomes.abandoned.mean() == pytest.approx(0.019, abs=0.01)
    assert outcomes.barge_ins[real].mean() == pytest.approx(0.53, abs=0.1)
    assert outcomes.repeats[real].mean() == pytest.approx(0.42, abs=0.1)
    assert np.median(outcomes.duration_s[real]) == pytest.approx(182, abs=10)
    assert np.nanmean(outcomes.reward) == pytest.approx(0.27, abs=0.05)
    assert calls.stt_confidence.mean() == pytest.approx(0.83, abs=0.02)
    assert calls.returning.mean() > 0.7  # 2,500 people, 10,000 calls
    shares = np.bincount(calls.segment) / len(calls)
    assert shares == pytest.approx([0.5, 0.15, 0.25, 0.1], abs=0.05)


def test_calls_come_when_people_are_awake():
    calls = world().calls(10_000)
    night, morning, afternoon, evening = np.bincount(calls.time_of_day, minlength=4) / len(calls)
    assert night < 0.1 < evening < afternoon < 0.5
    assert morning > 0.3
    assert np.all(np.diff(calls.at_s) >= 0)
    assert len(calls) / (calls.at_s[-1] / 86_400) == pytest.approx(400, rel=0.03)


def test_returning_callers_are_those_who_were_there_before():
    calls = world().calls(5000)
    seen: set[int] = set()
    for subject, returning in zip(calls.subject.tolist(), calls.returning, strict=True):
        assert returning == (subject in seen)
        seen.add(subject)


# --- ratings ---------------------------------------------------------------------------------


def test_who_rates_depends_on_what_they_would_say_and_on_their_mood():
    one = World(SCENARIOS["delayed_missing"], 2)
    calls = one.calls(10_000)
    outcomes = one.outcomes(calls)
    asked, answered = outcomes.offered, outcomes.rating > 0
    rate = [answered[asked & (outcomes.felt == stars)].mean() for stars in range(1, 6)]
    assert rate[4] > rate[0] > rate[2] + 0.03  # the happy, the furious, and few in between
    gloomy = np.broadcast_to((calls.hidden.mood < -0.5)[:, None], asked.shape)
    five = asked & (outcomes.felt == 5)
    assert answered[five & ~gloomy].mean() > answered[five & gloomy].mean() + 0.05
    # So the mean of the ratings given is not that of the ratings felt.
    assert outcomes.rating[answered].mean() > outcomes.felt[asked].mean() + 0.3


def test_missing_at_random_is_a_special_case():
    flat = Ratings(extremes=0.0, happy=0.0, mood=0.0)
    one = world(ratings=flat)
    outcomes = one.outcomes(one.calls(10_000))
    asked, answered = outcomes.offered, outcomes.rating > 0
    rate = [answered[asked & (outcomes.felt == stars)].mean() for stars in range(1, 6)]
    assert rate == pytest.approx([1 / (1 + np.exp(0.6))] * 5, abs=0.02)


def test_late_ratings_change_a_reward_that_was_there_before():
    one = World(SCENARIOS["delayed_missing"], 2)
    outcomes = one.outcomes(one.calls(5000))
    late = outcomes.rating_delay_s > 0
    assert late.mean() == pytest.approx(0.8, abs=0.03)
    assert outcomes.rating_delay_s[late].mean() == pytest.approx(6 * 3600, rel=0.1)
    live = ~outcomes.abandoned
    changed = (outcomes.reward != outcomes.reward_at_end) & live
    assert np.all(changed <= (late[:, None] & (outcomes.rating > 0)))
    prompt = world().outcomes(world().calls(500))
    assert np.array_equal(prompt.reward, prompt.reward_at_end, equal_nan=True)


def test_nobody_is_asked_who_left_or_was_put_through():
    one = world()
    outcomes = one.outcomes(one.calls(5000))
    assert not np.any(outcomes.offered & (outcomes.abandoned | outcomes.handover))
    assert not np.any((outcomes.rating > 0) & ~outcomes.offered)


# --- speech, drift, faults, bots -------------------------------------------------------------


def test_bad_speech_conditions_cost_rewards_whatever_the_variant_is():
    one = World(SCENARIOS["confounded"], 4)
    calls = one.calls(10_000)
    logged = one.truth(calls).logged
    good, bad = calls.stt_confidence > 0.88, calls.stt_confidence < 0.7
    assert np.all(logged[good].mean(axis=0) > logged[bad].mean(axis=0) + 0.15)
    quiet = world(speech=Speech(severity=0.0, slow_hours=0.0)).calls(5000)
    assert quiet.latency_ms.mean() < calls.latency_ms.mean()


def test_noise_changes_which_variant_is_best():
    one = World(SCENARIOS["confounded"], 4)
    calls = one.calls(10_000)
    logged = one.truth(calls).logged
    sensitive, patient = one.ids.index("v2c"), one.ids.index("v3b")
    gain = logged[:, sensitive] - logged[:, patient]
    assert gain[calls.noise_db < 50].mean() > gain[calls.noise_db > 66].mean() + 0.05


def test_a_step_and_a_slow_drift_run_as_long_as_they_say():
    step = World(SCENARIOS["drift_step"], 0).calls(5000).hidden.drift
    assert set(step[:2500]) == {0.0}
    assert set(step[2500:]) == {1.0}
    slow = World(SCENARIOS["drift_slow"], 0).calls(5000).hidden.drift
    assert slow[999] == 0.0 < slow[1000] < 0.01
    assert slow[4499] < 1.0 == slow[4500]
    assert np.all(np.diff(slow) >= 0)


def test_drift_changes_the_best_variant():
    means = World(SCENARIOS["drift_step"], 0).means
    before, after = means.logged[0, 0], means.logged[-1, 0]
    assert before.argmax() != after.argmax()
    assert after[after.argmax()] > after[before.argmax()] + 0.1


def test_a_broken_variant_is_worst_and_drives_callers_away():
    one = World(SCENARIOS["many_variants"], 0)
    broken = one.ids.index("w07")
    assert len(one.ids) == len(set(one.scenario.variants.values())) == 40
    assert one.population_means.argmin() == broken
    outcomes = one.outcomes(one.calls(5000))
    others = np.arange(40) != broken
    assert outcomes.abandoned[:, broken].mean() > outcomes.abandoned[:, others].mean() + 0.1
    assert outcomes.unsafe[:, broken].mean() == pytest.approx(0.02 * 0.83, abs=0.01)
    assert not outcomes.unsafe[:, others].any()


def test_bots_push_the_worst_variant_and_cost_nobody_anything():
    one = World(SCENARIOS["poisoned"], 0)
    calls = one.calls(10_000)
    outcomes, bot = one.outcomes(calls), calls.hidden.bot
    assert bot.mean() == pytest.approx(0.1, abs=0.02)
    assert len(set(calls.subject[bot].tolist())) <= 30
    worst = one.population_means.argmin()
    assert one.bots_target == worst
    assert np.all(outcomes.reward[bot, worst] == 1.0)
    assert np.all(np.delete(outcomes.reward[bot], worst, axis=1) < -0.5)
    assert not one.truth(calls).logged[bot].any()
    assert not outcomes.copies[~bot].any()
    assert outcomes.copies[bot].mean() == pytest.approx(0.5, abs=0.1)


def test_opposite_profiles_have_opposite_favourites():
    one, other = World(SCENARIOS["opposite"], 0).means.logged[0]
    assert one[one.argmax()] > one[other.argmax()] + 0.1
    assert other[other.argmax()] > other[one.argmax()] + 0.05


def test_a_rare_profile_is_rare_and_wants_something_else():
    rare = World(SCENARIOS["rare_profile"], 0)
    assert (rare.calls(10_000).segment == 1).mean() == pytest.approx(0.03, abs=0.015)
    most, few = rare.means.logged[0]
    assert most.argmax() != few.argmax()


def test_the_guards_scenarios_have_the_gaps_that_they_say():
    same_for_all = World(GUARD_SCENARIOS["identical"], 1).population_means
    assert np.ptp(same_for_all) == 0.0
    means = World(GUARD_SCENARIOS["one_worse"], 1).population_means
    assert means[0] - means[-1] == pytest.approx(0.3, abs=0.01)
    assert np.ptp(means[:-1]) == 0.0


# --- tastes ----------------------------------------------------------------------------------


def test_rules_are_likings_interactions_thresholds_and_parities():
    slots = PolicySlots.from_parameters({"length": "short", "greeting": "brief"})
    both = ("length=short", "greeting=brief", "tone=warm")
    assert Taste("t", (Rule(both[:1], 0.5),)).appeal(slots) == 0.5
    assert Taste("t", (Rule(both, 0.5),)).appeal(slots) == 0.0
    assert Taste("t", (Rule(both, 0.5, at_least=2),)).appeal(slots) == 0.5
    assert Taste("t", (Rule(both, 0.5, odd=True),)).appeal(slots) == -0.5


def test_no_sum_over_slots_explains_the_tastes():
    """The hidden preferences are not of a linear learner's own family."""
    kinds = (Greeting, Tone, Length, InquiryMode, BargeInSensitivity)
    everything = [PolicySlots(*values) for values in product(*kinds)]
    one_hot = [[value in values_of(slots) for value in SLOT_VALUES] for slots in everything]
    design = np.column_stack([np.ones(len(everything)), np.array(one_hot, float)])
    least = {"contrary": 0.9, "hurried": 0.09, "careful": 0.08}
    for taste in TASTES:
        appeal = np.array([taste.appeal(slots) for slots in everything])
        fitted = design @ np.linalg.lstsq(design, appeal, rcond=None)[0]
        assert np.var(appeal - fitted) / np.var(appeal) > least.get(taste.name, 0.15), taste.name


@pytest.mark.parametrize(
    "changes",
    [
        {"tastes": ()},
        {"tastes": (*TASTES, TASTES[0])},
        {"segments": ()},
        {"base": "nobody"},
        {"faults": {"nobody": Fault()}},
        {"bots": Bots(share=0.1, target="nobody")},
        {"bots": Bots(share=1.0)},
        {"drift": Drift({"hurried": "nobody"}, 1, 2)},
        {"drift": Drift({"hurried": "careful"}, 3, 2)},
        {"tastes": (*TASTES, Taste("odd", (Rule(("length=endless",), 1.0),)))},
        {"callers": 1},
        {"calls": 0},
    ],
)
def test_a_scenario_that_cannot_be_is_refused(changes: dict[str, object]):
    with pytest.raises(ConfigError, match="stationary cannot be"):
        replace(STATIONARY, **changes)  # type: ignore[arg-type]


def test_all_slot_values_are_known():
    assert len(SLOT_VALUES) == 15
    assert SLOT_VALUES[:3] == ("greeting=formal", "greeting=friendly", "greeting=brief")


def test_a_hundred_thousand_calls_take_seconds():
    one = world()
    begun = perf_counter()
    for _ in range(10):
        calls = one.calls(10_000)
        one.outcomes(calls)
        one.truth(calls)
    assert perf_counter() - begun < 30.0  # a few seconds on one idle core
