"""Intervals, diagnostics and drift of off-policy estimates."""

from __future__ import annotations

import numpy as np
import pytest

from apps.rl.off_policy import (
    Log,
    Terms,
    bootstrap,
    delta,
    diagnose,
    drift,
    ips,
    running_means,
    snips,
    stabilised_dr,
)
from apps.rl.off_policy.diagnostics import effective_size
from apps.rl.off_policy.intervals import chi_square_tail, standard_error, t_quantile
from benchmarks.off_policy.logs import ARMS, World, thompson_logs

P = np.array([0.2, 0.5, 0.3])
TARGET = np.array([0.5, 0.2, 0.3])


def plain(values: np.ndarray) -> Terms:
    return Terms("mean", values, np.ones(len(values)))


def made(n: int, seed: int, *, p: np.ndarray = P, logged: np.ndarray | None = None) -> Log:
    rng = np.random.default_rng(seed)
    chosen = rng.choice(3, size=n, p=p)
    said = p if logged is None else logged
    reward = rng.normal(np.array([0.4, 0.0, 0.1])[chosen], 0.3)
    return Log(chosen, reward, said[chosen], 3, np.tile(said, (n, 1)))


# --- The delta method


def test_the_delta_method_of_a_mean_is_the_textbooks():
    values = np.random.default_rng(0).normal(size=40)
    assert standard_error(plain(values), None) == pytest.approx(values.std(ddof=1) / 40**0.5)


def test_a_call_counted_twice_is_no_second_caller():
    values = np.random.default_rng(0).normal(size=40)
    twice, caller = np.repeat(values, 2), np.repeat(np.arange(40), 2)
    assert standard_error(plain(twice), caller) == pytest.approx(
        standard_error(plain(values), None)
    )
    assert standard_error(plain(twice), None) < 0.75 * standard_error(plain(twice), caller)


def test_the_names_of_callers_do_not_matter():
    log = made(60, 1)
    caller = np.arange(60) // 3
    assert delta(ips(log, TARGET), caller) == delta(ips(log, TARGET), 1000 - 7 * caller)


def test_one_caller_tells_nothing_of_the_spread():
    log = made(60, 1)
    assert np.isnan(standard_error(ips(log, TARGET), np.zeros(60, np.intp)))


def test_a_variance_from_few_large_terms_is_trusted_less():
    even = np.tile([1.0, -1.0], 100)
    heavy = np.zeros(200)
    heavy[:8] = np.tile([5.0, -5.0], 4)
    assert standard_error(plain(even), None) == pytest.approx(standard_error(plain(heavy), None))
    assert delta(plain(heavy)).high > 1.05 * delta(plain(even)).high


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    truth = float(TARGET @ [0.4, 0.0, 0.1])
    held = np.zeros((200, 2))
    for seed in range(200):
        log = made(150, seed)
        terms = snips(log, TARGET)
        near, again = delta(terms), bootstrap([terms], seed=seed, replicates=120)[0]
        held[seed] = near.low <= truth <= near.high, again.low <= truth <= again.high
    assert (held.mean(axis=0) > 0.91).all()
    assert (held.mean(axis=0) < 0.98).all()


# --- The bootstrap


def test_the_bootstrap_agrees_with_the_delta_method_in_large_logs():
    log = made(3000, 2)
    caller = np.arange(3000) // 2
    terms = [ips(log, TARGET), snips(log, TARGET)]
    for found, one in zip(bootstrap(terms, caller), terms, strict=True):
        near = delta(one, caller)
        assert found.low == pytest.approx(near.low, abs=0.005)
        assert found.high == pytest.approx(near.high, abs=0.005)


def test_the_bootstrap_draws_whole_callers():
    values = np.random.default_rng(0).normal(size=50)
    twice, caller = np.repeat(values, 2), np.repeat(np.arange(50), 2)
    once = bootstrap([plain(values)], seed=3)[0]
    again = bootstrap([plain(twice)], caller, seed=3)[0]
    assert (again.low, again.high) == pytest.approx((once.low, once.high))


def test_the_level_widens_the_intervals():
    log = made(300, 2)
    terms = ips(log, TARGET)
    assert delta(terms, level=0.99).high > delta(terms, level=0.9).high
    wide, narrow = bootstrap([terms], level=0.99)[0], bootstrap([terms], level=0.9)[0]
    assert wide.low < narrow.low < narrow.high < wide.high


def test_draws_without_any_weight_are_left_out():
    sparse = Terms("SNIPS", np.array([0.5, 0, 0, 0]), np.array([1.0, 0, 0, 0]))
    found = bootstrap([sparse], replicates=50)[0]
    assert (found.low, found.high) == (0.5, 0.5)


# --- Tables of the distributions


@pytest.mark.parametrize(
    ("freedom", "quantile", "within"),
    [(4, 2.7764, 0.01), (8, 2.3060, 5e-4), (30, 2.0423, 1e-4), (1000, 1.9623, 1e-4)],
)
def test_students_quantiles_are_those_of_the_tables(freedom, quantile, within):
    assert t_quantile(0.975, freedom) == pytest.approx(quantile, abs=within)


@pytest.mark.parametrize(
    ("value", "freedom"),
    [(3.8415, 1), (5.9915, 2), (7.8147, 3), (9.4877, 4), (11.0705, 5), (18.3070, 10)],
)
def test_chi_squares_tails_are_those_of_the_tables(value, freedom):
    assert chi_square_tail(value, freedom) == pytest.approx(0.05, abs=1e-5)
    assert chi_square_tail(0.0, freedom) == 1.0


# --- Diagnostics


def test_the_effective_size_runs_from_one_to_all():
    assert effective_size(np.full(10, 3.0)) == pytest.approx(10)
    assert effective_size(np.eye(1, 10)[0]) == pytest.approx(1)
    assert effective_size(np.zeros(3)) == 0.0


def test_a_true_log_raises_no_doubts():
    for seed in range(40):
        found = diagnose(made(800, seed), TARGET)
        assert found.doubts() == ()
    assert found.mean_weight == pytest.approx(1.0, abs=0.1)
    assert found.min_propensity == 0.2
    assert found.max_weight == pytest.approx(2.5)
    assert found.unsupported == 0.0
    assert sum(b.observed for b in found.calibration) == 800


def test_propensities_that_are_not_what_happened_are_found():
    found = diagnose(made(1500, 1, logged=np.array([0.3, 0.4, 0.3])), TARGET)
    assert found.calibration_p is not None
    assert found.calibration_p < 1e-6
    assert any("not what happened" in doubt for doubt in found.doubts())
    assert abs(found.mean_weight_z) > 4
    assert any("instead of 1" in doubt for doubt in found.doubts())


def test_weight_on_few_calls_is_doubted():
    n = 1000
    p = np.array([0.004, 0.498, 0.498])
    rng = np.random.default_rng(4)
    chosen = rng.choice(3, size=n, p=p)
    log = Log(chosen, rng.normal(size=n), p[chosen], 3)
    found = diagnose(log, np.array([0.5, 0.25, 0.25]))
    assert found.top_share > 0.25
    assert found.calibration == ()
    assert found.calibration_p is None
    assert found.unsupported is None
    assert any("1 % of the calls" in doubt for doubt in found.doubts())


def test_equal_weights_have_no_z():
    assert np.isnan(diagnose(made(100, 1), P).mean_weight_z)


def test_certain_choices_cannot_be_calibrated():
    sure = np.array([1.0, 0.0, 0.0])
    found = diagnose(made(50, 1, p=sure), np.array([0.5, 0.5, 0.0]))
    assert found.calibration == ()
    assert found.unsupported == 0.5


# --- Drift


def test_a_steady_value_is_seen_as_steady():
    alarms = sum(drift(snips(made(1000, s), TARGET)).changed(0.05) for s in range(100))
    assert alarms <= 14


def test_a_changed_value_is_found_and_told():
    log = made(1000, 1)
    log.reward[500:] -= 0.3
    found = drift(ips(log, TARGET), windows=4)
    assert found.changed()
    assert str(found).startswith("The value has changed over time (+")
    assert [(w.first, w.last) for w in found.windows] == [
        (0, 249),
        (250, 499),
        (500, 749),
        (750, 999),
    ]
    assert found.windows[0].value > found.windows[-1].value + 0.2
    assert found.windows[0].interval.low > found.windows[-1].interval.high


def test_drift_of_a_steady_log_is_told_too():
    assert str(drift(snips(made(1000, 3), TARGET))).startswith("No change")


def test_too_little_says_nothing_about_drift():
    found = drift(snips(made(2, 1), TARGET), windows=5)
    assert found.p_value is None
    assert not found.changed()
    assert "Too little" in str(found)


# --- Logs of a policy that learned


def test_intervals_hold_the_truth_in_logs_of_a_sampler_that_learned():
    runs = thompson_logs(150, World(calls_each=3, caller_effect=0.3), seed=5, rounds=300)
    target = np.full(ARMS, 1 / ARMS)
    held = 0
    for run in range(150):
        log = runs.log(run)
        near = delta(stabilised_dr(log, target, running_means(log)), log.caller)
        held += near.low <= target @ runs.truth[run] <= near.high
    assert 0.9 <= held / 150 <= 0.99
