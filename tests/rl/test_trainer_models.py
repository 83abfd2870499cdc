"""The trainer's models find what is there, and do not find what is not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from apps.rl.off_policy import Log, from_decisions
from apps.rl.trainer import TrainingCall
from apps.rl.trainer.features import ALL_SLOTS, Blocks, Encoder, Floats, Ints, caller_numbers
from apps.rl.trainer.preferences import davidson, pair_up
from apps.rl.trainer.reward_model import caller_ratio, fit, without_callers
from apps.rl.trainer.slate import slot_weights
from apps.rl.trainer.validation import held_out, validate
from benchmarks.learning.scenarios import TWELVE
from tests.rl.seeded_store import simulated_calls


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Let tests that run beside others not wait for all cores."""
    with threadpool_limits(1):
        yield


def duels(
    strengths: Floats, log_tie: float, effects: Floats, n: int, seed: int
) -> tuple[Floats, Ints, Ints, Ints]:
    """Return drawn comparisons: designs, callers of both sides, results."""
    rng = np.random.default_rng(seed)
    i = rng.integers(len(strengths), size=n)
    j = (i + rng.integers(1, len(strengths), size=n)) % len(strengths)
    a, b = rng.integers(len(effects), size=(2, n))
    eta = strengths[i] - strengths[j] + effects[a] - effects[b]
    powers = np.exp(np.stack([eta / 2, np.full(n, log_tie), -eta / 2]))
    below = np.cumsum(powers / powers.sum(axis=0), axis=0)
    result = 1 - (rng.random(n) > below[:2]).sum(axis=0)
    unit = np.eye(len(strengths))
    return unit[i] - unit[j], a, b, result.astype(np.intp)


def test_bradley_terry_recovers_strengths_and_ties() -> None:
    truth = np.array([-1.0, -0.4, 0.0, 0.5, 0.9])
    x, a, b, result = duels(truth, -0.5, np.zeros(400), 6000, seed=1)
    found = davidson(x, a, b, result, 400)
    centred = found.strengths - found.strengths.mean()
    assert centred == pytest.approx(truth - truth.mean(), abs=0.12)
    assert found.log_tie == pytest.approx(-0.5, abs=0.1)
    assert found.caller_sd < 0.3


def test_its_intervals_hold_the_truth_as_often_as_they_say() -> None:
    truth, held, asked = np.array([-0.5, 0.0, 0.5]), 0, 0
    unit = np.eye(3)
    for seed in range(40):
        effects = np.random.default_rng(seed).normal(0.0, 0.6, 60)
        x, a, b, result = duels(truth, -0.7, effects, 300, seed=seed)
        found = davidson(x, a, b, result, 60)
        gap, error = found.compare(unit[1:], unit[0])
        held += int((abs(gap - (truth[1:] - truth[0])) < 1.96 * error).sum())
        asked += 2
    assert 0.88 <= held / asked <= 1.0


def test_a_happy_caller_does_not_lift_the_variant_they_always_had() -> None:
    rng = np.random.default_rng(3)
    n, callers = 900, 300
    a, b = rng.integers(1, callers, size=(2, n))
    x = np.tile([1.0, -1.0], (n, 1))  # the first variant against the second, which are alike
    result = rng.choice(np.array([-1, 0, 1]), n)
    a[:300], result[:300] = 0, 1  # caller 0 is happy, and always had the first
    plain = davidson(x, np.arange(n), np.arange(n, 2 * n), result, 2 * n)
    found = davidson(x, a, b, result, callers)
    gap, blind = found.strengths[0] - found.strengths[1], plain.strengths[0] - plain.strengths[1]
    assert gap < blind / 2
    assert found.caller_sd > 0.1


def test_pairs_are_alike_disjoint_and_of_different_variants() -> None:
    calls = simulated_calls(500)
    pairs = pair_up(calls)
    both = np.concatenate([pairs.first, pairs.second])
    assert len(np.unique(both)) == len(both)
    assert len(pairs) > 200
    for i, j, result in zip(pairs.first, pairs.second, pairs.result, strict=True):
        assert calls[i].variant != calls[j].variant
        assert calls[i].context["profile"] == calls[j].context["profile"]
        gap = calls[i].reward - calls[j].reward
        assert result == (0 if abs(gap) < 0.1 else np.sign(gap))


def blocks_for(slots: int, variants: int) -> Blocks:
    at = 1 + slots
    empty = slice(at, at)
    return Blocks(slice(0, 1), slice(1, 1), slice(1, at), empty, empty, slice(at, at + variants))


def drawn(
    n: int, callers: int, caller_sd: float, effect: float, seed: int
) -> tuple[Floats, Floats, Ints]:
    """Return rows (a constant, four columns, three variants), rewards and callers."""
    rng = np.random.default_rng(seed)
    caller = rng.integers(callers, size=n)
    x = rng.normal(size=(n, 4))
    own = np.eye(3)[rng.integers(3, size=n)]
    weights = effect * np.array([0.2, -0.1, 0.1, 0.0])
    reward = 0.3 + x @ weights + rng.normal(0.0, caller_sd, callers)[caller]
    reward += rng.normal(0.0, 0.4, n)
    return np.hstack([np.ones((n, 1)), x, own]), reward, caller.astype(np.intp)


def test_the_reward_model_recovers_effects_and_the_callers_share() -> None:
    rows, reward, caller = drawn(4000, 800, 0.3, 1.0, seed=1)
    model = fit(rows, reward, caller, blocks_for(4, 3))
    assert model.weights[1:5] == pytest.approx([0.2, -0.1, 0.1, 0.0], abs=0.02)
    assert model.noise == pytest.approx(0.16, rel=0.1)
    assert model.ratio == pytest.approx(0.09 / 0.16, rel=0.3)


def test_its_standard_deviations_are_as_large_as_its_errors() -> None:
    z = []
    for seed in range(40):
        rows, reward, caller = drawn(600, 100, 0.3, 1.0, seed=seed)
        model = fit(rows, reward, caller, blocks_for(4, 3))
        error = model.weights[1:5] - np.array([0.2, -0.1, 0.1, 0.0])
        z.append(error / np.sqrt(np.diag(model.covariance)[1:5]))
    assert 0.8 < np.sqrt(np.mean(np.square(z))) < 1.25


def test_a_signal_free_log_shows_no_effects() -> None:
    rows, reward, caller = drawn(1000, 300, 0.0, 0.0, seed=2)
    model = fit(rows, reward, caller, blocks_for(4, 3))
    assert abs(model.weights[1:]).max() < 0.05
    assert model.ratio < 0.1


def test_taking_callers_out_makes_their_calls_independent() -> None:
    rng = np.random.default_rng(5)
    caller = np.repeat(np.arange(500), 4)
    residual = rng.normal(0.0, 1.0, 500)[caller] + rng.normal(size=2000)
    assert caller_ratio(residual, caller) == pytest.approx(1.0, rel=0.3)
    cleaned = without_callers(residual[:, None], caller, 1.0)[:, 0]
    assert caller_ratio(cleaned - cleaned.mean(), caller) < 0.1


@pytest.fixture(scope="module")
def calls() -> tuple[TrainingCall, ...]:
    return simulated_calls(1500)


def test_it_is_calibrated_on_calls_it_has_not_seen_and_beats_the_variants_means(
    calls: tuple[TrainingCall, ...],
) -> None:
    encoder = Encoder.of(calls)
    rows, caller = encoder.rows(calls), caller_numbers(calls)
    reward = np.array([call.reward for call in calls])
    model = fit(rows, reward, caller, encoder.blocks)
    found = validate(calls, rows, reward, caller, encoder.blocks, model)
    assert found.slope_interval.low < 1.0 < found.slope_interval.high
    assert found.r2 > found.r2_means > 0.0
    assert found.left_out_rmse[0] < found.left_out_rmse[1]
    assert {v.variant for v in found.left_out} == set(TWELVE)
    assert found.widening >= 1.0


def test_neither_callers_nor_the_future_leak_into_a_held_out_prediction(
    calls: tuple[TrainingCall, ...],
) -> None:
    """Rewards that are a caller's own, and nothing else, cannot be foreseen."""
    encoder = Encoder.of(calls)
    rows, caller = encoder.rows(calls), caller_numbers(calls)
    level = np.random.default_rng(7).normal(0.0, 0.4, caller.max() + 1)[caller]
    held, predicted, _, plain = held_out(calls, rows, level, caller, encoder.blocks)
    explained = 1 - np.square(level[held] - predicted).sum() / np.square(level[held] - plain).sum()
    assert explained < 0.03
    assert len(np.unique(held)) == len(held)
    assert held.min() >= int(0.6 * len(calls))


def number(value: str) -> float:
    """Return some number for a slot value, the same every time."""
    return len(value) + ord(value[0]) / 10.0


def had_been(log: Log, arm: int) -> Log:
    """Return the log's first call as if another arm had been drawn."""
    first = log.where(slice(0, 1))
    assert first.propensities is not None
    return replace(first, chosen=np.array([arm]), propensity=first.propensities[:, arm])


def test_slot_weights_are_exact_where_rewards_are_a_sum_over_slots(
    calls: tuple[TrainingCall, ...],
) -> None:
    """Averaged over what could have been drawn, weight times reward is the reward asked for."""
    names = sorted(TWELVE)
    arms = [TWELVE[name] for name in names]
    log = from_decisions([(call.decision, call.reward) for call in calls], names)
    assert log.propensities is not None
    each = [slot_weights(had_been(log, k), arms, ALL_SLOTS) for k in range(len(arms))]
    supported = each[0][1][0]
    weights = np.array([found[0][0] for found in each])[:, supported]
    sums = [sum(number(v) for v in slots.as_dict().values()) for slots in (*arms, *ALL_SLOTS)]
    served, wanted = np.array(sums[: len(arms)]), np.array(sums[len(arms) :])[supported]
    assert log.propensities[0] @ weights == pytest.approx(np.ones(supported.sum()))
    assert log.propensities[0] @ (weights * served[:, None]) == pytest.approx(wanted)


def test_combinations_that_no_variant_reaches_are_not_supported(
    calls: tuple[TrainingCall, ...],
) -> None:
    names = ["v1a", "v1c"]  # they differ in length and in barge-in sensitivity
    two = [c for c in calls if c.variant in names]
    even = [
        replace(c.decision, propensity=0.5, propensities=dict.fromkeys(names, 0.5)) for c in two
    ]
    log = from_decisions([(d, c.reward) for d, c in zip(even, two, strict=True)], names)
    _, supported, _ = slot_weights(log, [TWELVE[n] for n in names], ALL_SLOTS)
    reached = [s for s, able in zip(ALL_SLOTS, supported.all(axis=0), strict=True) if able]
    assert set(reached) == {TWELVE[name] for name in names}
