"""Policies by reward alone: exact chances, forgetting, revisions, changes, and what they store."""

from __future__ import annotations

import json
from dataclasses import replace
from math import erf, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.rl.policies import (
    KINDS,
    BetaPolicy,
    LinearPolicy,
    NigPolicy,
    OtherSettings,
    Outcome,
    Policy,
    new_policy,
)
from apps.rl.policies.laws import DEGREES, Laws
from apps.rl.policies.monitor import MAX_PLACES, Monitor

NAMES = ("a", "b", "c")
SLOTS = {"a": {"tone": "warm"}, "b": {"tone": "warm"}, "c": {"tone": "lively"}}
STILL = Monitor(threshold=0.0)


def taught(policy: Policy, rewards: dict[str, list[float]]) -> Policy:
    for name, some in rewards.items():
        for reward in some:
            policy = policy.learned(Outcome(name, reward))
    return policy


# --- laws


def laws(seed: int, n: int = 12) -> Laws:
    rng = np.random.default_rng(seed)
    scale = np.exp(rng.uniform(np.log(0.01), np.log(0.4), n))
    degrees = np.exp(rng.uniform(np.log(2.5), np.log(3000.0), n))
    return Laws.student(rng.normal(0.2, 0.15, n), scale, degrees)


@pytest.mark.parametrize("seed", range(2))
def test_chances_are_those_of_a_million_draws(seed: int) -> None:
    some, rng, n = laws(seed), np.random.default_rng(seed), 1_000_000
    draws = some.location + some.scale * rng.standard_t(
        np.minimum(DEGREES[some.rung], 1e9), (n, 12)
    )
    seen = np.bincount(draws.argmax(axis=1), minlength=12) / n
    chances = some.chances()
    assert chances.sum() == pytest.approx(1.0)
    assert (abs(seen - chances) < 4.5 * np.sqrt(chances * (1 - chances) / n) + 3e-4).all()


@given(st.floats(-1, 1), st.floats(0.005, 1), st.floats(0.005, 1))
@settings(deadline=None, max_examples=60)
def test_of_two_normal_laws_the_chance_is_that_of_their_difference(
    gap: float, first: float, second: float
) -> None:
    two = Laws.student(np.array([gap, 0.0]), np.array([first, second]), np.array([np.inf, np.inf]))
    expected = 0.5 * (1.0 + erf(gap / sqrt(2.0 * (first**2 + second**2))))
    assert two.chances()[0] == pytest.approx(expected, abs=5e-4)


def test_equal_laws_have_equal_chances() -> None:
    same = Laws.student(np.full(40, 0.3), np.full(40, 0.1), np.full(40, 6.0))
    assert same.chances() == pytest.approx(np.full(40, 1 / 40), abs=1e-12)


def test_the_tables_are_those_of_students_law() -> None:
    law = Laws.student(np.array([1.0, 0.0, 0.0]), np.array([2.0, 1.0, 1.0]), np.array([3, 10, 1e9]))
    # F of t = 1.5 for 3 degrees in closed form; 97.5 % quantiles from the usual tables.
    t = 1.5 / sqrt(3.0)
    closed = 0.5 + (t / (1 + t * t) + np.arctan(t)) / np.pi
    assert law.cdf(np.array([4.0, 0.0, 1.959964])) == pytest.approx([closed, 0.5, 0.975], abs=1e-6)
    assert law.quantile(0.975) == pytest.approx([1 + 2 * 3.182446, 2.228139, 1.959964], abs=1e-4)


def test_degrees_are_rounded_down_so_that_nobody_is_surer_than_they_may() -> None:
    some = Laws.student(np.zeros(4), np.ones(4), np.array([1.0, 5.9, 999.0, 1000.0]))
    assert DEGREES[some.rung].tolist() == [3.0, 5.0, 300.0, np.inf]


# --- learning by the reward alone


def test_few_rewards_that_are_alike_do_not_make_it_sure() -> None:
    policy = taught(NigPolicy(), {"a": [0.5, 0.5, 0.5]})
    known = policy.estimate("a")
    assert known.high - known.low > 0.5


def test_rewards_of_little_noise_are_learned_sooner_than_a_coins_flips() -> None:
    rewards = {"a": [0.4, 0.3] * 30, "b": [0.1, 0.2] * 30}
    nig, coin = taught(NigPolicy(), rewards), taught(BetaPolicy(), rewards)
    assert nig.chances(("a", "b"), {})[0] > 0.99
    assert coin.chances(("a", "b"), {})[0] < 0.95


def test_what_is_seen_is_the_conjugate_posterior() -> None:
    rewards = [0.9, -0.2, 0.4, 0.7]
    law = taught(NigPolicy(None, STILL), {"a": rewards}).laws(["a"])  # type: ignore[attr-defined]
    mean = (0.5 * 0.3 + sum(rewards)) / 4.5
    squares = sum((r - np.mean(rewards)) ** 2 for r in rewards)
    squares += 4 * 0.5 / 4.5 * (np.mean(rewards) - 0.3) ** 2
    assert law.location[0] == pytest.approx(mean)
    assert law.scale[0] == pytest.approx(sqrt((3 * 0.16 + squares / 2) / (5 * 4.5)))
    assert DEGREES[law.rung[0]] == 10


def test_a_reward_counts_half_after_its_half_life_of_others() -> None:
    policy = taught(NigPolicy(100, STILL), {"a": [0.8]})
    policy = taught(policy, {"b": [0.1] * 100})
    seen = policy.seen("a")  # type: ignore[attr-defined]
    assert (seen.weight, seen.total) == pytest.approx((0.5, 0.4))


def test_what_is_forgotten_gives_way_to_the_prior() -> None:
    policy = taught(NigPolicy(20, STILL), {"a": [-0.9] * 30, "b": [0.1] * 600})
    fresh, faded = NigPolicy().estimate("c"), policy.estimate("a")
    assert (faded.mean, faded.low, faded.high) == pytest.approx(
        (fresh.mean, fresh.low, fresh.high), abs=1e-3
    )


def test_a_sudden_drop_is_found_and_makes_unsure() -> None:
    rng = np.random.default_rng(1)
    good = list(rng.normal(0.5, 0.3, 800))
    before = taught(NigPolicy(), {"a": good, "b": list(rng.normal(0.3, 0.3, 200))})
    assert before.monitor.changes == 0  # type: ignore[attr-defined]
    after = taught(before, {"a": list(rng.normal(-0.1, 0.3, 60))})
    assert after.monitor.changes == 1  # type: ignore[attr-defined]
    assert before.chances(("a", "b"), {})[0] > 0.99
    assert after.chances(("a", "b"), {})[0] < 0.5


def test_without_a_change_the_monitor_is_silent() -> None:
    rng, policy = np.random.default_rng(2), NigPolicy()
    for _ in range(5000):
        policy = policy.learned(Outcome("abc"[rng.integers(3)], float(rng.normal(0.3, 0.4))))
    assert policy.monitor.changes == 0


def test_the_monitor_keeps_a_bounded_number_of_places() -> None:
    monitor = Monitor()
    for i in range(500):
        monitor = monitor.after(f"s{i}", -1.0)
        assert len(monitor.evidence) <= MAX_PLACES + 1
    assert monitor.changes > 0  # those beyond share one sum


# --- every kind


def outcomes() -> st.SearchStrategy[list[Outcome]]:
    rewards = st.floats(-1, 1)
    context = st.fixed_dictionaries(
        {}, optional={"profile": st.sampled_from(["kfz", "parking"]), "noise_db": st.floats(30, 80)}
    )
    first = st.builds(Outcome, st.sampled_from(NAMES), rewards, context)
    late = st.builds(Outcome, st.sampled_from(NAMES), rewards, context, rewards, st.integers(0, 20))
    return st.lists(st.one_of(first, first, late), max_size=25)


@pytest.mark.parametrize("kind", KINDS)
@given(outcomes(), st.integers(0, 25), st.sampled_from([None, 30.0]))
@settings(deadline=None, max_examples=25)
def test_stopping_and_going_on_from_what_was_written_changes_no_bit(
    kind: str, some: list[Outcome], at: int, half_life: float | None
) -> None:
    empty = new_policy(kind, half_life=half_life).knowing(SLOTS)
    whole = part = empty
    for outcome in some:
        whole = whole.learned(outcome)
    for outcome in some[:at]:
        part = part.learned(outcome)
    part = empty.from_json(json.loads(json.dumps(part.to_json())))
    for outcome in some[at:]:
        part = part.learned(outcome)
    assert part == whole
    assert json.dumps(part.to_json()) == json.dumps(whole.to_json())
    chances = part.chances(NAMES, {"profile": "kfz"})
    assert chances.sum() == pytest.approx(1.0)
    assert (chances >= 0.0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_late_rating_leads_where_it_would_have_led_at_once(kind: str) -> None:
    def policy(rewards: list[float], revised: tuple[float, float] | None) -> Policy:
        made: Policy = replace(new_policy(kind), monitor=STILL).knowing(SLOTS)  # type: ignore[type-var]
        for k, reward in enumerate(rewards):
            made = made.learned(Outcome(NAMES[k % 3], reward, {"profile": "kfz"}))
        if revised is not None:
            old, new = revised
            made = made.learned(Outcome("b", new, {"profile": "kfz"}, old, len(rewards) - 2))
        return made

    late = policy([0.1, 0.2, 0.3, -0.4, 0.5, 0.6], (0.2, 0.9))
    at_once = policy([0.1, 0.9, 0.3, -0.4, 0.5, 0.6], None)
    context = {"profile": "kfz"}
    assert late.chances(NAMES, context) == pytest.approx(at_once.chances(NAMES, context))
    for name in NAMES:
        mine, others = late.estimate(name), at_once.estimate(name)
        assert (mine.mean, mine.low) == pytest.approx((others.mean, others.low))


@pytest.mark.parametrize("kind", ["nig", "beta", "linear"])
def test_the_highest_score_comes_as_often_as_its_chance_says(kind: str) -> None:
    rng = np.random.default_rng(4)
    policy = new_policy(kind).knowing(SLOTS)
    for _ in range(30):
        policy = policy.learned(Outcome(NAMES[rng.integers(3)], float(rng.normal(0.2, 0.4))))
    n = 4000
    drawn = np.bincount([policy.scores(NAMES, {}, rng).argmax() for _ in range(n)], minlength=3) / n
    chances = policy.chances(NAMES, {})
    assert (abs(drawn - chances) < 4.5 * np.sqrt(chances * (1 - chances) / n)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_what_another_kind_or_half_life_has_learned_is_not_read(kind: str) -> None:
    policy = new_policy(kind)
    with pytest.raises(OtherSettings):
        new_policy(kind, half_life=10).from_json(policy.to_json())
    with pytest.raises(OtherSettings):
        new_policy("beta" if kind != "beta" else "nig").from_json(policy.to_json())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("damage", ["sums", "clock", "monitor", "regression", "features", "taught"])
def test_what_is_damaged_is_not_read(kind: str, damage: str) -> None:
    policy = new_policy(kind)
    data = policy.learned(Outcome("a", 0.5)).to_json()
    if damage in data:
        with pytest.raises((ValueError, TypeError, KeyError, AttributeError)):
            policy.from_json(data | {damage: "nonsense"})


def test_there_is_no_other_kind() -> None:
    with pytest.raises(ValueError, match="softmax"):
        new_policy("softmax")
    assert {new_policy(kind).kind for kind in KINDS} == set(KINDS)
    assert isinstance(new_policy("linear"), LinearPolicy)
