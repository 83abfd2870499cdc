"""The bandit: it learns, shares its store with other processes, and never forgets in silence."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Connection, text
from structlog.testing import capture_logs

from apps.core.errors import ConfigError, InvalidFeedback, StoreError
from apps.rl import defaults, policy_bandit
from apps.rl.policies import KINDS, BetaPolicy, LinearPolicy, NigPolicy, Policy, new_policy
from apps.rl.policy_bandit import PolicyBandit, PolicyVariant, update_policy_reward
from apps.rl.posterior import Arm, BanditState, fold, from_json, outcome_of, to_json
from apps.rl.variants import Prior
from apps.store.feedback import FeedbackKind, FeedbackRow, append_feedback, feedback_since
from tests.rl.conftest import Parts


def row(seq: int, reward: float | None, **changes: object) -> FeedbackRow:
    values = {"kind": FeedbackKind.ADMIN, "variant": "v1a", "reward": reward, "seq": seq}
    return FeedbackRow(event_id=f"e{seq}", **(values | changes))  # type: ignore[arg-type]


# --- the fold


def test_a_reward_is_a_success_of_its_size() -> None:
    state = fold(BanditState("s"), [row(1, 1.0), row(2, 0.0), row(3, -1.0), row(4, 0.5)])
    arm = state.arm("v1a")
    assert (arm.pulls, arm.success) == (4, 1 + 0.5 + 0 + 0.75)
    assert arm.posterior(Prior()) == (3.25, 2.75)
    assert arm.mean_reward == pytest.approx(0.125)
    assert state.last_seq == 4


def test_events_that_teach_nothing_only_move_the_position() -> None:
    events = [row(1, None, kind=FeedbackKind.ABANDONED), row(2, 0.9, learns=False)]
    assert fold(BanditState("s"), events) == BanditState("s", 2, {})


def test_held_feedback_only_moves_the_position() -> None:
    assert fold(BanditState("s"), [row(1, 0.9, held="rate")]) == BanditState("s", 1, {})


def test_a_revision_takes_the_place_of_the_reward_that_it_names() -> None:
    revision = row(3, 0.9, kind=FeedbackKind.REVISION, revises=0.5, revised_age=1)
    late = fold(BanditState("s"), [row(1, 0.5), row(2, 0.1), revision])
    at_once = fold(BanditState("s"), [row(1, 0.9), row(2, 0.1)])
    assert late.arm("v1a").pulls == 2
    assert late.arm("v1a").success == pytest.approx(at_once.arm("v1a").success)
    assert late.policy.estimate("v1a").mean == pytest.approx(at_once.policy.estimate("v1a").mean)
    nothing = row(4, 0.9, kind=FeedbackKind.REVISION)
    assert fold(late, [nothing]).arms == late.arms


def test_what_was_known_of_the_call_is_learned_with_its_reward() -> None:
    event = row(1, 0.5, profile="kfz", context={"language": "de"})
    outcome = outcome_of(event)
    assert outcome is not None
    assert outcome.context == {"profile": "kfz", "language": "de"}


def test_an_event_is_folded_once() -> None:
    once = fold(BanditState("s"), [row(1, 0.3)])
    assert fold(once, [row(1, 0.3)]) == once


def test_folding_on_is_the_same_as_folding_anew() -> None:
    rng = np.random.default_rng(5)
    events = [row(i, float(r)) for i, r in enumerate(rng.uniform(-1, 1, 500), start=1)]
    state = BanditState("s")
    for start in range(0, 500, 7):
        state = from_json(to_json(fold(state, events[start : start + 7]), Prior()), NigPolicy())
    assert state == fold(BanditState("s"), events)


def test_an_arm_without_pulls_has_no_mean() -> None:
    assert Arm().mean_reward is None
    assert Arm().success_rate(Prior(2.0, 6.0)) == 0.25


# --- the bandit


def test_it_begins_with_every_variant_of_the_policy_file(parts: Parts) -> None:
    bandit = parts.bandit()
    assert len(bandit.variants) == 12
    assert bandit.statistics()["v1a"].alpha == bandit.statistics()["v1a"].beta == 1.0


def test_it_comes_to_prefer_what_is_rewarded(parts: Parts) -> None:
    bandit = parts.bandit(seed=1)
    parts.reward({name: [0.8 if name == "v2b" else -0.3] * 25 for name in bandit.variants})
    bandit.catch_up()
    chosen = Counter(bandit.select_variant({"profile": "kfz"}) for _ in range(300))
    assert chosen["v2b"] > 270
    assert bandit.exploration_rate() < 0.1


def test_the_same_seed_makes_the_same_choices(parts: Parts) -> None:
    first, second = parts.bandit(seed=9), parts.bandit(seed=9)
    assert [first.select_variant() for _ in range(20)] == [
        second.select_variant() for _ in range(20)
    ]


def test_in_the_beginning_it_explores(parts: Parts) -> None:
    assert parts.bandit().exploration_rate() == pytest.approx(11 / 12)


def test_statistics_say_how_sure_one_can_be(parts: Parts) -> None:
    bandit = parts.bandit()
    for _ in range(10):
        bandit.update("v1a", 0.5)
    known, unknown = bandit.statistics()["v1a"], bandit.statistics()["v3d"]
    assert (known.pulls, known.mean_reward, known.confident) == (10, 0.5, True)
    assert (known.alpha, known.beta) == (8.5, 3.5)
    assert known.interval[0] < 0.5 < known.interval[1]
    assert unknown.mean_reward is None
    assert not unknown.confident
    assert unknown.interval[0] < -0.5
    assert unknown.interval[1] > 0.8
    total = sum(s.probability_best for s in bandit.statistics().values())
    assert total == pytest.approx(1.0)


def test_an_update_is_an_administrative_event_in_the_store(parts: Parts) -> None:
    bandit = parts.bandit()
    assert bandit.update("v1a", 0.7, event_id="once")
    assert not bandit.update("v1a", 0.7, event_id="once")
    with parts.db.reading() as conn:
        (event,) = feedback_since(conn, 0)
    assert (event.kind, event.variant, event.reward) == (FeedbackKind.ADMIN, "v1a", 0.7)
    assert event.call_ref is None
    assert bandit.state.arm("v1a").pulls == 1


def test_an_update_that_teaches_nothing_is_kept_all_the_same(parts: Parts) -> None:
    bandit = parts.bandit()
    assert bandit.update("v1a", 0.7, learns=False)
    assert bandit.state.arm("v1a").pulls == 0


@pytest.mark.parametrize("reward", [1.01, -1.01, float("nan"), float("inf"), True])
def test_a_reward_out_of_range_is_refused(parts: Parts, reward: float) -> None:
    with pytest.raises(InvalidFeedback, match="reward"):
        parts.bandit().update("v1a", reward)


def test_a_reward_for_nobody_is_refused(parts: Parts) -> None:
    with pytest.raises(ConfigError, match="'v9z'") as caught:
        parts.bandit().update("v9z", 0.1)
    assert "v1a" in caught.value.hint


def test_a_variant_can_be_added_and_keeps_what_it_earned(parts: Parts) -> None:
    bandit = parts.bandit()
    bandit.add_variant(PolicyVariant("v4a", "Trial", {"tone": "lively"}))
    bandit.update("v4a", 1.0)
    bandit.add_variant(PolicyVariant("v4a", "Trial again", {"tone": "warm"}))
    assert bandit.statistics()["v4a"].pulls == 1
    assert bandit.variants["v4a"].slots.tone == "warm"


def test_a_variant_with_a_slot_that_cannot_be_is_refused_by_name(parts: Parts) -> None:
    with pytest.raises(ConfigError, match=r"v4a.*tone"):
        parts.bandit().add_variant(PolicyVariant("v4a", "Trial", {"tone": "shouting"}))


# --- several processes, snapshots, damage


def test_two_processes_see_each_others_rewards(parts: Parts) -> None:
    mine, theirs = parts.bandit(), parts.bandit()
    mine.update("v1a", 1.0)
    theirs.update("v1a", 0.0)
    mine.catch_up()
    assert mine.state == theirs.state
    assert mine.state.arm("v1a").pulls == 2


def test_the_snapshot_says_what_was_folded(parts: Parts) -> None:
    bandit = parts.bandit()
    bandit.update("v1a", 0.5)
    data = json.loads(parts.state_path.read_text())
    assert data["last_seq"] == bandit.state.last_seq == 1
    assert data["variants"]["v1a"] == {
        "pulls": 1,
        "success": 0.75,
        "alpha": 1.75,
        "beta": 1.25,
        "mean_reward": 0.5,
    }


def test_a_new_process_goes_on_from_the_snapshot(parts: Parts) -> None:
    bandit = parts.bandit()
    bandit.update("v1a", 0.5)
    before = parts.state_path.stat().st_mtime_ns
    assert parts.bandit().state == bandit.state
    assert parts.state_path.stat().st_mtime_ns == before  # nothing new, nothing written


@pytest.mark.parametrize(
    "damage",
    [
        "",
        "{",
        "[]",
        '{"version": 3}',
        '{"version": 3, "store_id": "s", "last_seq": -1, "variants": {}}',
        '{"version": 3, "store_id": "s", "last_seq": 1, "variants": {"v1a": {"pulls": 1}}}',
        '{"version": 3, "store_id": "s", "last_seq": 1,'
        ' "variants": {"v1a": {"pulls": 1, "success": 7}}}',
        '{"version": 3, "store_id": "s", "last_seq": 1,'
        ' "variants": {"v1a": {"pulls": 1.5, "success": 0}}}',
        "\udcff",
    ],
)
def test_a_damaged_snapshot_is_rebuilt_set_aside_and_said(parts: Parts, damage: str) -> None:
    bandit = parts.bandit()
    bandit.update("v1a", 0.5)
    parts.state_path.write_bytes(damage.encode(errors="surrogateescape"))
    with capture_logs() as logs:
        again = parts.bandit()
    assert again.state == bandit.state
    assert [entry["event"] for entry in logs] == ["bandit_snapshot_damaged"]
    assert parts.state_path.with_name("bandit_state.json.damaged").exists()
    assert from_json(parts.state_path.read_text(), bandit.state.policy) == bandit.state


@pytest.mark.parametrize("half_life", [None, 10.0])
def test_a_snapshot_in_which_a_number_was_changed_is_not_believed(
    parts: Parts, half_life: float | None
) -> None:
    def bandit() -> PolicyBandit:
        policy = NigPolicy(half_life)
        return PolicyBandit(
            parts.db, catalog=parts.catalog, policy=policy, state_path=parts.state_path
        )

    whole = bandit()
    whole.update("v1a", 0.5)
    written = json.loads(parts.state_path.read_text())
    for wrong in (0.6, 1e300, 10**9, 10**400):
        data = json.loads(json.dumps(written))
        data["policy"]["sums"]["v1a"][3] = data["variants"]["v1a"]["pulls"] = wrong
        parts.state_path.write_text(json.dumps(data))
        assert bandit().state == whole.state


def test_a_snapshot_of_the_first_version_is_rebuilt_and_said(parts: Parts) -> None:
    bandit = parts.bandit()
    bandit.update("v1a", 0.5)
    parts.state_path.write_text('{"version": 1, "store_id": "s", "last_seq": 1, "variants": {}}')
    with capture_logs() as logs:
        assert parts.bandit().state == bandit.state
    assert [entry["event"] for entry in logs] == ["bandit_rebuilt_for_other_settings"]
    assert not parts.state_path.with_name("bandit_state.json.damaged").exists()


@pytest.mark.parametrize(
    "policy", [BetaPolicy(), NigPolicy(half_life=100), LinearPolicy()], ids=lambda p: p.kind
)
def test_another_policy_learns_anew_from_the_store(parts: Parts, policy: Policy) -> None:
    parts.bandit().update("v1a", 0.5)
    with capture_logs() as logs:
        other = PolicyBandit(
            parts.db, catalog=parts.catalog, policy=policy, state_path=parts.state_path
        )
    assert [entry["event"] for entry in logs] == ["bandit_rebuilt_for_other_settings"]
    assert other.state.policy.kind == policy.kind
    assert other.state.policy != other._new_policy()
    assert other.state.arm("v1a").pulls == 1


@pytest.mark.parametrize("kind", KINDS)
def test_rebuilding_gives_the_same_bits_as_folding_on(parts: Parts, kind: str) -> None:
    def bandit() -> PolicyBandit:
        policy = new_policy(kind, half_life=50)
        return PolicyBandit(
            parts.db, catalog=parts.catalog, policy=policy, state_path=parts.state_path
        )

    rng, first = np.random.default_rng(7), bandit()
    for _ in range(6):  # each by a process that goes on from the last one's snapshot
        parts.reward({name: list(rng.uniform(-1, 1, 3)) for name in ("v1a", "v2b", "v3d")})
        first = bandit()
    folded = first.state
    assert first.rebuild() == folded
    assert to_json(first.state, Prior()) == to_json(folded, Prior())
    assert sum(first.chances(["v1a", "v2b", "v3d"]).values()) == pytest.approx(1.0)


def test_a_variant_that_gets_other_slots_is_learned_anew(parts: Parts) -> None:
    bandit = PolicyBandit(
        parts.db, catalog=parts.catalog, policy=LinearPolicy(), state_path=parts.state_path
    )
    bandit.update("v1a", 0.5)
    before = bandit.state.policy
    bandit.add_variant(PolicyVariant("v1a", "Other", {"tone": "lively"}))
    assert bandit.state.policy != before
    assert not bandit.state.policy.stale


def test_a_snapshot_of_another_database_is_not_believed(parts: Parts) -> None:
    parts.state_path.write_text(
        to_json(BanditState("another", 7, {"v1a": Arm(7, 7.0)}), parts.catalog.prior)
    )
    with capture_logs() as logs:
        bandit = parts.bandit()
    assert bandit.state.arms == {}
    assert logs[0]["event"] == "bandit_state_of_another_store"


def test_a_snapshot_from_beyond_the_stores_end_is_not_believed(parts: Parts) -> None:
    bandit = parts.bandit()
    for reward in (0.1, 0.2):
        bandit.update("v1a", reward)
    with parts.db.transaction() as conn:  # an older backup is put back
        conn.execute(text("DELETE FROM feedback_events WHERE seq = 2"))
    assert parts.bandit().state.arm("v1a").pulls == 1


def test_a_lost_snapshot_costs_nothing(parts: Parts) -> None:
    bandit = parts.bandit()
    bandit.update("v1a", 0.5)
    parts.state_path.unlink()
    assert parts.bandit().state == bandit.state
    assert bandit.rebuild() == bandit.state
    assert parts.state_path.exists()


def test_a_snapshot_that_cannot_be_written_is_an_error_and_leaves_no_litter(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    bandit = parts.bandit()
    before = parts.state_path.read_text()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space left"):
        bandit.save()
    assert parts.state_path.read_text() == before
    assert not list(parts.state_path.parent.glob(".bandit_state*"))


def test_a_slower_catch_up_does_not_take_back_what_a_faster_one_found(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    bandit, other = parts.bandit(), parts.bandit()
    other.update("v1a", 1.0)

    def meanwhile(conn: Connection, seq: int) -> list[FeedbackRow]:
        monkeypatch.undo()
        events = feedback_since(conn, seq)
        other.update("v1a", 0.0)
        bandit.catch_up()
        return events

    monkeypatch.setattr(policy_bandit, "feedback_since", meanwhile)
    bandit.catch_up()
    assert bandit.state.arm("v1a").pulls == 2


# --- of the settings


def test_without_arguments_it_is_the_settings_bandit(
    settings_in: Callable[..., Path], new_store: Path | str
) -> None:
    folder = settings_in()
    update_policy_reward("v1a", 0.7)
    assert PolicyBandit().statistics()["v1a"].pulls == 1
    assert (folder / "data/rl/feedback.db").exists() == isinstance(new_store, Path)
    assert (folder / "data/rl/bandit_state.json").exists()


def test_with_learning_switched_off_nothing_is_learned(settings_in: Callable[..., Path]) -> None:
    settings_in(RL_ENABLED="false")
    update_policy_reward("v1a", 0.7)
    assert PolicyBandit().statistics()["v1a"].pulls == 0


def test_a_setting_that_is_set_wins_over_the_policy_file(
    settings_in: Callable[..., Path],
) -> None:
    settings_in(RL_TRAFFIC_SPLIT_NEW="0.02", RL_MIN_PULLS_FOR_BLACKLIST="7")
    rules = defaults.default_catalog().rules
    assert (rules.split_new, rules.blacklist_min_pulls) == (0.02, 7)
    assert (rules.split_uncertain, rules.blacklist_mean) == (0.05, -0.2)


def test_rewards_of_calls_are_folded_like_any_other(parts: Parts) -> None:
    bandit = parts.bandit()
    with parts.db.transaction() as conn:
        append_feedback(conn, row(0, -0.4, kind=FeedbackKind.FEEDBACK, call_ref="c1"))
    assert bandit.catch_up().arm("v1a").mean_reward == pytest.approx(-0.4)


def test_a_variant_that_comes_while_events_are_folded_is_known_to_the_policy(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One thread folds, another one reads the act that brings a candidate on."""
    bandit = PolicyBandit(
        parts.db, catalog=parts.catalog, policy=LinearPolicy(), state_path=parts.state_path
    )
    late = PolicyVariant("c1", "Candidate", {"tone": "lively"})

    def slowly(state: BanditState, events: Iterable[FeedbackRow]) -> BanditState:
        folded = fold(state, events)
        if "c1" not in bandit.variants:
            bandit.add_variant(late)
        return folded

    monkeypatch.setattr("apps.rl.policy_bandit.fold", slowly)
    parts.reward({"v1a": [0.5]})
    policy = bandit.catch_up().policy
    assert isinstance(policy, LinearPolicy)
    assert policy.slots["c1"] == late.slots.as_dict()
    assert bandit.state.arm("v1a").pulls == 1
