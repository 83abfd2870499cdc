"""A call's end and its late rating: stored once, counted once, whatever the order."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from apps.core.errors import InvalidFeedback, TomError
from apps.rl.abuse.release import release
from apps.rl.feedback import FeedbackCollector
from apps.rl.posterior import to_json
from apps.rl.reward_calc import RewardCalculator
from apps.rl.selector import CallFeedback, PolicySelector
from apps.rl.settle import Settler
from apps.rl.signals import CallFacts, TurnFacts, signals_of
from apps.store.calls import CallRow, delete_call, open_call
from apps.store.database import Database, open_database
from apps.store.decisions import DecisionRow, add_decision, load_decision
from apps.store.feedback import (
    FeedbackKind,
    FeedbackRow,
    Flag,
    append_feedback,
    counts_by_variant,
    feedback_of_call,
    feedback_since,
)
from tests.rl.conftest import Parts

GOOD_CALL = CallFacts((TurnFacts(answered=True, grounded=True),), True, duration_s=60.0)
LEFT_AT_ONCE = CallFacts((TurnFacts(),), ended_by_caller=True, duration_s=4.0)
HOUR_S = 3600.0
_seconds = count()


def worth(rating: int | None) -> float:
    """The reward of the good call with a rating."""
    return RewardCalculator().calculate(signals_of(GOOD_CALL, rating)).value


@pytest.fixture
async def selector(parts: Parts) -> AsyncIterator[PolicySelector]:
    yield PolicySelector(
        parts.guard(seed=2), engines={"llm": "embedded", "stt.en": "sphinx", "stt.de": "whisper"}
    )
    await parts.db.aclose()


async def events(parts: Parts, call_ref: str = "c1") -> list[FeedbackRow]:
    return await parts.db.query(feedback_of_call, call_ref)


async def end(selector: PolicySelector, call_ref: str = "c1", **more: object) -> str:
    """Hold a good call from its choice to its end; returns its variant."""
    decision = await selector.choose(call_ref, {"profile": "kfz"})
    # No two are equally long, as no two calls are; up to 144 s that changes no reward.
    facts = replace(GOOD_CALL, duration_s=60.0 + next(_seconds))
    await selector.learn(call_ref, CallFeedback(facts, "kfz", **more))  # type: ignore[arg-type]
    return decision.variant


# --- late ratings


async def test_a_late_rating_is_appended_as_a_revision_of_the_reward(
    parts: Parts, selector: PolicySelector
) -> None:
    variant = await end(selector, rating_offered=True)
    learned = await selector.rate("c1", 2, after_s=HOUR_S)
    first, late = await events(parts)
    assert learned.stored
    assert (late.event_id, late.kind, late.variant) == ("rating-c1", FeedbackKind.REVISION, variant)
    assert (late.reward, late.revises) == (worth(2), first.reward)
    assert (late.rating, late.rating_offered, late.rating_answered) == (2, True, True)
    assert (late.answered_after_s, late.missing) == (HOUR_S, ())
    assert late.context == first.context
    assert (first.rating, first.rating_offered, first.rating_answered) == (None, True, False)
    assert first.answered_after_s is None


async def test_the_revision_tells_how_many_rewards_counted_since(
    parts: Parts, selector: PolicySelector
) -> None:
    await end(selector)
    for number in range(3):
        await end(selector, f"later{number}")
    await selector.choose("left", {})
    await selector.learn("left", CallFeedback(LEFT_AT_ONCE, "kfz"))  # counts nothing
    await selector.rate("later0", 4, after_s=1.0)  # is no reward of its own
    await selector.rate("c1", 4, after_s=1.0)
    assert [e.revised_age for e in await events(parts)] == [None, 3]
    assert [e.revised_age for e in await events(parts, "later0")] == [None, 2]


async def test_the_fold_counts_a_revised_call_once_and_rebuilding_gives_the_same_bits(
    parts: Parts, selector: PolicySelector
) -> None:
    variants = [await end(selector, f"c{number}") for number in range(6)]
    for number, stars in ((4, 1), (0, 5), (2, 2)):
        await selector.rate(f"c{number}", stars, after_s=1.0)
    bandit = parts.bandit()
    folded = to_json(bandit.state, bandit.prior)
    assert folded == to_json(bandit.rebuild(), bandit.prior)
    assert sum(arm.pulls for arm in bandit.arms.values()) == 6
    stars = {0: 5, 2: 2, 4: 1}
    for name, arm in bandit.arms.items():
        rewards = [worth(stars.get(i)) for i, variant in enumerate(variants) if variant == name]
        if rewards:
            assert arm.mean_reward == pytest.approx(sum(rewards) / len(rewards))


async def test_statistics_count_a_call_once_with_its_newest_reward_and_rating(
    parts: Parts, selector: PolicySelector
) -> None:
    variant = await end(selector)
    await selector.rate("c1", 1, after_s=1.0)
    (counts,) = (await parts.db.query(counts_by_variant)).values()
    assert (counts.feedback, counts.rated, counts.mean_rating) == (1, 1, 1.0)
    assert counts.mean_reward == pytest.approx(worth(1))
    told = FeedbackCollector(parts.db, key=b"k" * 16, learns=True).statistics()
    assert (told.feedback, told.rated, told.answer_rate) == (1, 1, 1.0)
    assert told.variants[variant] == counts


async def test_the_same_rating_again_changes_nothing_and_another_one_is_refused(
    parts: Parts, selector: PolicySelector
) -> None:
    await end(selector)
    await selector.rate("c1", 4, after_s=1.0)
    again = await selector.rate("c1", 4, after_s=99.0)
    assert (again.stored, again.reward and again.reward.value) == (False, worth(4))
    with pytest.raises(InvalidFeedback) as refused:
        await selector.rate("c1", 5, after_s=2.0)
    assert refused.value.code == "already_rated"
    assert len(await events(parts)) == 2


async def test_a_rating_that_was_given_in_the_call_counts_and_no_other(
    parts: Parts, selector: PolicySelector
) -> None:
    await end(selector, rating=3)
    (event,) = await events(parts)
    assert event.answered_after_s == 0.0
    assert not (await selector.rate("c1", 3, after_s=1.0)).stored
    with pytest.raises(InvalidFeedback, match="rated already"):
        await selector.rate("c1", 1, after_s=1.0)
    assert len(await events(parts)) == 1


async def test_what_cannot_be_rated_is_refused_with_a_code_that_says_why(
    parts: Parts, selector: PolicySelector
) -> None:
    async def code(call_ref: str, rating: int = 4) -> str:
        with pytest.raises(TomError) as refused:
            await selector.rate(call_ref, rating, after_s=1.0)
        return refused.value.code

    assert await code("nobody") == "unknown_call"
    await selector.choose("live", {})
    assert await code("live") == "call_goes_on"
    await selector.learn("live", CallFeedback(LEFT_AT_ONCE, "kfz"))
    assert await code("live") == "not_rewarded"
    await end(selector)
    assert await code("c1", rating=6) == "feedback"
    await parts.db.run(delete_call, "c1")
    assert await code("c1") == "unknown_call"  # cut loose: no token leads to it any more
    assert len(await parts.db.query(feedback_since, 0)) == 2


async def test_a_call_that_teaches_nothing_is_not_taught_by_its_rating(parts: Parts) -> None:
    trial = PolicySelector(parts.guard(), learns=False)
    await end(trial)
    assert not (await PolicySelector(parts.guard()).rate("c1", 5, after_s=1.0)).learns
    assert all(arm.pulls == 0 for arm in parts.bandit().arms.values())
    await parts.db.aclose()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Database:
    return open_database(tmp_path_factory.mktemp("settle") / "feedback.db")


def tried_to_rate(settler: Settler, conn: Connection, ref: str, stars: int) -> float | str | None:
    """Rate a call; returns the reward that it has then, or the code of what was wrong."""
    try:
        reward = settler.rate(conn, ref, stars, 1.0).reward
    except TomError as error:
        return error.code
    return reward and reward.value


RATE = st.tuples(st.just("rate"), st.integers(1, 5))
END = st.tuples(st.just("end"), st.one_of(st.none(), st.integers(1, 5)))
_number = count()


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.one_of(END, RATE, RATE), max_size=7))
def test_in_any_order_a_call_counts_once_with_its_first_rating(
    store: Database, tried: list[tuple[str, int | None]]
) -> None:
    ref, settler = f"p{next(_number)}", Settler(RewardCalculator(), learns=True)
    choice = DecisionRow(ref, "v1a", 1.0, {"v1a": 1.0}, {}, "It was.", True, 0)
    ended, rating = False, None
    with store.transaction() as conn:
        add_decision(conn, choice)
    for step, stars in tried:
        with store.transaction() as conn:
            if step == "end":
                settler.end(conn, ref, CallFeedback(GOOD_CALL, "kfz", rating=stars))
                rating, ended = rating if ended else stars, True
                continue
            assert stars is not None
            told = tried_to_rate(settler, conn, ref, stars)
            if ended and rating in (None, stars):
                assert told == worth(stars)
                rating = stars
            else:
                assert told == ("already_rated" if ended else "call_goes_on")
    with store.reading() as conn:
        stored = feedback_of_call(conn, ref)
    assert len([e for e in stored if e.kind is not FeedbackKind.REVISION]) == ended
    if ended:
        assert stored[-1].reward == worth(rating)
        counted = sum((e.reward or 0.0) - (e.revises or 0.0) for e in stored)
        assert counted == pytest.approx(worth(rating))


# --- what is known of the call


async def test_flags_and_conditions_stand_beside_the_reward_without_anything_personal(
    parts: Parts, selector: PolicySelector
) -> None:
    known = {
        "profile": "kfz",
        "language": "en",
        "door": "websocket",
        "time_of_day": "morning",
        "purpose": "reminder",
    }
    await selector.choose("c1", known, subject="person")
    facts = replace(
        GOOD_CALL,
        flags=(Flag.ENGINE_ERROR,),
        conditions={"stt_confidence": 0.8, "latency_ms": 420.0, "noise_db": 38.5},
    )
    await selector.learn("c1", CallFeedback(facts, "kfz"))
    (event,) = await events(parts)
    assert event.flags == ("engine_error",)
    told = {key: value for key, value in event.context.items() if key != "quality"}
    assert told == {
        "profile": "kfz",
        "language": "en",
        "door": "websocket",
        "time_of_day": "morning",
        "returning": False,
        "stt_confidence": 0.8,
        "latency_ms": 420.0,
        "noise_db": 38.5,
    }


async def test_whoever_has_called_before_is_returning(
    parts: Parts, selector: PolicySelector
) -> None:
    async def returning(call_ref: str, subject: str | None) -> object:
        await selector.choose(call_ref, {}, subject=subject)
        row = CallRow(call_ref, "kfz", "en", "websocket", subject=subject)
        await parts.db.run(open_call, row)
        decision = await parts.db.query(load_decision, call_ref)
        assert decision is not None
        return decision.context.get("returning")

    assert await returning("c1", "anna") is False
    assert await returning("c2", "anna") is True
    assert await returning("c3", "ben") is False
    assert await returning("c4", None) is None  # not known, so not said


async def test_the_choice_keeps_which_engines_serve_the_calls_language(
    parts: Parts, selector: PolicySelector
) -> None:
    await selector.choose("c1", {"language": "en"})
    row = await parts.db.query(load_decision, "c1")
    assert row is not None
    assert (row.engines, row.adapter) == ({"llm": "embedded", "stt": "sphinx"}, None)


async def test_the_adapter_that_a_call_was_given_is_its_own_to_the_end(
    parts: Parts, selector: PolicySelector
) -> None:
    stored = DecisionRow("c1", "v1b", 0.5, {"v1b": 0.5}, {}, "It was.", True, 0, adapter="warm-1")
    await parts.db.run(add_decision, stored)
    decision = await selector.choose("c1", {})
    assert (decision.variant, decision.adapter) == ("v1b", "warm-1")


async def test_a_released_call_is_revised_where_it_counts(
    parts: Parts, selector: PolicySelector
) -> None:
    """Held feedback that an operator releases counts by an event of its own."""
    variant = await end(selector)
    (first,) = await events(parts)
    held = replace(first, event_id="call-c2", call_ref="c2", held="burst", seq=0)
    row = DecisionRow("c2", variant, 1.0, {variant: 1.0}, {}, "It was.", True, 0)
    await parts.db.run(add_decision, row)
    await parts.db.run(append_feedback, held)
    stored = (await events(parts, "c2"))[0]
    await parts.db.run(release, stored.seq)
    await selector.rate("c2", 1, after_s=1.0)
    late = (await events(parts, "c2"))[-1]
    assert (late.kind, late.revises, late.revised_age) == (FeedbackKind.REVISION, first.reward, 0)
    arm = parts.bandit().state.arm(variant)
    assert (arm.pulls, late.held) == (2, None)
    assert arm.mean_reward == pytest.approx((worth(None) + worth(1)) / 2)
