"""The choice probabilities: exact, within the caps, and truly those of the choices made."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.rl import beta
from apps.rl.guard.stages import SERVING, Stage
from apps.rl.propensity import Allocation, allocate
from apps.rl.variants import GuardRules

RULES = GuardRules(base_variant="base")


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


# --- shares


class Policy:
    """Prefers variants by fixed weights, and counts how often it is asked."""

    def __init__(self, **weights: float) -> None:
        self.weights = weights
        self.asked: list[Sequence[str]] = []

    def __call__(self, names: Sequence[str]) -> dict[str, float]:
        self.asked.append(names)
        total = math.fsum(self.weights.get(name, 1.0) for name in names)
        return {name: self.weights.get(name, 1.0) / total for name in names}


def staged(**kinds: str) -> dict[str, Stage]:
    """Return stages by variant, the base variant with them."""
    return {"base": Stage.BASE} | {name: Stage(kind) for name, kind in kinds.items()}


def share(probabilities: Mapping[str, float], stages: Mapping[str, Stage], *wanted: Stage) -> float:
    return math.fsum(p for name, p in probabilities.items() if stages[name] in wanted)


def test_in_the_beginning_the_new_ones_share_their_tenth() -> None:
    stages = staged(**{f"n{i}": "new" for i in range(11)})
    now = allocate(Policy(), stages, RULES)
    assert now["base"] == pytest.approx(0.9)
    assert now["n3"] == pytest.approx(0.1 / 11)


def test_the_caps_hold_for_the_groups_together() -> None:
    stages = staged(old="established", **{f"n{i}": "new" for i in range(4)})
    stages |= {f"u{i}": Stage.UNCERTAIN for i in range(4)}
    now = allocate(Policy(old=2.0), stages, RULES)
    assert share(now, stages, Stage.NEW) == pytest.approx(0.1)
    assert share(now, stages, Stage.UNCERTAIN) == pytest.approx(0.05)
    assert share(now, stages, Stage.BASE, Stage.ESTABLISHED) == pytest.approx(0.85)
    assert now["old"] > now["base"]


def test_what_caps_cut_off_is_given_to_the_rest_as_the_policy_would_among_them() -> None:
    policy = Policy(base=1.0, old=3.0, n=96.0)
    bare = replace(RULES, exploration_rate=0.0)
    now = allocate(policy, staged(old="established", n="new"), bare)
    assert now["n"] == pytest.approx(0.1)
    assert now["old"] / now["base"] == pytest.approx(3.0)
    assert policy.asked == [["base", "old", "n"], ["base", "old"]]


def test_where_no_cap_binds_the_policy_is_asked_once_and_followed() -> None:
    policy = Policy(base=90.0, old=9.0, u=1.0)
    bare = replace(RULES, exploration_rate=0.0)
    now = allocate(policy, staged(old="established", u="uncertain"), bare)
    assert now == pytest.approx({"base": 0.9, "old": 0.09, "u": 0.01})
    assert len(policy.asked) == 1


def test_a_group_without_a_free_seat_gets_nothing_and_no_part_of_the_floor() -> None:
    stages = staged(old="established", n="new", u="uncertain")
    now = allocate(Policy(base=1e9), stages, RULES, full=[Stage.NEW])
    assert now["n"] == 0.0
    assert now["old"] == pytest.approx(RULES.exploration_rate / 3, rel=1e-6)
    assert math.fsum(now.values()) == pytest.approx(1.0)


@pytest.mark.parametrize("stage", sorted(set(Stage) - set(SERVING)))
def test_a_stage_that_serves_nobody_gets_nothing(stage: Stage) -> None:
    now = allocate(Policy(bad=1e6), staged(bad=stage, n="new"), RULES)
    assert now["bad"] == 0.0
    assert now["base"] == pytest.approx(0.9)


def test_no_eligible_variant_is_ever_impossible() -> None:
    stages = staged(old="established", n="new")
    now = allocate(Policy(base=1e12), stages, RULES)
    assert min(now.values()) > 0.03
    bare = allocate(Policy(base=1e12), stages, replace(RULES, exploration_rate=0.0))
    assert bare["old"] < 1e-9


def test_with_the_base_alone_everything_is_the_bases() -> None:
    policy = Policy()
    stages = staged(n="new", old="established")
    assert allocate(policy, stages, RULES, base_only=True) == {"base": 1.0, "n": 0.0, "old": 0.0}
    assert allocate(policy, staged(bad="paused"), RULES) == {"base": 1.0, "bad": 0.0}
    assert policy.asked == []


@pytest.mark.parametrize("stages", [{}, {"n": Stage.NEW}, {"base": Stage.NEW}])
def test_without_the_base_variant_there_is_no_choice(stages: dict[str, Stage]) -> None:
    with pytest.raises(ValueError, match="base variant"):
        allocate(Policy(), stages, RULES)


@given(
    st.dictionaries(
        st.sampled_from([f"v{i}" for i in range(12)]),
        st.tuples(st.sampled_from(list(Stage)[1:]), st.floats(1e-9, 1e9)),
    ),
    st.floats(0, 0.5),
    st.floats(0, 0.5),
    st.floats(0, 1),
    st.sets(st.sampled_from([Stage.NEW, Stage.UNCERTAIN])),
)
@settings(deadline=None, max_examples=150)
def test_whatever_is_preferred_the_caps_hold_and_the_shares_sum_to_one(
    seen: dict[str, tuple[Stage, float]],
    split_new: float,
    split_uncertain: float,
    even: float,
    full: set[Stage],
) -> None:
    rules = replace(
        RULES, split_new=split_new, split_uncertain=split_uncertain, exploration_rate=even
    )
    stages = {"base": Stage.BASE} | {name: stage for name, (stage, _) in seen.items()}
    policy = Policy(**{name: weight for name, (_, weight) in seen.items()})
    now = allocate(policy, stages, rules, full=full)
    assert set(now) == set(stages)
    assert math.fsum(now.values()) == pytest.approx(1.0)
    assert min(now.values()) >= 0.0
    assert share(now, stages, Stage.NEW) <= split_new + 1e-9
    assert share(now, stages, Stage.UNCERTAIN) <= split_uncertain + 1e-9
    assert share(now, stages, *full, *(set(Stage) - set(SERVING))) == 0.0


def test_choices_follow_the_stated_probabilities() -> None:
    stages = staged(old="established", n="new", u="uncertain")
    probabilities = allocate(Policy(base=3.0, old=4.0), stages, RULES)
    now = Allocation(probabilities, stages, {})
    rng = np.random.default_rng(3)
    n = 50_000
    drawn = Counter(now.draw(float(u)) for u in rng.random(n))
    for name, p in probabilities.items():
        assert abs(drawn[name] / n - p) < 4 * math.sqrt(p * (1 - p) / n)


def test_a_draw_never_lands_on_an_impossible_variant() -> None:
    now = Allocation({"a": 0.0, "b": 0.7, "c": 0.2999999999, "d": 0.0}, {}, {})
    assert now.draw(0.0) == "b"
    assert now.draw(1.0 - 1e-16) == "c"
