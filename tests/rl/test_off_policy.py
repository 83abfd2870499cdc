"""Off-policy evaluation: unbiased, bounded, invariant, and silent where it knows nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.core.errors import InvalidFeedback
from apps.rl.off_policy import (
    Evaluation,
    Log,
    Rules,
    Terms,
    dm,
    dr,
    evaluate,
    from_decisions,
    ips,
    predict_forward,
    running_means,
    snips,
    stabilised_dr,
    supported,
    switch_dr,
)
from apps.rl.off_policy.adaptive import stabilising_weights
from apps.rl.off_policy.estimators import choose_tau
from apps.rl.off_policy.log import Floats
from apps.store.decisions import DecisionRow

MEANS = np.array([0.5, 0.1, -0.2, 0.3])
FAIR = np.full(4, 0.25)
LOGGING = np.array([0.1, 0.5, 0.3, 0.1])
TARGET = np.array([0.6, 0.1, 0.1, 0.2])
TRUTH = float(TARGET @ MEANS)


def made(
    n: int, seed: int, *, p: Floats = LOGGING, means: Floats = MEANS, noise: float = 0.3
) -> Log:
    """Return a log of a policy that did not learn."""
    rng = np.random.default_rng(seed)
    table = np.broadcast_to(p, (n, len(means)))
    chosen = drawn(table, rng)
    reward = means[chosen] + rng.normal(0, noise, n)
    return Log(chosen, reward, table[np.arange(n), chosen], len(means), np.array(table))


def drawn(table: Floats, rng: np.random.Generator) -> np.ndarray:
    position = rng.random((len(table), 1)) * table.sum(axis=1, keepdims=True)
    return (position >= np.cumsum(table, axis=1)[:, :-1]).sum(axis=1)


def learned(n: int, seed: int) -> Log:
    """Return a log of a policy that follows the best mean so far, with a floor."""
    rng = np.random.default_rng(seed)
    count, total = np.ones(4), np.zeros(4)
    p = np.empty((n, 4))
    chosen = np.empty(n, np.intp)
    reward = np.empty(n)
    for t in range(n):
        p[t] = 0.1
        p[t, np.argmax(total / count)] += 0.6
        chosen[t] = rng.choice(4, p=p[t])
        reward[t] = MEANS[chosen[t]] + rng.normal(0, 0.3)
        count[chosen[t]] += 1
        total[chosen[t]] += reward[t]
    return Log(chosen, reward, p[np.arange(n), chosen], 4, p)


def all_of(log: Log, target: Floats, model: Floats) -> list[Terms]:
    return [
        ips(log, target),
        ips(log, target, clip=3.0),
        snips(log, target),
        dm(log, target, model),
        dr(log, target, model),
        switch_dr(log, target, model, tau=3.0),
        switch_dr(log, target, model),
        stabilised_dr(log, target, model),
    ]


# --- What the estimators promise


@pytest.mark.parametrize("source", [made, learned], ids=["fixed policy", "policy that learns"])
def test_ips_dr_and_stabilised_dr_are_unbiased(source):
    found = []
    for seed in range(80):
        log = source(200, seed)
        model = running_means(log)
        terms = (ips(log, TARGET), dr(log, TARGET, model), stabilised_dr(log, TARGET, model))
        found.append([t.value for t in terms])
    errors = np.array(found) - TRUTH
    within = 4 * errors.std(axis=0, ddof=1) / np.sqrt(len(errors))
    assert (abs(errors.mean(axis=0)) < within).all()
    assert (errors.std(axis=0) < 0.15).all()  # so that the bound above can be missed


def test_a_wrong_model_spoils_the_direct_method_and_leaves_dr_unbiased():
    wrong = np.tile(-MEANS, (400, 1))
    logs = [made(400, seed) for seed in range(100)]
    direct = np.mean([dm(log, TARGET, wrong).value for log in logs])
    robust = np.array([dr(log, TARGET, wrong).value for log in logs])
    assert direct == pytest.approx(-TRUTH)
    assert abs(robust.mean() - TRUTH) < 4 * robust.std(ddof=1) / 10


def test_wrong_propensities_leave_dr_right_when_the_model_is():
    log = made(4000, 3)
    wrong = Log(log.chosen, log.reward, np.full(4000, 0.25), 4)
    assert dr(wrong, TARGET, np.tile(MEANS, (4000, 1))).value == pytest.approx(TRUTH, abs=0.03)
    assert abs(ips(wrong, TARGET).value - TRUTH) > 0.1


def test_with_a_perfect_model_and_no_noise_dr_is_the_model():
    log = made(300, 1, noise=0.0)
    perfect = np.tile(MEANS, (300, 1))
    for terms in (dr(log, TARGET, perfect), stabilised_dr(log, TARGET, perfect)):
        assert terms.value == pytest.approx(TRUTH, abs=1e-12)
        assert abs(terms.influence).max() < 1e-12
    contexts = np.random.default_rng(0).uniform(-1, 1, (300, 4))
    exact = Log(log.chosen, contexts[np.arange(300), log.chosen], log.propensity, 4)
    assert dr(exact, TARGET, contexts).influence == pytest.approx(
        dm(exact, TARGET, contexts).influence
    )


def test_all_agree_with_the_mean_when_the_target_is_what_was_served():
    log = made(500, 2)
    constant = np.full((500, 4), 0.2)
    for terms in (ips(log, LOGGING), snips(log, LOGGING), dr(log, LOGGING, constant)):
        assert terms.value == pytest.approx(log.reward.mean(), abs=1e-12)


def test_switch_dr_runs_from_the_model_to_dr():
    log = made(300, 4)
    model = np.random.default_rng(1).uniform(-1, 1, (300, 4))
    heaviest = float(log.weights(TARGET).max())
    assert switch_dr(log, TARGET, model, tau=heaviest).value == dr(log, TARGET, model).value
    least = float(log.weights(TARGET).min()) / 2
    assert switch_dr(log, TARGET, model, tau=least).value == dm(log, TARGET, model).value


def test_tau_leaves_nothing_out_under_a_bad_model():
    log = made(2000, 4)
    bad = np.tile(MEANS + np.array([0.8, 0, 0, 0]), (2000, 1))
    assert choose_tau(log, TARGET, bad) == pytest.approx(float(log.weights(TARGET).max()))


def test_clipping_cuts_the_weights_and_nothing_else():
    log = made(300, 5)
    assert ips(log, TARGET, clip=1e9).value == ips(log, TARGET).value
    cut = np.minimum(log.weights(TARGET), 2.0)
    assert ips(log, TARGET, clip=2.0).value == pytest.approx((cut * log.reward).mean())


policies = st.lists(st.floats(0.05, 1.0), min_size=4, max_size=4).map(
    lambda shares: np.array(shares) / np.sum(shares)
)


@settings(max_examples=60, deadline=None)
@given(p=policies, target=policies, seed=st.integers(0, 10_000), n=st.integers(1, 80))
def test_snips_never_leaves_the_rewards_that_were_seen(p, target, seed, n):
    log = made(n, seed, p=p)
    value = snips(log, target).value
    assert log.reward.min() - 1e-9 <= value <= log.reward.max() + 1e-9


@settings(max_examples=40, deadline=None)
@given(p=policies, target=policies, seed=st.integers(0, 10_000))
def test_neither_the_order_of_rows_nor_the_names_of_arms_matter(p, target, seed):
    log = made(60, seed, p=p)
    model = np.random.default_rng(seed).uniform(-1, 1, (60, 4))
    rows, arms = np.random.default_rng(1).permutation(60), np.array([2, 0, 3, 1])
    assert log.propensities is not None
    again = Log(
        np.argsort(arms)[log.chosen[rows]],
        log.reward[rows],
        log.propensity[rows],
        4,
        log.propensities[rows][:, arms],
    )
    before = all_of(log, target, model)
    after = all_of(again, target[arms], model[rows][:, arms])
    for one, other in zip(before, after, strict=True):
        assert other.value == pytest.approx(one.value, abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(scale=st.floats(0.1, 10), shift=st.floats(-5, 5), seed=st.integers(0, 10_000))
def test_estimates_follow_the_units_of_the_reward(scale, shift, seed):
    log = made(60, seed)
    model = np.random.default_rng(seed).uniform(-1, 1, (60, 4))
    other = replace(log, reward=scale * log.reward + shift)
    moved = scale * model + shift
    pairs = [
        (snips(log, TARGET), snips(other, TARGET)),
        (switch_dr(log, TARGET, model, tau=3), switch_dr(other, TARGET, moved, tau=3)),
    ]
    for estimator in (dm, dr, stabilised_dr):
        pairs += [(estimator(log, TARGET, model), estimator(other, TARGET, moved))]
    for before, after in pairs:
        assert after.value == pytest.approx(scale * before.value + shift, abs=1e-8)


# --- Logs of a policy that learned


def test_the_running_means_know_only_what_came_before():
    log = made(50, 1)
    means = running_means(log, strength=2.0)
    for t in (0, 1, 7, 49):
        earlier = log.reward[:t]
        overall = earlier.mean() if t else 0.0
        mine = earlier[log.chosen[:t] == 2]
        assert means[t, 2] == pytest.approx((mine.sum() + 2 * overall) / (len(mine) + 2))


def test_a_model_learned_forward_never_sees_what_it_predicts():
    log = made(100, 1)
    seen = []

    def fit(past):
        seen.append(past)
        return lambda rows: np.full((len(rows), 4), float(past[-1]))

    predictions = predict_forward(log, fit, blocks=4)
    assert [len(past) for past in seen] == [25, 50, 75]
    assert (predictions[25:50] == 24).all()
    assert (predictions[75:] == 74).all()
    assert (predictions[:25] == running_means(log)[:25]).all()


def test_the_stabilising_weight_of_one_arm_is_the_root_of_its_probability():
    log = learned(100, 1)
    assert log.propensities is not None
    third = np.array([0.0, 0.0, 1.0, 0.0])
    assert stabilising_weights(log, third) == pytest.approx(np.sqrt(log.propensities[:, 2]))


def test_in_a_contextual_log_the_weight_knows_nothing_of_the_call_itself():
    log = replace(learned(150, 1), contextual=True)
    assert log.propensities is not None
    before = stabilising_weights(log, TARGET)
    assert len(np.unique(before)) > 2
    other = log.propensities.copy()
    other[120] = FAIR
    own = log.propensity.copy()
    own[120] = 0.25
    after = stabilising_weights(replace(log, propensity=own, propensities=other), TARGET)
    assert (after[:121] == before[:121]).all()
    assert after[121] != before[121]


def test_stabilising_without_all_probabilities_is_refused():
    log = replace(made(10, 1), propensities=None)
    with pytest.raises(InvalidFeedback, match="probabilities of all arms"):
        stabilised_dr(log, TARGET, running_means(log))


# --- The whole evaluation


def test_an_evaluation_holds_the_truth_and_says_so():
    found = evaluate(made(2000, 1), TARGET)
    assert found.refusal is None
    assert found.best == "stabilised DR"
    for name in ("IPS", "SNIPS", "DR", "Switch-DR", "stabilised DR"):
        estimate = found.estimate(name)
        assert estimate.delta.low < TRUTH < estimate.delta.high
        assert estimate.bootstrap.low < TRUTH < estimate.bootstrap.high
    assert str(found).startswith(f"This policy's mean reward is {found.estimates[-1].value:+.3f}")
    assert found.doubts == ()
    with pytest.raises(KeyError):
        found.estimate("magic")


def test_the_same_seed_gives_the_same_evaluation():
    log = made(400, 1)
    assert evaluate(log, TARGET).estimates == evaluate(log, TARGET).estimates
    assert evaluate(log, TARGET, rules=Rules(seed=1)).estimates != evaluate(log, TARGET).estimates


def test_without_all_probabilities_dr_is_the_one_to_go_by():
    found = evaluate(replace(made(1000, 1), propensities=None), TARGET, rules=Rules(clip=3.0))
    assert found.best == "DR"
    assert {e.estimator for e in found.estimates} == {
        "IPS", "clipped IPS", "SNIPS", "DM", "Switch-DR", "DR",
    }  # fmt: skip


def refused(log: Log, target: Floats) -> Evaluation:
    found = evaluate(log, target)
    assert found.estimates == ()
    assert found.best is None
    assert str(found).startswith("No estimate: ")
    return found


def test_too_few_effective_calls_are_refused():
    rare = np.array([0.01, 0.33, 0.33, 0.33])
    found = refused(made(1000, 1, p=rare), np.array([1.0, 0.0, 0.0, 0.0]))
    assert "fewer than 50 are not believed" in str(found)
    assert found.diagnostics.effective < 50


def test_too_few_callers_are_refused():
    log = replace(made(1000, 1), caller=np.arange(1000) % 5)
    assert "5 callers" in str(refused(log, TARGET))


def test_a_target_that_had_no_chance_is_refused_and_can_be_narrowed():
    early, late = made(600, 1, p=np.array([0.0, 0.5, 0.3, 0.2])), made(900, 2)
    assert early.propensities is not None
    assert late.propensities is not None
    both = Log(
        np.concatenate([early.chosen, late.chosen]),
        np.concatenate([early.reward, late.reward]),
        np.concatenate([early.propensity, late.propensity]),
        4,
        np.concatenate([early.propensities, late.propensities]),
    )
    assert "had no chance" in str(refused(both, TARGET))
    narrowed = both.where(supported(both, TARGET))
    assert len(narrowed) == 900
    assert evaluate(narrowed, TARGET).refusal is None


# --- What goes in


def test_stored_decisions_become_a_log():
    def row(ref: str, variant: str, p: dict[str, float], subject: str | None) -> DecisionRow:
        return DecisionRow(ref, variant, p[variant], p, {}, "", True, 0, subject=subject)

    rows = [
        (row("1", "a", {"a": 0.7, "b": 0.3}, "anna"), 0.5),
        (row("2", "c", {"a": 0.5, "b": 0.3, "c": 0.2}, None), -0.5),
        (row("3", "b", {"a": 0.7, "b": 0.3}, "anna"), 0.1),
        (row("4", "a", {"a": 1.0}, None), 0.2),
    ]
    log = from_decisions(rows, ["a", "b", "c"])
    assert log.chosen.tolist() == [0, 2, 1, 0]
    assert log.propensity.tolist() == [0.7, 0.2, 0.3, 1.0]
    assert log.propensities is not None
    assert log.propensities[0].tolist() == [0.7, 0.3, 0.0]
    assert log.caller is not None
    assert log.caller.tolist() == [0, 1, 0, 2]
    with pytest.raises(InvalidFeedback, match="none of the arms"):
        from_decisions(rows, ["a", "b"])


GOOD = made(10, 1)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"reward": GOOD.reward * np.nan}, "finite"),
        ({"reward": GOOD.reward[:5]}, "shape"),
        ({"propensity": np.zeros(10)}, r"\(0, 1\]"),
        ({"propensity": np.full(10, 0.9)}, "logged probability"),
        ({"chosen": np.full(10, 4)}, "none of the arms"),
        ({"chosen": np.full(10, -1)}, "none of the arms"),
        ({"propensities": np.full((10, 4), 0.3)}, "sum to 1"),
        ({"caller": np.zeros(3, np.intp)}, "shape"),
    ],
)
def test_what_is_no_log_is_refused(changes, why):
    with pytest.raises(InvalidFeedback, match=why):
        replace(GOOD, **changes)


def test_nothing_is_no_log():
    with pytest.raises(InvalidFeedback, match="nothing is logged"):
        GOOD.where(np.zeros(10, bool))


@pytest.mark.parametrize(
    "target", [np.array([0.5, 0.6, 0, 0]), np.array([1.2, -0.2, 0, 0]), np.ones(1), np.eye(4)]
)
def test_what_is_no_policy_is_refused(target):
    with pytest.raises(InvalidFeedback, match="target policy"):
        ips(GOOD, target)


@pytest.mark.parametrize("model", [np.zeros((10, 3)), np.full((10, 4), np.inf)])
def test_what_is_no_model_is_refused(model):
    with pytest.raises(InvalidFeedback, match="prediction"):
        dm(GOOD, TARGET, model)


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan")])
def test_a_clip_or_tau_that_is_not_positive_is_refused(bad):
    with pytest.raises(InvalidFeedback, match="clip"):
        ips(GOOD, TARGET, clip=bad)
    with pytest.raises(InvalidFeedback, match="tau"):
        switch_dr(GOOD, TARGET, running_means(GOOD), tau=bad)
