"""The feedback collector: checked against the schema, anonymous, stored once, counted, let go."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from apps.core.errors import InvalidFeedback
from apps.core.ids import keyed_hash
from apps.core.resources import resource
from apps.rl.feedback import FeedbackCollector, FeedbackEvent, check_event, event_schema
from apps.rl.signals import Signals
from apps.store.feedback import FeedbackKind, FeedbackRow, feedback_since
from apps.store.learning_tables import feedback_events
from tests.rl.conftest import Parts

KEY = b"a key for tests"
EVENT = {
    "call_id": "call_123",
    "policy_variant": "v1a",
    "profile": "kfz",
    "signals": {"resolution": True, "user_rating": 4, "barge_in_count": 1, "duration_sec": 120},
    "timestamp": "2026-03-01T14:47:12+01:00",
}


@pytest.fixture
def collector(parts: Parts) -> FeedbackCollector:
    return FeedbackCollector(parts.db, key=KEY, learns=True)


def stored(parts: Parts) -> list[FeedbackRow]:
    with parts.db.reading() as conn:
        return feedback_since(conn, 0)


def test_the_schema_in_the_docs_is_that_of_the_code() -> None:
    text = resource("schemas", "feedback_event.json").read_text()
    assert text == event_schema(), "write it anew with apps.rl.feedback.event_schema()"
    assert set(json.loads(text)["properties"]) == set(FeedbackEvent.model_fields)


def test_an_event_is_stored_with_its_reward(parts: Parts, collector: FeedbackCollector) -> None:
    assert collector.collect(EVENT)
    (row,) = stored(parts)
    assert row.kind is FeedbackKind.FEEDBACK
    assert (row.variant, row.profile, row.rating) == ("v1a", "kfz", 4)
    assert row.reward == pytest.approx(0.6 + 0.1 - 0.1 / 3 + 0.2)
    assert row.components["resolution"] == pytest.approx(0.6)
    assert row.missing == ("repeats", "handover")
    assert (row.rating_offered, row.rating_answered, row.learns) == (True, True, True)


def test_neither_the_calls_id_nor_the_minute_is_stored(
    parts: Parts, collector: FeedbackCollector
) -> None:
    collector.collect({**EVENT, "event_id": "from-anna@example.org"})
    (row,) = stored(parts)
    assert row.call_ref == keyed_hash("call_123", KEY)
    assert row.at_hour == datetime(2026, 3, 1, 13, tzinfo=UTC)
    with parts.db.reading() as conn:
        rows = conn.execute(feedback_events.select()).all()
    dump = "\n".join(str(value) for row in rows for value in row)
    assert "call_123" not in dump
    assert "anna" not in dump
    assert ":47" not in dump


@pytest.mark.parametrize("when", ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59-11:30"])
def test_what_claims_to_come_from_the_future_is_let_go_of_like_the_rest(
    parts: Parts, collector: FeedbackCollector, when: str
) -> None:
    collector.collect({**EVENT, "timestamp": when})
    later = datetime.now(UTC) + timedelta(days=32)
    assert collector.cleanup(30, now=later).feedback == 1


def test_the_hour_is_that_of_utc_in_every_zone(parts: Parts, collector: FeedbackCollector) -> None:
    collector.collect({**EVENT, "timestamp": "2026-03-01T14:47:12+05:30"})
    assert stored(parts)[0].at_hour == datetime(2026, 3, 1, 9, tzinfo=UTC)


def test_the_order_of_events_is_kept_within_the_hour(
    parts: Parts, collector: FeedbackCollector
) -> None:
    for i in range(5):
        collector.collect({**EVENT, "call_id": f"call_{i}", "signals": {"user_rating": i + 1}})
    assert [row.rating for row in stored(parts)] == [1, 2, 3, 4, 5]


def test_an_event_is_stored_once(parts: Parts, collector: FeedbackCollector) -> None:
    assert collector.collect(EVENT)
    assert not collector.collect({**EVENT, "signals": {"user_rating": 1}})
    assert collector.collect({**EVENT, "event_id": "correction"})
    assert not collector.collect({**EVENT, "event_id": "correction"})
    assert [row.rating for row in stored(parts)] == [4, 4]


def test_the_same_id_has_another_pseudonym_elsewhere(parts: Parts) -> None:
    FeedbackCollector(parts.db, key=b"one", learns=True).collect(EVENT)
    FeedbackCollector(parts.db, key=b"two", learns=True).collect(EVENT)
    first, second = stored(parts)
    assert first.call_ref != second.call_ref


def test_an_abandoned_call_has_no_reward(parts: Parts, collector: FeedbackCollector) -> None:
    collector.collect({"call_id": "c", "policy_variant": "v1a", "abandoned": True})
    (row,) = stored(parts)
    assert (row.kind, row.reward, row.components) == (FeedbackKind.ABANDONED, None, {})


def test_signals_may_come_as_a_model_and_a_missing_rating_is_not_an_answer(
    parts: Parts, collector: FeedbackCollector
) -> None:
    collector.collect(
        FeedbackEvent(call_id="a", policy_variant="v1a", signals=Signals(user_rating=2))
    )
    collector.collect(FeedbackEvent(call_id="b", policy_variant="v1a", rating_offered=True))
    rated, unrated = stored(parts)
    assert rated.rating_answered
    assert unrated.rating_offered
    assert not unrated.rating_answered
    assert "user_rating" in unrated.missing


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("call_id", ""),
        ("call_id", "x" * 129),
        ("policy_variant", "v1a; my number is 0171 2345678"),
        ("profile", "k f z"),
        ("signals.user_rating", 6),
        ("signals.user_rating", "4"),
        ("signals.mood", "good"),
        ("timestamp", "2026-03-01T14:47:12"),
        ("timestamp", "0001-01-01T00:00:00+12:00"),
        ("event_id", ""),
        ("comment", "call me back"),
    ],
)
def test_what_does_not_fit_the_schema_is_refused_by_name(field: str, value: object) -> None:
    outer, _, inner = field.partition(".")
    event = EVENT | ({outer: {inner: value}} if inner else {outer: value})
    with pytest.raises(InvalidFeedback, match=field.replace(".", r"\.")) as caught:
        check_event(event)
    assert "feedback_event.json" in caught.value.hint
    assert "0171" not in caught.value.message


@pytest.mark.parametrize("event", [None, 7, "text", [], {}])
def test_what_is_no_event_at_all_is_refused(event: object) -> None:
    with pytest.raises(InvalidFeedback):
        check_event(event)  # type: ignore[arg-type]


def test_statistics_leave_missing_ratings_out(collector: FeedbackCollector) -> None:
    assert collector.statistics().mean_rating is None
    assert collector.statistics().answer_rate is None
    collector.collect(EVENT)
    collector.collect({"call_id": "b", "policy_variant": "v1b", "signals": {"user_rating": 1}})
    collector.collect({"call_id": "c", "policy_variant": "v1b"})
    collector.collect({"call_id": "d", "policy_variant": "v1b", "abandoned": True})
    statistics = collector.statistics()
    assert (statistics.feedback, statistics.abandoned, statistics.rated) == (3, 1, 2)
    assert statistics.mean_rating == pytest.approx(2.5)
    assert statistics.answer_rate == pytest.approx(2 / 3)
    assert statistics.variants["v1b"].mean_rating == pytest.approx(1.0)


def test_cleaning_up_cuts_old_feedback_loose_and_changes_no_posterior(
    parts: Parts, collector: FeedbackCollector
) -> None:
    now = datetime.now(UTC)
    collector.collect({**EVENT, "timestamp": now - timedelta(days=31)})
    collector.collect({**EVENT, "call_id": "young", "timestamp": now})
    before = parts.bandit().state
    assert collector.cleanup(30, now=now).feedback == 1
    assert collector.cleanup(30).feedback == 0
    old, young = stored(parts)
    assert old.call_ref != keyed_hash("call_123", KEY)
    assert young.call_ref == keyed_hash("young", KEY)
    assert parts.bandit().rebuild() == before


def test_nothing_cannot_be_kept_for_less_than_a_day(collector: FeedbackCollector) -> None:
    with pytest.raises(InvalidFeedback, match="0 days"):
        collector.cleanup(0)


def test_without_arguments_it_is_the_settings_collector(
    settings_in: Callable[..., Path],
) -> None:
    folder = settings_in(RL_ENABLED="false")
    assert FeedbackCollector().collect(EVENT)
    assert FeedbackCollector().statistics().rated == 1
    assert (folder / "data/secrets.json").exists()
    from apps.rl.policy_bandit import PolicyBandit

    assert PolicyBandit().state.arms == {}
