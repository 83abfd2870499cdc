"""The live call's way to the bandit: one stored choice, one stored reward."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import AsyncIterator, Mapping

import pytest
from structlog.testing import capture_logs

from apps.core.errors import InvalidFeedback, StoreError, UnknownCall
from apps.rl.policy_bandit import PolicyBandit
from apps.rl.selector import CallFeedback, PolicySelector
from apps.rl.signals import CallFacts, TurnFacts
from apps.store.database import Database
from apps.store.decisions import DecisionRow, add_decision, load_decision
from apps.store.feedback import FeedbackKind, feedback_of_call, feedback_since
from tests.rl.conftest import Parts

GOOD_CALL = CallFacts((TurnFacts(answered=True, grounded=True),), True, duration_s=60.0)
LEFT_AT_ONCE = CallFacts((TurnFacts(),), ended_by_caller=True, duration_s=4.0)


class Watcher:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[object, ...]] = []

    def policy_chosen(self, policy_variant: str, propensity: float) -> None:
        self.told.append(("chosen", policy_variant, propensity))

    def feedback_stored(self, policy_variant: str) -> None:
        self.told.append(("stored", policy_variant))

    def rewarded(self, policy_variant: str, reward: float, rating: int | None) -> None:
        self.told.append(("rewarded", policy_variant, reward, rating))

    def feedback_held(self, reason: str) -> None:
        self.told.append(("held", reason))

    def rated_late(self, policy_variant: str, rating: int) -> None:
        self.told.append(("late", policy_variant, rating))

    def success_rate(self, policy_variant: str, rate: float) -> None:
        self.told.append(("success", policy_variant, rate))

    def exploration_rate(self, rate: float) -> None:
        self.told.append(("exploration", rate))

    def variants(self, *, active: int, blacklisted: int) -> None:
        self.told.append(("variants", active, blacklisted))

    def guard_acted(self, act: str) -> None:
        self.told.append(("acted", act))

    def stages(self, counts: Mapping[str, int]) -> None:
        self.told.append(("stages", dict(counts)))

    def alarms(self, standing: Mapping[str, bool]) -> None:
        self.told.append(("alarms", dict(standing)))


@pytest.fixture
async def selector(parts: Parts) -> AsyncIterator[PolicySelector]:
    yield PolicySelector(parts.guard(seed=2))
    await parts.db.aclose()


async def test_a_choice_is_stored_with_its_probability_before_it_acts(
    parts: Parts, selector: PolicySelector
) -> None:
    decision = await selector.choose("c1", {"profile": "kfz"}, subject="person")
    row = await parts.db.query(load_decision, "c1")
    assert row is not None
    assert (row.variant, row.propensity) == (decision.variant, decision.propensity)
    assert row.propensity == row.propensities[row.variant]
    assert math.fsum(row.propensities.values()) == pytest.approx(1.0)
    assert (row.subject, row.context) == (
        "person",
        {"profile": "kfz", "returning": False},
    )
    assert row.stages["v1a"] == "base"
    assert f"{decision.propensity:.3f}" in decision.why
    assert decision.slots == parts.catalog.variants[decision.variant].slots


async def test_a_calls_variant_holds_for_the_whole_call(selector: PolicySelector) -> None:
    first = await selector.choose("c1", {})
    again = await asyncio.gather(*(selector.choose("c1", {}) for _ in range(5)))
    assert all(decision == first for decision in again)


async def test_choices_come_as_often_as_their_propensities_say(selector: PolicySelector) -> None:
    chosen = Counter([(await selector.choose(f"c{i}", {})).variant for i in range(120)])
    assert 0.8 < chosen["v1a"] / 120 < 0.97
    assert len(chosen) > 3


async def test_a_good_call_makes_its_variant_more_probable(
    parts: Parts, selector: PolicySelector
) -> None:
    parts.reward({"v1a": [0.2] * 30, "v1b": [0.2] * 30})
    decision = await selector.choose("c1", {})
    before = (await selector.outlook()).probabilities
    learned = await selector.learn("c1", CallFeedback(GOOD_CALL, "kfz", rating=5))
    after = (await selector.outlook()).probabilities
    assert learned.reward is not None
    assert learned.reward.value == pytest.approx(1.0)
    assert learned.reward.components["user_rating"] == pytest.approx(0.2)
    assert after[decision.variant] > before[decision.variant]
    assert decision.state_version == 60
    assert parts.bandit().state.last_seq == 61  # the snapshot is written too


async def test_a_calls_feedback_counts_once(parts: Parts, selector: PolicySelector) -> None:
    await selector.choose("c1", {})
    first = await selector.learn("c1", CallFeedback(GOOD_CALL, "kfz", rating=5))
    again = await selector.learn("c1", CallFeedback(GOOD_CALL, "kfz", rating=1))
    assert first.stored
    assert not again.stored
    assert again.reward == first.reward
    assert again.signals == first.signals
    assert len(await parts.db.query(feedback_since, 0)) == 1


async def test_an_abandoned_call_is_counted_but_not_rewarded(
    parts: Parts, selector: PolicySelector
) -> None:
    decision = await selector.choose("c1", {})
    learned = await selector.learn("c1", CallFeedback(LEFT_AT_ONCE, "kfz"))
    again = await selector.learn("c1", CallFeedback(LEFT_AT_ONCE, "kfz"))
    assert learned.reward is again.reward is None
    (event,) = await parts.db.query(feedback_of_call, "c1")
    assert (event.kind, event.reward) == (FeedbackKind.ABANDONED, None)
    assert parts.bandit().state.arm(decision.variant).pulls == 0


async def test_the_event_tells_whether_a_rating_was_asked_for_and_given(
    parts: Parts, selector: PolicySelector
) -> None:
    await selector.choose("c1", {})
    silent = CallFeedback(GOOD_CALL, "kfz", rating_offered=True)
    learned = await selector.learn("c1", silent)
    (event,) = await parts.db.query(feedback_of_call, "c1")
    assert (event.rating, event.rating_offered, event.rating_answered) == (None, True, False)
    assert event.missing == ("user_rating",)
    assert learned.reward is not None
    assert "user_rating" not in learned.reward.components


async def test_a_call_that_nothing_was_chosen_for_cannot_teach(selector: PolicySelector) -> None:
    with pytest.raises(UnknownCall):
        await selector.learn("nobody", CallFeedback(GOOD_CALL, "kfz"))


async def test_a_rating_that_cannot_be_is_refused_and_nothing_is_stored(
    parts: Parts, selector: PolicySelector
) -> None:
    await selector.choose("c1", {})
    with pytest.raises(InvalidFeedback, match="user_rating"):
        await selector.learn("c1", CallFeedback(GOOD_CALL, "kfz", rating=9))
    assert await parts.db.query(feedback_since, 0) == []


async def test_switched_off_it_serves_the_base_variant_and_learns_nothing(parts: Parts) -> None:
    off = PolicySelector(parts.guard(), enabled=False)
    decisions = [await off.choose(f"c{i}", {}) for i in range(20)]
    assert {d.variant for d in decisions} == {"v1a"}
    assert {d.propensity for d in decisions} == {1.0}
    assert "switched off" in decisions[0].why
    learned = await off.learn("c1", CallFeedback(GOOD_CALL, "kfz", rating=5))
    assert not learned.learns
    assert parts.bandit().rebuild().arms == {}
    assert (await off.outlook()).probabilities["v1a"] == 1.0
    await parts.db.aclose()


async def test_when_the_store_fails_the_call_goes_on_with_the_base_variant_and_that_is_logged(
    parts: Parts, selector: PolicySelector, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*args: object, **kwargs: object) -> None:
        raise StoreError("The disk is full.")

    monkeypatch.setattr(Database, "run", broken)
    with capture_logs() as logs:
        decision = await selector.choose("c1", {})
    assert (decision.variant, decision.propensity, decision.learns) == ("v1a", 1.0, False)
    assert logs[0]["event"] == "policy_not_stored"
    assert logs[0]["log_level"] == "error"


async def test_a_snapshot_that_cannot_be_written_does_not_undo_the_learning(
    parts: Parts, selector: PolicySelector, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(bandit: PolicyBandit) -> None:
        raise StoreError("The disk is full.")

    decision = await selector.choose("c1", {})
    monkeypatch.setattr(PolicyBandit, "save", full)
    with capture_logs() as logs:
        learned = await selector.learn("c1", CallFeedback(GOOD_CALL, "kfz"))
    monkeypatch.undo()
    assert learned.stored
    assert [entry["event"] for entry in logs] == ["bandit_snapshot_not_written"]
    assert parts.bandit().state.arm(decision.variant).pulls == 1


async def test_a_stored_choice_holds_even_when_its_variant_has_left_the_policy_file(
    parts: Parts, selector: PolicySelector
) -> None:
    gone = DecisionRow("c1", "v9x", 0.1, {"v9x": 0.1}, {"v9x": "new"}, "It was.", True, 0)
    await parts.db.run(add_decision, gone)
    decision = await selector.choose("c1", {})
    assert (decision.variant, decision.why) == ("v9x", "It was.")
    assert decision.slots == parts.catalog.variants["v1a"].slots


async def test_whoever_watches_is_told(parts: Parts) -> None:
    watcher = Watcher()
    parts.reward({"v2b": [-0.9] * 25})
    guard = parts.guard(seed=2, blacklist_rule="threshold")
    selector = PolicySelector(guard, observer=watcher)
    assert ("variants", 11, 1) in watcher.told
    watcher.told.clear()
    decision = await selector.choose("c1", {})
    await selector.choose("c1", {})
    assert watcher.told == [("chosen", decision.variant, decision.propensity)]
    for _ in range(2):
        await selector.learn("c1", CallFeedback(GOOD_CALL, "kfz", rating=5))
    told = Counter(entry[0] for entry in watcher.told)
    assert ("rewarded", decision.variant, pytest.approx(1.0), 5) in watcher.told
    assert (told["stored"], told["rewarded"], told["success"]) == (1, 1, 12)
    assert (told["exploration"], told["variants"]) == (1, 1)
    await selector.choose("c2", {})
    await selector.learn("c2", CallFeedback(LEFT_AT_ONCE, "kfz"))
    told = Counter(entry[0] for entry in watcher.told)
    assert (told["stored"], told["rewarded"]) == (2, 1)
    await parts.db.aclose()
