"""A store as some weeks of simulated calls would have left it: the same every time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from apps.rl.trainer import TrainingCall
from apps.store.database import Database, open_database
from apps.store.decisions import add_decision
from apps.store.feedback import FeedbackKind, FeedbackRow, append_feedback
from benchmarks.learning.scenarios import SCENARIOS
from benchmarks.trainer.logs import simulate


def simulated_calls(
    calls: int = 800, *, scenario: str = "stationary", seed: int = 1, policy: str = "uniform"
) -> tuple[TrainingCall, ...]:
    """Return the calls of a scenario, without those that were abandoned."""
    return simulate(SCENARIOS[scenario], seed, calls, policy).calls


def feedback_of(call: TrainingCall, **changes: object) -> FeedbackRow:
    """Return a call's feedback event."""
    decision = call.decision
    told: dict[str, object] = {
        "event_id": f"call-{decision.call_ref}",
        "kind": FeedbackKind.FEEDBACK,
        "variant": call.variant,
        "reward": call.reward,
        "call_ref": decision.call_ref,
        "profile": call.context["profile"],
        "components": call.components,
        "context": call.context,
        "subject": decision.subject,
    }
    return FeedbackRow(**{**told, **changes})  # type: ignore[arg-type]


def seed_store(path: Path, calls: Sequence[TrainingCall]) -> Database:
    """Write calls into a new store, as live calls would have done one by one."""
    db = open_database(path, pooled=False)
    with db.transaction() as conn:
        for call in calls:
            add_decision(conn, call.decision)
            append_feedback(conn, feedback_of(call))
    return db
