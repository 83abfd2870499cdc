"""Rated calls in a store, as the continuous loop finds them."""

from __future__ import annotations

from apps.core.events import LogRecord
from apps.rl.adapters.continuous.collect import TRAINING
from apps.store.calls import CallOrigin, CallRow, append_events, open_call
from apps.store.consents import ConsentAction, ConsentRow, record
from apps.store.database import Database
from apps.store.feedback import FeedbackKind, FeedbackRow, append_feedback

SOURCE = ["town/en/passport.md#price"]


def log(*events: tuple[str, int | None, dict]) -> list[LogRecord]:
    return [
        LogRecord(i, i * 100.0, kind, turn, data) for i, (kind, turn, data) in enumerate(events)
    ]


def asked(text: str) -> tuple[str, int | None, dict]:
    return ("fsm.transcript", None, {"text": text})


def said(turn: int, text: str, sources: list[str] | str = SOURCE) -> tuple[str, int, dict]:
    return ("assistant", turn, {"text": text, "sources": sources})


def finished(turn: int) -> tuple[str, int, dict]:
    return ("fsm.speech_finished", turn, {})


GREETING = (said(1, "Hello.", ""), finished(1))
ANSWERED = (
    *GREETING,
    asked("what does a passport cost"),
    said(2, "A passport costs 37 euros."),
    said(2, "Does that help?", ""),
    finished(2),
)


def add_call(
    db: Database, ref: str, *, score=0.8, rating=5, agreed=True, origin=CallOrigin.CALLER, **event
):
    subject = f"subject-{ref}"
    with db.transaction() as conn:
        open_call(conn, CallRow(ref, "town", "en", "websocket", origin, subject=subject))
        append_events(conn, [(ref, each) for each in log(*ANSWERED)])
        if agreed:
            row = ConsentRow(subject, ConsentAction.GIVEN, TRAINING, "asked in the call")
            record(conn, row)
        append_feedback(
            conn,
            FeedbackRow(
                f"event-{ref}",
                FeedbackKind.FEEDBACK,
                "v1",
                score,
                call_ref=ref,
                rating=rating,
                subject=subject,
                **event,
            ),
        )
