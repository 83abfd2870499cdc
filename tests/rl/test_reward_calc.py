"""The reward: the formula to the letter, its limits, and what is refused."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.errors import InvalidFeedback, TomError
from apps.rl.reward_calc import RewardCalculator, RewardWeights, calc_reward
from apps.rl.signals import Signals

ALL = {
    "resolution": True,
    "user_rating": 4,
    "barge_in_count": 1,
    "repeats": 2,
    "handover": True,
    "duration_sec": 170,
}


def test_every_term_is_the_formulas() -> None:
    reward = RewardCalculator().calculate(ALL)
    assert reward.components == pytest.approx(
        {
            "resolution": 0.6,
            "user_rating": 0.1,
            "barge_in_count": -0.1 / 3,
            "repeats": -0.2 / 3,
            "handover": -0.1,
            "duration_sec": 10 / 180,
        }
    )
    assert reward.value == pytest.approx(sum(reward.components.values()))
    assert reward.missing == ()


def test_the_documented_example_follows_the_formula() -> None:
    signals = {"resolution": True, "user_rating": 4, "barge_in_count": 1, "duration_sec": 120}
    assert calc_reward(signals) == pytest.approx(0.6 + 0.1 - 0.1 / 3 + 0.2)


@pytest.mark.parametrize(("rating", "term"), [(1, -0.2), (2, -0.1), (3, 0.0), (4, 0.1), (5, 0.2)])
def test_three_stars_give_and_take_nothing(rating: int, term: float) -> None:
    assert calc_reward({"user_rating": rating}) == pytest.approx(term)


@pytest.mark.parametrize(
    ("duration", "term"),
    [(0, 0.2), (120, 0.2), (144, 0.2), (180, 0.0), (198, -0.1), (216, -0.2), (3600, -0.2)],
)
def test_the_length_gives_or_takes_a_fifth_at_most(duration: float, term: float) -> None:
    assert calc_reward({"duration_sec": duration}) == pytest.approx(term)


@pytest.mark.parametrize("name", ["barge_in_count", "repeats"])
def test_more_than_three_count_as_three(name: str) -> None:
    assert calc_reward({name: 3}) == calc_reward({name: 300}) == pytest.approx(-0.1)


def test_a_missing_rating_leaves_its_term_out_and_is_named() -> None:
    reward = RewardCalculator().calculate({**ALL, "user_rating": None})
    assert "user_rating" not in reward.components
    assert reward.missing == ("user_rating",)
    assert reward.value == pytest.approx(calc_reward({**ALL, "user_rating": 3}))


def test_an_unknown_resolution_is_missing_but_an_unsettled_matter_is_known() -> None:
    assert RewardCalculator().calculate({"resolution": None}).missing[0] == "resolution"
    assert RewardCalculator().calculate({"resolution": False}).components == {"resolution": 0.0}


def test_nothing_known_gives_nothing() -> None:
    reward = RewardCalculator().calculate({})
    assert reward.value == 0.0
    assert len(reward.missing) == 6


def test_no_reward_is_a_negative_zero() -> None:
    reward = RewardCalculator().calculate({"barge_in_count": 0, "handover": False})
    assert math.copysign(1, reward.value) == 1
    assert all(math.copysign(1, term) == 1 for term in reward.components.values())


def test_weights_can_be_configured_and_the_sum_stays_within_one() -> None:
    heavy = RewardCalculator(RewardWeights(resolution=3.0))
    assert heavy.calculate({"resolution": True}).value == 1.0
    harsh = RewardCalculator(RewardWeights(handover=3.0))
    assert harsh.calculate({"handover": True}).value == -1.0


@pytest.mark.parametrize(
    "weights", [{"target_s": 0.0}, {"most_counted": 0}, {"rating": -0.1}, {"handover": math.nan}]
)
def test_weights_that_cannot_be_are_refused(weights: dict[str, float]) -> None:
    with pytest.raises(InvalidFeedback, match=next(iter(weights))):
        RewardWeights(**weights)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("user_rating", 0),
        ("user_rating", 6),
        ("user_rating", 3.5),
        ("user_rating", True),
        ("user_rating", "4"),
        ("barge_in_count", -1),
        ("repeats", 1.5),
        ("duration_sec", -1),
        ("duration_sec", math.nan),
        ("duration_sec", math.inf),
        ("duration_sec", "long"),
        ("resolution", "maybe"),
        ("handover", 2),
        ("barge_ins", 1),
    ],
)
def test_a_signal_that_cannot_be_is_named_and_refused(name: str, value: object) -> None:
    with pytest.raises(InvalidFeedback, match=name) as caught:
        calc_reward({name: value})
    assert isinstance(caught.value, TomError)
    assert "resolution" in caught.value.hint


def test_signals_that_are_no_mapping_are_refused() -> None:
    with pytest.raises(InvalidFeedback):
        calc_reward([1, 2])  # type: ignore[arg-type]


signals = st.builds(
    Signals,
    resolution=st.none() | st.booleans(),
    user_rating=st.none() | st.integers(1, 5),
    barge_in_count=st.none() | st.integers(0, 1000),
    repeats=st.none() | st.integers(0, 1000),
    handover=st.none() | st.booleans(),
    duration_sec=st.none() | st.floats(0, 1e9),
)


@given(signals)
def test_every_reward_lies_in_range_and_is_its_components_sum(given_signals: Signals) -> None:
    reward = RewardCalculator().calculate(given_signals)
    assert -1.0 <= reward.value <= 1.0
    assert reward.value == pytest.approx(sum(reward.components.values()))
    assert set(reward.components) | set(reward.missing) == set(Signals.model_fields)
    assert not set(reward.components) & set(reward.missing)
