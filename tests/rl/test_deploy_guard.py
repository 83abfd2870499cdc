"""The deploy guard: limits, blacklist, rollback, and the sentences that explain them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from apps.core.errors import ConfigError
from apps.rl.deploy_guard import DeployGuard, HealthLevel, select_variant_for_deployment
from apps.rl.guard.candidates import with_candidates
from apps.rl.guard.stages import Stage
from apps.rl.variants import PolicyVariant
from apps.store.feedback import FeedbackKind, FeedbackRow, append_feedback
from apps.store.shadow import ShadowRow, append_shadow
from tests.rl.conftest import Parts

EVEN = {"v1a": 0.5, "v2b": 0.5}


def test_new_variants_together_get_a_tenth_of_the_calls_at_most(parts: Parts) -> None:
    guard = parts.guard(seed=4)
    now = guard.allocation()
    chosen = Counter(guard.draw(now) for _ in range(5000))
    assert chosen["v1a"] / 5000 == pytest.approx(0.9, abs=0.02)
    assert len(chosen) == 12


def test_by_the_threshold_rule_a_bad_mean_blacklists(parts: Parts) -> None:
    parts.reward({"v2b": [-0.3] * 19})
    guard = parts.guard(blacklist_rule="threshold")
    assert guard.status()["v2b"].stage is Stage.UNCERTAIN
    parts.reward({"v2b": [-0.3]})
    status = guard.status()["v2b"]
    assert (status.stage, status.probability, status.pulls) == (Stage.BLACKLISTED, 0.0, 20)
    assert "-0.30, is below -0.2 after 20 pulls" in status.why
    assert "v2b" in guard.health().findings[0]
    assert guard.health().level is HealthLevel.OK


@pytest.mark.parametrize("rule", ["confidence", "threshold", "both"])
def test_an_established_variant_competes_with_the_base_variant(parts: Parts, rule: str) -> None:
    parts.calls(EVEN, [("v1a", 0.1, ()), ("v2b", 0.7, ())] * 60)
    status = parts.guard(blacklist_rule=rule).status()
    assert status["v2b"].stage is Stage.ESTABLISHED
    assert status["v2b"].probability > 0.7
    assert status["v1a"].probability > 0.005


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
    guard = parts.guard(blacklist_rule="threshold")
    guard.blacklist("v2c")
    guard.reinstate("v2b", "Its greeting is mended.")
    guard.reinstate("v2c")
    status = guard.status()
    assert (status["v2b"].stage, status["v2c"].stage) == (Stage.NEW, Stage.NEW)
    parts.reward({"v2b": [-0.9] * 20})
    assert guard.status()["v2b"].stage is Stage.BLACKLISTED


def test_only_what_was_stopped_is_reinstated(parts: Parts) -> None:
    parts.reward({"v2b": [0.9] * 12})
    guard = parts.guard()
    with pytest.raises(ConfigError, match="v2b is neither blacklisted nor paused: it is uncertain"):
        guard.reinstate("v2b")
    assert (guard.acts(), guard.status()["v2b"].pulls) == ([], 12)


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
    assert "v3d was not taken out: it is new" in guard.add_variant_to_deployment("v3d")
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


# --- what the guard does by itself


def acts_of(guard: DeployGuard) -> list[tuple[str, str, str | None]]:
    return [(act.actor, act.action, act.variant) for act in guard.acts()]


def test_a_variant_that_is_surely_worse_is_blacklisted_and_the_act_says_why(parts: Parts) -> None:
    guard = parts.guard(regret_budget=1.0)
    parts.calls(EVEN, [("v1a", 0.5, ()), ("v2b", -0.3, ())] * 40)
    status = guard.status()["v2b"]
    assert (status.stage, status.probability) == (Stage.BLACKLISTED, 0.0)
    (act,) = guard.acts()
    assert (act.actor, act.data["rule"]) == ("guard", "confidence")
    assert "v2b is surely worse than v1a" in act.why
    assert act.why in status.why


def test_an_established_variant_that_turns_bad_is_rolled_back(parts: Parts) -> None:
    guard = parts.guard(regret_budget=1.0)
    parts.calls(EVEN, [("v1a", 0.1, ()), ("v2b", 0.5, ())] * 250)
    assert guard.status()["v2b"].stage is Stage.ESTABLISHED
    parts.calls(EVEN, [("v1a", 0.5, ()), ("v2b", -0.3, ())] * 80)
    assert guard.status()["v2b"].stage is Stage.BLACKLISTED
    (act,) = guard.acts()
    assert act.data["from"] == "established"
    assert act.why.startswith("It was established and is rolled back. v2b is surely worse")


def test_an_unsafe_answer_blacklists_at_once(parts: Parts) -> None:
    parts.calls(EVEN, [("v2b", 0.9, ["unsafe"])])
    guard = parts.guard()
    assert guard.status()["v2b"].stage is Stage.BLACKLISTED
    assert acts_of(guard) == [("guard", "blacklist", "v2b")]


def test_hang_ups_pause_a_variant_until_an_operator_lets_it_go_on(parts: Parts) -> None:
    mostly = {"v1a": 0.9, "v2b": 0.1}
    parts.calls(mostly, [("v1a", 0.5, ())] * 40)
    parts.calls(mostly, [("v2b", None, ["hang_up"]), ("v1a", 0.5, ())] * 5)
    guard = parts.guard()
    status = guard.status()["v2b"]
    assert (status.stage, status.probability) == (Stage.PAUSED, 0.0)
    assert "calls with v2b had a hang-up" in status.why
    assert "Paused: v2b." in guard.health().findings
    guard.reinstate("v2b", "Its greeting is mended.")
    assert guard.status()["v2b"].stage is Stage.NEW


def test_several_processes_store_what_they_all_found_once(parts: Parts) -> None:
    guards = [parts.guard() for _ in range(3)]
    parts.calls(EVEN, [("v2b", 0.9, ["unsafe"])])
    for guard in guards:
        with parts.db.reading() as conn:
            guard.refresh(conn)
        assert guard.state.stages["v2b"] is Stage.BLACKLISTED  # at once, before it is stored
    stored = 0
    for guard in guards:
        with parts.db.transaction() as conn:
            stored += len(guard.store_pending(conn))
    assert stored == 1
    assert [acts_of(guard) for guard in guards] == [[("guard", "blacklist", "v2b")]] * 3


def test_a_second_chance_can_be_lost_too(parts: Parts) -> None:
    guard = parts.guard()
    for chance in range(2):
        parts.calls(EVEN, [("v2b", 0.9, ["unsafe"])])
        assert guard.status()["v2b"].stage is Stage.BLACKLISTED
        guard.reinstate("v2b")
        assert guard.status()["v2b"].stage is Stage.NEW, chance
    assert [action for _, action, _ in acts_of(guard)] == ["blacklist", "reinstate"] * 2


def test_a_draw_that_is_not_what_was_logged_rolls_everything_back(parts: Parts) -> None:
    parts.calls({"v1a": 0.9, "v2b": 0.1}, [("v2b", 0.5, ())] * 12)
    guard = parts.guard()
    assert guard.status()["v1a"].probability == 1.0
    assert acts_of(guard) == [("guard", "alarm", None), ("guard", "rollback", None)]
    health = guard.health()
    assert health.level is HealthLevel.CRITICAL
    assert any("v2b was chosen 12 times" in finding for finding in health.findings)
    guard.resume("The other server had old rules.")
    assert guard.status()["v1a"].probability < 1.0
    assert guard.health().level is HealthLevel.OK


def test_regret_beyond_the_budget_leaves_the_base_alone_until_it_has_recovered(
    parts: Parts,
) -> None:
    likely = {"v1a": 0.1, "v2b": 0.9}
    parts.calls(likely, [("v1a", 0.8, ())] * 5 + [("v2b", -1.0, ())] * 9)
    guard = parts.guard(family_error=1e-9)
    assert guard.status()["v1a"].probability == 1.0
    assert "budget of regret" in guard.status()["v1a"].why
    assert guard.health().level is HealthLevel.DEGRADED
    parts.calls({"v1a": 1.0, "v2b": 0.0}, [("v1a", 0.8, ())] * 400)
    assert guard.status()["v1a"].probability < 1.0
    assert [action for _, action, _ in acts_of(guard)] == ["exhaust", "recover"]


def test_an_unsafe_base_variant_is_an_alarm_and_goes_on(parts: Parts) -> None:
    parts.calls(EVEN, [("v1a", 0.9, ["unsafe"])])
    guard = parts.guard()
    assert guard.status()["v1a"].stage is Stage.BASE
    assert acts_of(guard) == [("guard", "alarm", None)]
    assert guard.health().level is HealthLevel.CRITICAL


def test_a_late_rating_moves_the_mean_and_no_test_that_looked_before(parts: Parts) -> None:
    parts.calls(EVEN, [("v2b", 0.1, ())])
    guard = parts.guard()
    before = guard.state.ledger.contests
    with parts.db.transaction() as conn:
        late = FeedbackRow("late", FeedbackKind.REVISION, "v2b", 0.3, revises=0.1)
        append_feedback(conn, late)
    status = guard.status()["v2b"]
    assert (status.pulls, status.mean_reward) == (1, pytest.approx(0.3))
    assert guard.state.ledger.contests == before


def test_what_was_held_counts_for_nothing_but_that_it_was_drawn(parts: Parts) -> None:
    guard = parts.guard()
    with parts.db.transaction() as conn:
        held = FeedbackRow(
            "h", FeedbackKind.FEEDBACK, "v2b", -1.0, flags=["unsafe"], held="duplicate"
        )
        append_feedback(conn, held)
    status = guard.status()["v2b"]
    assert (status.stage, status.pulls) == (Stage.NEW, 0)


def test_the_guards_memory_is_the_same_folded_on_rebuilt_or_read_from_its_snapshot(
    parts: Parts,
) -> None:
    guard = parts.guard()
    some = [("v1a", 0.5, ()), ("v2b", -0.1, ()), ("v2b", None, ["hang_up"]), ("v1a", 0.1, ())]
    for _ in range(3):
        parts.calls(EVEN, some)
        guard.catch_up()
    guard.blacklist("v2b")
    guard.reinstate("v2b")
    parts.calls(EVEN, some)
    guard.catch_up()
    folded = guard.state
    assert guard.rebuild()
    assert guard.state == folded
    fresh = parts.guard()  # reads the snapshot that rebuilding wrote
    assert fresh.state == folded


def test_a_snapshot_of_another_store_is_not_believed(parts: Parts, tmp_path: Path) -> None:
    parts.calls(EVEN, [("v2b", 0.5, ())] * 3)
    guard = parts.guard()
    guard.rebuild()
    path = parts.state_path.with_name("guard_state.json")
    path.write_text(path.read_text().replace(parts.guard()._store, "another"))
    assert parts.guard().state == guard.state
    path.write_text("{")
    assert parts.guard().state == guard.state


@pytest.mark.parametrize("wrong", ['"x"', "null", "[]", "NaN", "1e999", "-1"])
def test_a_damaged_snapshot_is_folded_anew_whatever_is_wrong_in_it(
    parts: Parts, wrong: str
) -> None:
    parts.calls(EVEN, [("v2b", 0.5, ())] * 3)
    guard = parts.guard()
    guard.rebuild()
    path = parts.state_path.with_name("guard_state.json")
    whole = path.read_text()
    for name in ("begun", "chosen", "pulls", "last_seq", "exhausted"):
        damaged, found = re.subn(rf'"{name}": \w+', f'"{name}": {wrong}', whole)
        assert found
        path.write_text(damaged)
        assert parts.guard().state == guard.state


# --- candidates


def with_candidate(parts: Parts) -> Parts:
    slots = {"greeting": "brief", "tone": "lively", "length": "long"}
    candidate = PolicyVariant("c1", "Made of what was learned", slots)
    catalog = replace(
        parts.catalog,
        variants={**parts.catalog.variants, "c1": candidate},
        candidates=frozenset({"c1"}),
    )
    return replace(parts, catalog=catalog)


def in_the_shadow(parts: Parts, n: int, *, passed: bool = True, score: float = 0.9) -> None:
    with parts.db.transaction() as conn:
        for turn in range(n):
            append_shadow(conn, ShadowRow("c1", f"call-{n}", turn, score, passed))


def test_a_candidate_goes_from_offline_through_the_shadow_to_callers(parts: Parts) -> None:
    guard = with_candidate(parts).guard()
    assert guard.status()["c1"].stage is Stage.OFFLINE
    assert guard.promote("c1") == "Promote c1: to shadow, by an operator."
    assert (guard.status()["c1"].stage, guard.status()["c1"].probability) == (Stage.SHADOW, 0.0)
    assert [variant.id for variant in guard.variants_in(Stage.SHADOW)] == ["c1"]
    in_the_shadow(parts, 49)
    with pytest.raises(ConfigError, match="49 scored answers in the shadow of 50"):
        guard.promote("c1")
    in_the_shadow(parts, 1)
    guard.promote("c1")
    status = guard.status()["c1"]
    assert status.stage is Stage.NEW
    assert status.probability > 0.0
    with pytest.raises(ConfigError, match="0 of 10 rewarded calls"):
        guard.promote("c1")


@pytest.mark.parametrize(
    ("shadow", "sentence"),
    [({"passed": False}, "0 of 60 answers passed"), ({"score": 0.3}, "mean score is 0.30")],
)
def test_a_candidate_that_did_badly_in_the_shadow_stays_there(
    parts: Parts, shadow: dict[str, float], sentence: str
) -> None:
    guard = with_candidate(parts).guard()
    guard.promote("c1")
    in_the_shadow(parts, 60, **shadow)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=sentence):
        guard.promote("c1")


def test_a_gate_can_be_forced_and_what_was_missing_is_kept(parts: Parts) -> None:
    guard = with_candidate(parts).guard()
    guard.promote("c1")
    guard.promote("c1", "It was tried elsewhere.", force=True)
    assert guard.status()["c1"].stage is Stage.NEW
    act = guard.acts()[-1]
    assert act.why == "to new, It was tried elsewhere."
    assert act.data["forced"] is True
    assert "0 scored answers" in str(act.data["missing"])


def test_a_promoted_candidate_is_known_where_its_file_is_not(parts: Parts) -> None:
    elsewhere = parts.guard()
    here = with_candidate(parts).guard()
    for _ in range(2):
        here.promote("c1", force=True)
    status = elsewhere.status()["c1"]
    assert status.stage is Stage.NEW
    assert elsewhere.bandit.variants["c1"].slots == here.bandit.variants["c1"].slots


def test_a_promoted_candidate_stays_what_it_was_whatever_its_file_says_later(
    parts: Parts,
) -> None:
    first = with_candidate(parts)
    guard = first.guard()
    for _ in range(2):
        guard.promote("c1", force=True)
    slots = guard.bandit.variants["c1"].slots
    other = PolicyVariant("c1", "Something else", {"tone": "factual"})
    replaced = replace(first.catalog, variants={**first.catalog.variants, "c1": other})
    assert replace(parts, catalog=replaced).guard().bandit.variants["c1"].slots == slots
    taken_over = replace(replaced, candidates=frozenset())  # by an operator, in the policy file
    theirs = replace(parts, catalog=taken_over).guard()
    assert theirs.bandit.variants["c1"].slots == other.slots


def test_a_candidate_that_does_what_another_does_is_not_taken(parts: Parts) -> None:
    twin = replace(parts.catalog.variants["v2b"], id="c2")
    catalog = replace(
        parts.catalog,
        variants={**parts.catalog.variants, "c2": twin},
        candidates=frozenset({"c2"}),
    )
    guard = replace(parts, catalog=catalog).guard()
    with pytest.raises(ConfigError, match="does the same as v2b, which is new"):
        guard.promote("c2")


@pytest.mark.parametrize("variant", ["v1a", "v9z"])
def test_nobody_is_promoted_who_cannot_be(parts: Parts, variant: str) -> None:
    with pytest.raises(ConfigError):
        parts.guard().promote(variant)


def test_a_blacklisted_variant_is_reinstated_not_promoted(parts: Parts) -> None:
    guard = parts.guard()
    guard.blacklist("v2b")
    with pytest.raises(ConfigError, match="v2b is blacklisted: there is no step up"):
        guard.promote("v2b", force=True)


def test_candidates_are_read_from_a_folder_and_a_damaged_file_stops_nobody(
    parts: Parts, tmp_path: Path
) -> None:
    good = "variants:\n  c1:\n    name: One\n    parameters: {tone: warm}\nmade: today\n"
    (tmp_path / "a.yaml").write_text(good)
    (tmp_path / "b.yaml").write_text("variants:\n  c2: {name: Two, parameters: {tone: loud}}\n")
    taken = "variants:\n  v2b: {name: Other, parameters: {tone: factual}}\n"
    (tmp_path / "c.yaml").write_text(taken)
    with capture_logs() as logs:
        catalog = with_candidates(parts.catalog, tmp_path)
    assert catalog.candidates == {"c1"}
    assert catalog.variants["v2b"] == parts.catalog.variants["v2b"]
    assert [log["event"] for log in logs] == ["candidates_not_read", "candidate_id_is_taken"]
    assert "b.yaml:2" in logs[0]["error"]
    assert "factual, warm, lively" in logs[0]["hint"]
    assert with_candidates(parts.catalog, tmp_path / "none") == parts.catalog
