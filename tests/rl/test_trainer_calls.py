"""What the trainer takes from the store, and what it turns it into."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.policy import PolicySlots
from apps.rl.trainer import Gathered, TrainingCall, gather, read
from apps.rl.trainer.calls import (
    ABANDONED,
    DOES_NOT_LEARN,
    HELD,
    NO_FEEDBACK,
    UNKNOWN_VARIANT,
    Source,
)
from apps.rl.trainer.features import (
    ALL_SLOTS,
    NUMBERS,
    Encoder,
    contrast,
    pair_columns,
    slot_columns,
)
from apps.store.database import Database, open_database
from apps.store.decisions import add_decision
from apps.store.feedback import FeedbackKind, FeedbackRow, append_feedback
from benchmarks.learning.scenarios import TWELVE
from tests.rl.seeded_store import feedback_of, simulated_calls


@pytest.fixture(scope="module")
def calls() -> tuple[TrainingCall, ...]:
    return simulated_calls(400)


@pytest.fixture
def db(tmp_path: Path) -> Database:
    return open_database(tmp_path / "feedback.db", pooled=False)


def store(db: Database, call: TrainingCall, *events: FeedbackRow) -> Gathered:
    """Store one call with its events, and return what the trainer makes of it."""
    with db.transaction() as conn:
        add_decision(conn, call.decision)
        for event in events:
            append_feedback(conn, event)
    with db.reading() as conn:
        return read(conn, TWELVE)


def test_a_call_comes_back_with_slots_context_and_reward(
    db: Database, calls: tuple[TrainingCall, ...]
) -> None:
    found = store(db, calls[0], feedback_of(calls[0]))
    (call,) = found.calls
    assert (call.variant, call.reward) == (calls[0].variant, calls[0].reward)
    assert call.slots == calls[0].slots
    assert call.caller == calls[0].decision.subject
    assert dict(call.context) == dict(calls[0].context)
    assert found.served == {calls[0].variant}


def test_of_a_call_with_a_late_rating_the_newest_reward_holds(
    db: Database, calls: tuple[TrainingCall, ...]
) -> None:
    late = {"kind": FeedbackKind.REVISION, "revises": calls[0].reward}
    first = feedback_of(calls[0], event_id="late-1", reward=0.25, **late)
    second = feedback_of(calls[0], event_id="late-2", reward=0.75, **late)
    held = feedback_of(calls[0], event_id="late-3", reward=-1.0, held="a bot's", **late)
    (call,) = store(db, calls[0], feedback_of(calls[0]), first, second, held).calls
    assert call.reward == 0.75


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (None, NO_FEEDBACK),
        ({"held": "too many from one caller"}, HELD),
        ({"learns": False}, DOES_NOT_LEARN),
        ({"kind": FeedbackKind.ABANDONED, "reward": None}, ABANDONED),
    ],
)
def test_what_must_not_be_learned_from_is_left_out_and_counted(
    db: Database, calls: tuple[TrainingCall, ...], changes: dict[str, object] | None, reason: str
) -> None:
    events = () if changes is None else (feedback_of(calls[0], **changes),)
    found = store(db, calls[0], *events)
    assert found.calls == ()
    assert found.left_out == {reason: 1}


def test_what_was_held_and_then_released_counts(
    db: Database, calls: tuple[TrainingCall, ...]
) -> None:
    held = feedback_of(calls[0], held="too many from one caller")
    found = store(db, calls[0], held, feedback_of(calls[0], event_id="release-1"))
    assert [call.reward for call in found.calls] == [calls[0].reward]


def test_a_variant_that_nobody_knows_any_more_is_left_out(
    db: Database, calls: tuple[TrainingCall, ...]
) -> None:
    gone = replace(calls[0], decision=replace(calls[0].decision, variant="gone"))
    found = store(db, gone, feedback_of(gone))
    assert found.left_out == {UNKNOWN_VARIANT: 1}


def test_a_trial_calls_choice_teaches_nothing(
    db: Database, calls: tuple[TrainingCall, ...]
) -> None:
    trial = replace(calls[0], decision=replace(calls[0].decision, learns=False))
    assert store(db, trial, feedback_of(trial)).left_out == {DOES_NOT_LEARN: 1}


def test_there_are_243_combinations_each_with_columns_of_its_own() -> None:
    assert len(set(ALL_SLOTS)) == 243
    assert len(np.unique(slot_columns(ALL_SLOTS).round(9), axis=0)) == 243


def test_slots_and_their_pairs_are_told_apart_without_a_constant() -> None:
    assert np.allclose(contrast(4).T @ contrast(4), np.eye(3))
    slots = slot_columns(ALL_SLOTS)
    columns = np.hstack([np.ones((243, 1)), slots, pair_columns(slots)])
    assert np.linalg.matrix_rank(columns) == 51
    assert np.allclose(columns[:, 1:].sum(axis=0), 0.0)


def test_the_fast_table_says_what_the_rows_say(calls: tuple[TrainingCall, ...]) -> None:
    encoder = Encoder.of(calls)
    weights = np.random.default_rng(0).normal(size=encoder.blocks.width)
    contexts, slots = encoder.contexts(calls[:7]), slot_columns(ALL_SLOTS[:5])
    table = encoder.table(weights, slots, contexts)
    for i, context in enumerate(contexts):
        rows = encoder.design(slots, np.tile(context, (5, 1)))
        assert np.allclose(table[i], rows @ weights)


def test_what_is_not_known_of_a_call_is_the_middle_of_all(
    calls: tuple[TrainingCall, ...],
) -> None:
    encoder = Encoder.of(calls)
    blank = replace(calls[0], context={"stt_confidence": float("nan"), "profile": "none such"})
    assert np.allclose(encoder.contexts([blank]), 0.0)
    assert set(encoder.scale) == set(NUMBERS)


def test_a_left_out_slot_has_the_base_variants_value() -> None:
    assert np.allclose(slot_columns([PolicySlots()]), slot_columns([TWELVE["v1a"]]))


FIRST = simulated_calls(5)[0]
EVENTS = st.tuples(
    st.sampled_from([FeedbackKind.FEEDBACK, FeedbackKind.REVISION, FeedbackKind.ABANDONED]),
    st.one_of(st.none(), st.floats(-1.0, 1.0)),
    st.booleans(),
    st.booleans(),
)


@given(st.lists(EVENTS, max_size=5))
def test_whatever_events_a_call_has_it_counts_once_or_is_left_out_once(
    events: list[tuple[FeedbackKind, float | None, bool, bool]],
) -> None:
    call = FIRST
    rows = [
        feedback_of(
            call, kind=kind, reward=reward, held="doubtful" if held else None, learns=learns
        )
        for kind, reward, held, learns in events
    ]
    found = gather([call.decision], rows, TWELVE, Source("store", len(rows), 1))
    assert len(found.calls) + sum(found.left_out.values()) == 1
    for counted in found.calls:
        sound = [row.reward for row in rows if row.held is None and row.reward is not None]
        assert counted.reward == sound[-1]
        assert all(row.learns for row in rows)
