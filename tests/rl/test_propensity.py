"""The choice probabilities: exact, within the caps, and truly those of the choices made."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.rl import beta
from apps.rl.posterior import Arm
from apps.rl.propensity import Allocation, Holds, Stage, allocate, stage_of, sureness
from apps.rl.variants import GuardRules, Prior

RULES = GuardRules(base_variant="base")
PRIOR = Prior()


def arm(pulls: int, mean_reward: float) -> Arm:
    return Arm(pulls, pulls * (mean_reward + 1) / 2)


# --- Beta distributions


def chance_that_second_is_larger(a1: int, b1: int, a2: int, b2: int) -> float:
    """Closed form for whole parameters."""

    def log_b(a: float, b: float) -> float:
        return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)

    return math.fsum(
        math.exp(log_b(a1 + i, b1 + b2) - math.log(b2 + i) - log_b(1 + i, b2) - log_b(a1, b1))
        for i in range(a2)
    )


@pytest.mark.parametrize(
    "parameters", [(1, 1, 1, 1), (3, 5, 4, 4), (100, 80, 90, 85), (1, 1, 30, 2), (900, 40, 2, 1)]
)
def test_two_variables_are_compared_as_the_closed_form_does(
    parameters: tuple[int, int, int, int],
) -> None:
    a1, b1, a2, b2 = parameters
    found = beta.probability_best([a1, a2], [b1, b2])
    assert found[1] == pytest.approx(chance_that_second_is_larger(*parameters), abs=1e-9)


def test_twelve_variables_are_compared_as_many_draws_do() -> None:
    rng = np.random.default_rng(7)
    alphas, betas = 1 + 40 * rng.random(12), 1 + 40 * rng.random(12)
    draws = rng.beta(alphas[:, None], betas[:, None], size=(12, 300_000))
    shares = np.bincount(draws.argmax(axis=0), minlength=12) / 300_000
    assert np.abs(beta.probability_best(alphas, betas) - shares).max() < 3e-3


positive = st.floats(0.05, 1e5)


@given(st.lists(st.tuples(positive, positive), min_size=1, max_size=12))
@settings(deadline=None, max_examples=60)
def test_whatever_the_parameters_it_is_a_distribution(pairs: list[tuple[float, float]]) -> None:
    best = beta.probability_best([a for a, _ in pairs], [b for _, b in pairs])
    assert best.sum() == pytest.approx(1.0)
    assert (best >= 0).all()


def test_equal_variables_are_equally_often_the_best() -> None:
    assert beta.probability_best([3.5] * 7, [2.5] * 7) == pytest.approx([1 / 7] * 7, abs=1e-9)


@pytest.mark.parametrize(("alphas", "betas"), [([], []), ([1], [1, 2]), ([1, 0], [1, 1])])
def test_parameters_that_cannot_be_are_refused(alphas: list[float], betas: list[float]) -> None:
    with pytest.raises(ValueError, match=r"alpha"):
        beta.probability_best(alphas, betas)


def test_the_distribution_function_and_its_quantiles() -> None:
    assert beta.cdf(0.3, 2, 1) == pytest.approx(0.09, abs=1e-9)
    assert beta.cdf(0.25, 1, 3) == pytest.approx(1 - 0.75**3, abs=1e-9)
    assert (beta.cdf(-0.1, 2, 2), beta.cdf(0.0, 2, 2), beta.cdf(1.0, 2, 2)) == (0, 0, 1)
    assert beta.quantile(0.05, 1, 1) == pytest.approx(0.05, abs=1e-6)
    assert beta.cdf(beta.quantile(0.9, 31.5, 8.2), 31.5, 8.2) == pytest.approx(0.9, abs=1e-6)


# --- stages


@pytest.mark.parametrize(
    ("seen", "stage"),
    [
        (Arm(), Stage.NEW),
        (arm(9, 1.0), Stage.NEW),
        (arm(10, 1.0), Stage.UNCERTAIN),
        (arm(19, -1.0), Stage.UNCERTAIN),
        (arm(20, -0.21), Stage.BLACKLISTED),
        (arm(20, -0.2), Stage.UNCERTAIN),
        (arm(20, 0.0), Stage.UNCERTAIN),
        (arm(20, 0.5), Stage.ESTABLISHED),
        (arm(500, 0.0), Stage.ESTABLISHED),
        (arm(500, -0.19), Stage.UNCERTAIN),
    ],
)
def test_a_variant_advances_by_its_pulls_and_by_how_sure_one_can_be(
    seen: Arm, stage: Stage
) -> None:
    assert stage_of("v", seen, RULES, Holds(), PRIOR) is stage


def test_the_base_variant_is_the_base_however_bad_it_is() -> None:
    assert stage_of("base", arm(500, -1.0), RULES, Holds(), PRIOR) is Stage.BASE


def test_sureness_grows_with_evidence() -> None:
    assert sureness(arm(5, 0.2), RULES, PRIOR) < sureness(arm(50, 0.2), RULES, PRIOR)
    assert sureness(Arm(), RULES, PRIOR) == pytest.approx(0.6)


def test_a_variant_on_probation_is_judged_by_what_came_after() -> None:
    bad = arm(30, -0.8)
    holds = Holds(probation={"v": bad})
    assert stage_of("v", bad, RULES, Holds(), PRIOR) is Stage.BLACKLISTED
    assert stage_of("v", bad, RULES, holds, PRIOR) is Stage.NEW
    better = Arm(bad.pulls + 25, bad.success + arm(25, 0.6).success)
    assert stage_of("v", better, RULES, holds, PRIOR) is Stage.ESTABLISHED
    worse = Arm(bad.pulls + 20, bad.success + arm(20, -0.6).success)
    assert stage_of("v", worse, RULES, holds, PRIOR) is Stage.BLACKLISTED


# --- shares


def share(allocation: Allocation, *stages: Stage) -> float:
    return math.fsum(
        p for name, p in allocation.probabilities.items() if allocation.stages[name] in stages
    )


def test_in_the_beginning_the_new_ones_share_their_tenth() -> None:
    arms = {"base": Arm()} | {f"n{i}": Arm() for i in range(11)}
    now = allocate(arms, RULES, PRIOR)
    assert now.probabilities["base"] == pytest.approx(0.9)
    assert now.probabilities["n3"] == pytest.approx(0.1 / 11)


def test_the_caps_hold_for_the_groups_together() -> None:
    arms = {"base": arm(100, 0.1), "old": arm(60, 0.2)}
    arms |= {f"n{i}": arm(3, 1.0) for i in range(4)} | {f"u{i}": arm(12, 0.9) for i in range(4)}
    now = allocate(arms, RULES, PRIOR)
    assert share(now, Stage.NEW) == pytest.approx(0.1)
    assert share(now, Stage.UNCERTAIN) == pytest.approx(0.05)
    assert share(now, Stage.BASE, Stage.ESTABLISHED) == pytest.approx(0.85)
    assert now.probabilities["old"] > now.probabilities["base"]


def test_a_group_without_hope_gets_less_than_its_cap() -> None:
    arms = {"base": arm(500, 0.8), "old": arm(500, 0.8), "weak": arm(15, -0.9)}
    now = allocate(arms, RULES, PRIOR)
    assert now.stages["weak"] is Stage.UNCERTAIN
    assert now.probabilities["weak"] == pytest.approx(RULES.exploration_rate / 3, abs=1e-3)


def test_an_empty_groups_share_goes_to_the_rest() -> None:
    now = allocate({"base": arm(50, 0.5), "n": Arm()}, RULES, PRIOR)
    assert share(now, Stage.BASE) == pytest.approx(0.9)
    assert allocate({"base": arm(50, 0.5)}, RULES, PRIOR).probabilities == {"base": 1.0}


def test_a_blacklisted_variant_gets_nothing_and_the_base_variant_never_does() -> None:
    now = allocate({"base": arm(50, -0.9), "bad": arm(50, -0.5), "n": Arm()}, RULES, PRIOR)
    assert now.probabilities["bad"] == 0.0
    assert now.probabilities["base"] == pytest.approx(0.9)


def test_no_eligible_variant_is_ever_impossible() -> None:
    arms = {"base": arm(5000, 0.9), "old": arm(5000, 0.1), "n": arm(9, -1.0)}
    now = allocate(arms, RULES, PRIOR)
    assert min(now.probabilities.values()) > 0.01
    bare = allocate(arms, replace(RULES, exploration_rate=0.0), PRIOR)
    assert bare.probabilities["old"] < 1e-9


def test_a_rollback_leaves_the_base_variant_alone() -> None:
    now = allocate({"base": Arm(), "n": Arm()}, RULES, PRIOR, Holds(base_only="by an operator."))
    assert now.probabilities == {"base": 1.0, "n": 0.0}
    assert "rolled back" in now.reasons["n"]


def test_every_stage_is_explained_in_a_sentence() -> None:
    arms = {"base": Arm(), "n": Arm(), "u": arm(12, 0.1), "e": arm(90, 0.5), "b": arm(30, -0.9)}
    arms |= {"x": Arm(), "m": Arm()}
    holds = Holds(removed={"x": "Not for us."}, blacklisted={"m": "Rude."})
    reasons = allocate(arms, RULES, PRIOR, holds).reasons
    assert "is the base variant" in reasons["base"]
    assert "at most 10%" in reasons["n"]
    assert "at most 5%" in reasons["u"]
    assert "competes" in reasons["e"]
    assert "below -0.2 after 20 pulls" in reasons["b"]
    assert "Not for us." in reasons["x"]
    assert "Rude." in reasons["m"]


def test_without_the_base_variant_there_is_no_choice() -> None:
    with pytest.raises(ValueError, match="base variant"):
        allocate({"n": Arm()}, RULES, PRIOR)


arms_of_any_kind = st.dictionaries(
    st.sampled_from([f"v{i}" for i in range(12)]),
    st.builds(arm, st.integers(0, 300), st.floats(-1, 1)),
)


@given(arms_of_any_kind, st.floats(0, 0.5), st.floats(0, 0.5), st.floats(0, 1))
@settings(deadline=None, max_examples=60)
def test_whatever_was_seen_the_caps_hold_and_the_shares_sum_to_one(
    seen: dict[str, Arm], split_new: float, split_uncertain: float, even: float
) -> None:
    rules = replace(
        RULES, split_new=split_new, split_uncertain=split_uncertain, exploration_rate=even
    )
    now = allocate({"base": Arm()} | seen, rules, PRIOR)
    assert math.fsum(now.probabilities.values()) == pytest.approx(1.0)
    assert min(now.probabilities.values()) >= 0.0
    assert share(now, Stage.NEW) <= split_new + 1e-9
    assert share(now, Stage.UNCERTAIN) <= split_uncertain + 1e-9
    assert share(now, Stage.BLACKLISTED) == 0.0


def test_choices_follow_the_stated_probabilities() -> None:
    arms = {"base": arm(100, 0.1), "old": arm(60, 0.2), "n": arm(3, 1.0), "u": arm(12, 0.9)}
    now = allocate(arms, RULES, PRIOR)
    rng = np.random.default_rng(3)
    n = 50_000
    drawn = Counter(now.draw(float(u)) for u in rng.random(n))
    for name, p in now.probabilities.items():
        assert abs(drawn[name] / n - p) < 4 * math.sqrt(p * (1 - p) / n)


def test_a_draw_never_lands_on_an_impossible_variant() -> None:
    now = Allocation({"a": 0.0, "b": 0.7, "c": 0.2999999999, "d": 0.0}, {}, {})
    assert now.draw(0.0) == "b"
    assert now.draw(1.0 - 1e-16) == "c"
