"""The deploy guard: limits, blacklist, rollback, and the sentences that explain them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from apps.core.errors import ConfigError
from apps.rl.deploy_guard import DeployGuard, HealthLevel, select_variant_for_deployment
from apps.rl.propensity import Stage
from tests.rl.conftest import Parts


def test_new_variants_together_get_a_tenth_of_the_calls_at_most(parts: Parts) -> None:
    guard = parts.guard(seed=4)
    now = guard.allocation()
    chosen = Counter(guard.draw(now) for _ in range(5000))
    assert chosen["v1a"] / 5000 == pytest.approx(0.9, abs=0.02)
    assert len(chosen) == 12


def test_a_variant_that_does_badly_gets_no_call_any_more(parts: Parts) -> None:
    parts.reward({"v2b": [-0.3] * 19})
    guard = parts.guard()
    assert guard.status()["v2b"].stage is Stage.UNCERTAIN
    parts.reward({"v2b": [-0.3]})
    status = guard.status()["v2b"]
    assert (status.stage, status.probability, status.pulls) == (Stage.BLACKLISTED, 0.0, 20)
    assert "below -0.2 after 20 pulls" in status.why
    assert "v2b" in guard.health().findings[0]
    assert guard.health().level is HealthLevel.OK


def test_an_established_variant_competes_with_the_base_variant(parts: Parts) -> None:
    parts.reward({"v1a": [0.1] * 60, "v2b": [0.7] * 60})
    status = parts.guard().status()
    assert status["v2b"].stage is Stage.ESTABLISHED
    assert status["v2b"].probability > 0.8
    assert status["v1a"].probability > 0.04


def test_the_base_variant_goes_on_even_when_it_is_bad_and_that_is_critical(parts: Parts) -> None:
    parts.reward({"v1a": [-0.9] * 30})
    guard = parts.guard()
    assert guard.status()["v1a"].probability == pytest.approx(0.9)
    health = guard.health()
    assert health.level is HealthLevel.CRITICAL
    assert "base variant" in health.findings[-1]


def test_acts_hold_for_every_process_and_say_why(parts: Parts) -> None:
    mine, theirs = parts.guard(), parts.guard()
    assert mine.blacklist("v3c", "Callers found it rude.").endswith("Callers found it rude.")
    status = theirs.status()["v3c"]
    assert (status.stage, status.probability) == (Stage.BLACKLISTED, 0.0)
    assert "rude" in status.why
    assert theirs.select_variant() != "v3c"


def test_a_reinstated_variant_is_judged_anew(parts: Parts) -> None:
    parts.reward({"v2b": [-0.9] * 25})
    guard = parts.guard()
    guard.blacklist("v2c")
    guard.reinstate("v2b", "Its greeting is mended.")
    guard.reinstate("v2c")
    status = guard.status()
    assert (status["v2b"].stage, status["v2c"].stage) == (Stage.NEW, Stage.NEW)
    parts.reward({"v2b": [-0.9] * 20})
    assert guard.status()["v2b"].stage is Stage.BLACKLISTED


def test_a_rollback_sends_everything_to_the_base_variant_until_it_ends(parts: Parts) -> None:
    guard = parts.guard()
    guard.rollback(why="Complaints.")
    assert {guard.select_variant() for _ in range(20)} == {"v1a"}
    assert guard.health().level is HealthLevel.DEGRADED
    assert any("Complaints." in finding for finding in guard.health().findings)
    guard.resume()
    assert guard.status()["v1a"].probability == pytest.approx(0.9)
    assert guard.health().level is HealthLevel.OK


def test_one_variant_can_be_rolled_back(parts: Parts) -> None:
    guard = parts.guard()
    guard.rollback("v2b", "Too long.")
    assert guard.status()["v2b"].stage is Stage.BLACKLISTED
    assert guard.status()["v2c"].probability > 0


def test_a_variant_can_be_taken_out_and_added_again(parts: Parts) -> None:
    guard = parts.guard()
    assert "already" in guard.add_variant_to_deployment("v3d")
    guard.remove_variant_from_deployment("v3d", "Not this season.")
    assert guard.status()["v3d"].stage is Stage.REMOVED
    guard.add_variant_to_deployment("v3d")
    assert guard.status()["v3d"].stage is Stage.NEW


def test_nothing_can_take_the_base_variant_away(parts: Parts) -> None:
    guard = parts.guard()
    for act in (guard.blacklist, guard.rollback, guard.remove_variant_from_deployment):
        with pytest.raises(ConfigError, match="v1a is the base variant"):
            act("v1a")


def test_an_act_on_nobody_is_refused(parts: Parts) -> None:
    guard = parts.guard()
    for act in (guard.blacklist, guard.reinstate, guard.add_variant_to_deployment):
        with pytest.raises(ConfigError, match="no variant 'v9z'"):
            act("v9z")


def test_when_nothing_is_left_to_try_that_is_said(parts: Parts) -> None:
    guard = parts.guard()
    for name in guard.bandit.variants:
        if name != "v1a":
            guard.remove_variant_from_deployment(name)
    health = guard.health()
    assert health.level is HealthLevel.DEGRADED
    assert "nothing new is tried" in health.findings[0]


def test_limits_can_be_given(parts: Parts) -> None:
    guard = parts.guard(split_new=0.3)
    assert guard.allocation().probabilities["v1a"] == pytest.approx(0.7)


def test_the_settings_guard_chooses_a_variant(settings_in: Callable[..., Path]) -> None:
    settings_in()
    assert select_variant_for_deployment({"profile": "kfz"}) in DeployGuard().bandit.variants


def test_with_learning_switched_off_it_is_the_base_variant(
    settings_in: Callable[..., Path],
) -> None:
    settings_in(RL_ENABLED="false")
    assert {select_variant_for_deployment() for _ in range(10)} == {"v1a"}
