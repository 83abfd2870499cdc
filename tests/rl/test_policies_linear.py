"""The linear policies: what they learn from whom, and what they do not blame a prompt for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.rl.policies import LinearPolicy, LinearUcbPolicy, Outcome, linear
from apps.rl.policies.laws import DEGREES
from apps.rl.policies.monitor import Monitor
from apps.rl.policies.regression import Noise, Regression

SLOTS = {
    "formal": {"greeting": "formal", "length": "long"},
    "brief": {"greeting": "brief", "length": "short"},
    "short": {"greeting": "formal", "length": "short"},
    "new": {"greeting": "brief", "length": "short"},
    "odd": {"greeting": "brief", "length": "long"},
}
SEEN = ("formal", "brief", "short")


def policy(**changes: object) -> LinearPolicy:
    return replace(LinearPolicy().knowing(SLOTS), **changes)  # type: ignore[arg-type]


def taught(
    known: LinearPolicy, means: dict[str, float], context: dict[str, object], n: int, seed: int = 0
) -> LinearPolicy:
    rng = np.random.default_rng(seed)
    for k in range(n):
        name = list(means)[k % len(means)]
        reward = float(np.clip(rng.normal(means[name], 0.3), -1, 1))
        known = known.learned(Outcome(name, reward, context))
    return known


# --- the regression


def rows(rng: np.random.Generator, n: int, d: int) -> list[tuple[np.ndarray, np.ndarray]]:
    made = []
    for _ in range(n):
        at = rng.choice(d, size=rng.integers(1, d + 1), replace=False)
        made.append((at, rng.normal(size=len(at))))
    return made


@given(st.integers(0, 10_000), st.integers(0, 40))
@settings(deadline=None, max_examples=40)
def test_observation_by_observation_is_the_posterior_solved_at_once(seed: int, n: int) -> None:
    rng, d = np.random.default_rng(seed), 5
    prior, noise = rng.uniform(0.1, 2.0, d), Noise(0.4, 3.0)
    known, x, y = Regression.empty(prior), np.zeros((n, d)), rng.normal(size=n)
    for k, (at, values) in enumerate(rows(rng, n, d)):
        x[k, at] = values
        known = known.observed(at, values, float(y[k]))
    precision = np.diag(1.0 / prior) + x.T @ x
    mean = np.linalg.solve(precision, x.T @ y)
    squares = float(y @ y - mean @ precision @ mean)
    assert known.covariance == pytest.approx(np.linalg.inv(precision), abs=1e-9)
    assert known.mean == pytest.approx(mean, abs=1e-9)
    sd, degrees = known.noise(noise)
    assert degrees == pytest.approx(6.0 + n)
    assert sd**2 == pytest.approx((3.0 * 0.16 + squares / 2) / (3.0 + n / 2))


@given(st.integers(0, 10_000))
@settings(deadline=None, max_examples=25)
def test_a_revision_is_as_if_it_had_been_seen_at_once(seed: int) -> None:
    rng, d = np.random.default_rng(seed), 4
    some, y = rows(rng, 10, d), rng.normal(size=10)
    late = at_once = Regression.empty(np.ones(d))
    for k, (at, values) in enumerate(some):
        late = late.observed(at, values, float(y[k]))
        at_once = at_once.observed(at, values, 0.7 if k == 3 else float(y[k]))
    late = late.revised(*some[3], float(y[3]), 0.7, 1.0)
    assert late.mean == pytest.approx(at_once.mean, abs=1e-9)
    assert late.squares == pytest.approx(at_once.squares, abs=1e-9)
    assert late.covariance == pytest.approx(at_once.covariance)


def test_forgetting_never_makes_less_sure_than_the_prior() -> None:
    rng, prior = np.random.default_rng(3), np.array([0.5, 1.0, 2.0])
    known = Regression.empty(prior)
    only = np.array([0], np.intp)
    for _ in range(20_000):
        known = known.loosened(0.01).observed(only, np.ones(1), float(rng.normal()), 0.01)
    assert known.covariance[0, 0] < 0.2  # what is seen stays known
    assert known.covariance.diagonal()[1:] == pytest.approx(prior[1:])  # the rest is as it was
    assert np.linalg.eigvalsh(known.covariance)[0] > 0.0
    assert np.linalg.eigvalsh(np.diag(prior) - known.covariance)[0] > -1e-9
    assert known.weight == pytest.approx(100.0, rel=1e-3)


# --- pooling


def test_a_new_variant_begins_with_what_its_slots_are_known_for() -> None:
    known = taught(policy(), {"formal": -0.2, "brief": 0.6, "short": 0.4}, {"profile": "kfz"}, 300)
    new, odd = known.estimate("new"), known.estimate("odd")
    assert new.mean > odd.mean
    assert new.mean > known.estimate("formal").mean
    assert new.high - new.low > (e := known.estimate("brief")).high - e.low


def test_a_new_variant_can_turn_out_to_be_otherwise() -> None:
    means = {"formal": -0.2, "brief": 0.6, "short": 0.4, "new": -0.4}
    known = taught(policy(), means, {"profile": "kfz"}, 1200)
    assert known.estimate("new").mean < 0.0
    assert known.estimate("brief").mean == pytest.approx(0.6, abs=0.1)


def test_a_new_profile_begins_with_what_the_others_know_and_can_differ() -> None:
    known = taught(policy(), {"formal": 0.0, "brief": 0.5}, {"profile": "kfz"}, 400)
    names, new = ("formal", "brief"), {"profile": "parking"}
    chances = known.chances(names, {"profile": "kfz"})[1], known.chances(names, new)[1]
    assert chances[0] >= chances[1] > 0.8
    known = taught(known, {"formal": 0.5, "brief": 0.0}, new, 400, seed=1)
    assert known.chances(names, new)[1] < 0.05
    assert known.chances(names, {"profile": "kfz"})[1] > 0.95


def test_a_slow_hour_blames_no_prompt() -> None:
    rng, known = np.random.default_rng(5), policy(monitor=Monitor(0.0))
    plain = policy(monitor=Monitor(0.0))
    for k in range(600):
        slow = k % 2 == 0
        # Both are as good, but one has had most of the slow hours.
        name = "brief" if slow == (rng.random() < 0.9) else "short"
        reward = float(np.clip(rng.normal(0.5 - 0.5 * slow, 0.2), -1, 1))
        context = {"latency_ms": 2000.0 if slow else 500.0}
        known = known.learned(Outcome(name, reward, context))
        plain = plain.learned(Outcome(name, reward))
    names = ("brief", "short")
    assert plain.chances(names, {})[0] < 0.01
    assert 0.1 < known.chances(names, {})[0] < 0.9


@pytest.mark.parametrize(
    "context",
    [{}, {"profile": None, "language": 7, "noise_db": float("nan"), "returning": "yes"}],
)
def test_what_is_not_known_is_neutral(context: dict[str, object]) -> None:
    known = taught(policy(), {"formal": 0.0, "brief": 0.5}, {"profile": "kfz"}, 60)
    expected = known.chances(("formal", "brief"), {})
    assert known.chances(("formal", "brief"), context).tolist() == expected.tolist()
    known = known.learned(Outcome("brief", 0.1, context))
    assert set(known.columns.place) == set(known.columns.place) - {"profile=None"}


def test_the_estimate_is_the_mean_over_the_contexts_seen() -> None:
    known = taught(policy(), {"formal": 0.6}, {"profile": "kfz"}, 300)
    known = taught(known, {"formal": 0.0}, {"profile": "parking"}, 100)
    assert known.estimate("formal").mean == pytest.approx(0.45, abs=0.06)


def test_variants_without_slots_still_learn() -> None:
    known = taught(policy(), {"gone": 0.8, "formal": 0.0}, {}, 200)
    assert known.estimate("gone").mean > 0.5


def test_its_size_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear, "MAX_FEATURES", 40)
    known = policy()
    for k in range(30):
        known = known.learned(Outcome("brief", 0.5, {"profile": f"p{k}"}))
    assert len(known.regression) == len(known.columns.place) == 40
    far, none = known.laws(SEEN, {"profile": "p29"}), known.laws(SEEN, {})
    assert far.scale == pytest.approx(none.scale)  # neutral, not explored for ever


# --- scores


def test_chances_are_those_of_a_million_draws() -> None:
    known = taught(policy(), {"formal": 0.2, "brief": 0.3, "short": 0.25}, {"profile": "kfz"}, 50)
    names, n = tuple(SLOTS), 1_000_000
    laws = known.laws(names, {"profile": "kfz"})
    rng = np.random.default_rng(1)
    draws = laws.location + laws.scale * rng.standard_t(DEGREES[laws.rung], (n, len(names)))
    seen = np.bincount(draws.argmax(axis=1), minlength=len(names)) / n
    chances = known.chances(names, {"profile": "kfz"})
    assert (abs(seen - chances) < 4.5 * np.sqrt(chances * (1 - chances) / n) + 2e-4).all()


def test_between_two_variants_the_law_is_that_of_their_difference() -> None:
    known = taught(policy(width=1.0), {"formal": 0.2, "brief": 0.3}, {}, 40)
    laws, r = known.laws(("formal", "brief"), {}), known.regression
    x = np.zeros(len(r))
    for name, sign in (("formal", 1.0), ("brief", -1.0)):
        for feature in (*(f"{s}={v}" for s, v in SLOTS[name].items()), f"variant={name}"):
            x[known.columns.place[feature]] += sign
    sd, _ = r.noise(known.noise)
    assert laws.location[0] - laws.location[1] == pytest.approx(x @ r.mean)
    assert laws.scale[0] ** 2 + laws.scale[1] ** 2 == pytest.approx(sd**2 * (x @ r.covariance @ x))


def test_what_all_variants_share_does_not_widen_their_scores() -> None:
    known = taught(policy(), {"formal": 0.2, "brief": 0.3}, {}, 40)
    everybody = known.laws(SEEN, {"time_of_day": "night", "latency_ms": 3000.0})
    assert everybody.scale.tolist() == known.laws(SEEN, {}).scale.tolist()


def test_the_only_variant_is_chosen() -> None:
    assert policy().chances(("brief",), {}).tolist() == [1.0]
    assert policy().scores(("brief",), {}, np.random.default_rng(0)).shape == (1,)


def test_the_upper_bound_goes_to_who_is_less_known_and_splits_ties() -> None:
    ucb = LinearUcbPolicy().knowing(dict.fromkeys(("a", "b", "c"), SLOTS["brief"]))
    assert ucb.chances(("a", "b", "c"), {}) == pytest.approx([1 / 3] * 3)
    rng = np.random.default_rng(0)
    first = {int(ucb.scores(("a", "b", "c"), {}, rng).argmax()) for _ in range(60)}
    assert first == {0, 1, 2}
    for k in range(400):
        ucb = ucb.learned(Outcome("a" if k % 2 else "b", 0.1 * (k % 3)))
    assert ucb.chances(("a", "b", "c"), {}).tolist() == [0.0, 0.0, 1.0]


def test_a_drop_in_one_segment_takes_the_sureness_and_part_of_the_means() -> None:
    kfz, both = {"profile": "kfz", "language": "de"}, ("formal", "brief")
    before = taught(policy(), {"formal": 0.1, "brief": 0.6}, kfz, 500)
    after = taught(before, {"brief": -0.2}, kfz, 60)
    assert (before.monitor.changes, after.monitor.changes) == (0, 1)
    assert before.chances(both, kfz)[1] > 0.99
    assert after.chances(both, kfz)[1] < 0.95
    assert after.laws(both, kfz).scale[1] > 2.0 * before.laws(both, kfz).scale[1]


def test_the_same_outcomes_give_the_same_bits_whatever_was_asked_meanwhile() -> None:
    asked = quiet = policy(half_life=200.0)
    rng = np.random.default_rng(0)
    for k in range(120):
        context = {"profile": "kfz" if k % 3 else "parking", "noise_db": 50.0 + k % 7}
        outcome = Outcome(SEEN[k % 3], float(rng.uniform(-1, 1)), context)
        asked.scores(SEEN, context, rng)
        asked, quiet = asked.learned(outcome), quiet.learned(outcome)
    assert asked == quiet
    assert asked.regression.covariance.tobytes() == quiet.regression.covariance.tobytes()
    assert (asked.regression.covariance == asked.regression.covariance.T).all()
