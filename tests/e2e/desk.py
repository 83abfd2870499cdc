"""A profile with little knowledge and all keys, and what a call to it left behind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apps.store.call_tables import call_events, calls
from apps.store.learning_tables import feedback_events
from tests.e2e.servers import Running

PERSON = "+4930123456"
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
ALWAYS = ", ".join(f'{day}: ["00:00-23:59:59"]' for day in DAYS)
PROFILE = f"""
id: desk
languages: [en]
office: {{en: the desk}}
greeting:
  en: {{formal: "AI desk here.", friendly: "AI desk here.", brief: "AI desk here."}}
handover: {{target: "{PERSON}"}}
opening_hours: {{{ALWAYS}}}
keys: {{"1": hours, "0": handover, "9": goodbye}}
"""
KNOWLEDGE = """---
profile: desk
language: en
topic: hours
---
# Hours

## When are you open? {#hours}

Also asked:
- when do you open
- opening hours

We are open from eight to four on every working day of the week.
"""


def lay_out(folder: Path) -> Path:
    """Write the profile and its knowledge; returns what `TOM_PROFILE_DIR` is to be."""
    (folder / "profiles").mkdir(parents=True)
    (folder / "profiles/desk.yaml").write_text(PROFILE)
    (folder / "knowledge/desk/en").mkdir(parents=True)
    (folder / "knowledge/desk/en/desk.md").write_text(KNOWLEDGE)
    return folder


@dataclass(frozen=True)
class Left:
    """What a call left behind.

    Attributes:
        path: The kinds of the state machine's events, in order.
        said: What the assistant said, sentence by sentence.
        sources: The knowledge entries behind each of them.
        kinds: Every kind of record in the call's event log.
        reason: Why it ended.
        subject: Whose call it was, as a keyed hash.
        feedback: What is learned from: the kind of the feedback, its signals, whether a rating
            was offered, and the stars that were given.
    """

    path: list[str]
    said: list[str]
    sources: list[list[str]]
    kinds: set[str]
    reason: str | None
    subject: str | None
    feedback: dict[str, Any]


def left_by(server: Running, door: str) -> list[Left]:
    """Read what the calls through one door left behind."""
    with server.database().reading() as conn:
        rows = conn.execute(calls.select().where(calls.c.door == door)).all()
        return [_left(conn, row) for row in rows]


def _left(conn: Any, row: Any) -> Left:
    mine = call_events.select().where(call_events.c.call_ref == row.call_ref)
    events = conn.execute(mine.order_by(call_events.c.seq)).all()
    learned = feedback_events.select().where(feedback_events.c.call_ref == row.call_ref)
    feedback = conn.execute(learned).one()
    return Left(
        path=[event.kind for event in events if event.kind.startswith("fsm.")],
        said=[event.data["text"] for event in events if event.kind == "assistant"],
        sources=[event.data["sources"] for event in events if event.kind == "assistant"],
        kinds={event.kind for event in events},
        reason=row.reason,
        subject=row.subject,
        feedback={
            "kind": feedback.kind,
            "signals": set(feedback.signals),
            "offered": feedback.rating_offered,
            "stars": feedback.rating,
        },
    )


def all_written(server: Running, count: int) -> bool:
    """Tell whether so many calls' event logs are on the disk to their end."""
    with server.database().reading() as conn:
        ended = conn.execute(call_events.select().where(call_events.c.kind == "call.ended")).all()
    return len(ended) == count
