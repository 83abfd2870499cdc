"""Lets a held event count after all: an event of its own, appended once, that says the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from apps.core.errors import InvalidFeedback
from apps.core.ids import DEFAULT_TENANT
from apps.store.feedback import (
    FeedbackKind,
    FeedbackRow,
    append_feedback,
    feedback_of_call,
    rewards_counted_since,
)
from apps.store.suspicion import event_by_seq, held_events

RELEASES = "releases"
"""Under this name a released event's context keeps the ``seq`` of the held one."""


@dataclass(frozen=True, slots=True)
class Held:
    """A held event, and whether it was released since."""

    event: FeedbackRow
    released: bool


def list_held(
    conn: Connection, *, tenant: str = DEFAULT_TENANT, limit: int | None = None
) -> list[Held]:
    """Return the held events, the newest first.

    Args:
        conn: A connection.
        tenant: Whose.
        limit: Most that are returned; all when None.
    """
    return [
        Held(event, _released(event, _of_same_call(conn, event)))
        for event in held_events(conn, tenant=tenant, limit=limit)
    ]


def release(conn: Connection, seq: int, *, tenant: str = DEFAULT_TENANT) -> FeedbackRow | None:
    """Let a held event count from now on, with the newest rating of its call.

    What is appended is an event of the same kind about the same call, so that everything that
    reads feedback takes it for what the held one would have been.

    Args:
        conn: A connection that may write.
        seq: The held event's number, as ``tom rl held`` shows it.
        tenant: Whose.

    Returns:
        The appended event; None when it was released before (and nothing has changed).

    Raises:
        InvalidFeedback: There is no such event, it is not held, what it revises is held, or its
            call counts already by another event.
    """
    event = event_by_seq(conn, seq, tenant=tenant)
    if event is None or event.held is None:
        raise InvalidFeedback(
            f"Event {seq} is not held.", hint="`tom rl held` lists what is.", code="not_held"
        )
    of_call = _of_same_call(conn, event)
    if _released(event, of_call):
        return None
    free = _freed(conn, event, of_call)
    return free if append_feedback(conn, free) else None


def _freed(conn: Connection, event: FeedbackRow, of_call: Sequence[FeedbackRow]) -> FeedbackRow:
    free = replace(
        event,
        event_id=f"release-{event.seq}",
        held=None,
        context={**event.context, RELEASES: event.seq},
        seq=0,
    )
    sound = [e for e in of_call if e.held is None and e.reward is not None]
    if event.kind is FeedbackKind.REVISION:
        if not sound:
            raise InvalidFeedback(
                f"Event {event.seq} revises one that is held itself.",
                hint="Release that one; it then counts with the later rating.",
                code="held_before",
            )
        age = rewards_counted_since(conn, sound[0].seq, tenant=event.tenant)
        return replace(free, revises=sound[-1].reward, revised_age=age)
    if any(e.held is None for e in of_call):
        raise InvalidFeedback(
            f"The call of event {event.seq} counts already, by another event.",
            hint="A call counts once.",
            code="same_call",
        )
    later = [e for e in of_call if e.kind is FeedbackKind.REVISION and e.held and e.seq > event.seq]
    if not later:
        return free
    last = later[-1]
    return replace(
        free,
        reward=last.reward,
        rating=last.rating,
        rating_offered=last.rating_offered,
        rating_answered=last.rating_answered,
        answered_after_s=last.answered_after_s,
        signals=last.signals,
        components=last.components,
        missing=last.missing,
    )


def _of_same_call(conn: Connection, event: FeedbackRow) -> list[FeedbackRow]:
    return [] if event.call_ref is None else feedback_of_call(conn, event.call_ref)


def _released(event: FeedbackRow, of_call: Sequence[FeedbackRow]) -> bool:
    """Return whether the event counts by now, by its own release or as part of its call's."""
    for other in of_call:
        if other.held is not None or RELEASES not in other.context:
            continue
        if other.context[RELEASES] == event.seq:
            return True
        if event.kind is FeedbackKind.REVISION and other.rating == event.rating:
            return True
    return False
