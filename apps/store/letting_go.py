"""Letting go of calls: what leads to a person goes, and what was learned stays, of nobody."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, delete, select, update

from apps.store.adapter_tables import training_pool
from apps.store.call_tables import calls, llm_usage
from apps.store.feedback import RELEASE
from apps.store.knowledge_tables import rag_retrieval_log
from apps.store.learning_tables import decisions, feedback_events, shadow_results


@dataclass(frozen=True, slots=True)
class Kept:
    """How much one clean-up let go of: whole calls, and feedback cut loose from its call."""

    calls: int
    feedback: int


CUT_LOOSE = "anon-"
"""With this the references begin that lead to no call any more."""


def let_go(conn: Connection, refs: Sequence[str]) -> Kept:
    """Delete calls with their events, and cut what was learned from them loose.

    A decision and its feedback keep one common, random reference, so that what was learned can
    still be weighed by its propensity, but neither leads back to a call or a person any more.
    """
    removed = conn.execute(delete(calls).where(calls.c.call_ref.in_(refs))).rowcount
    conn.execute(delete(training_pool).where(training_pool.c.call_ref.in_(refs)))
    conn.execute(
        update(shadow_results).where(shadow_results.c.call_ref.in_(refs)).values(call_ref=None)
    )
    conn.execute(
        update(llm_usage).where(llm_usage.c.call_ref.in_(refs)).values(call_ref=None, turn_id=None)
    )
    conn.execute(
        update(rag_retrieval_log)
        .where(rag_retrieval_log.c.call_ref.in_(refs))
        .values(call_ref=None, turn_id=None)
    )
    loose = {ref: CUT_LOOSE + secrets.token_hex(12) for ref in refs}
    given = [{"old": ref, "new": new} for ref, new in loose.items()]
    if given:
        conn.execute(_LOOSE_DECISION, given)
    event = feedback_events.c
    found = conn.execute(
        select(event.seq, event.call_ref, event.event_id).where(event.call_ref.in_(refs))
    )
    changes = [
        {"at": row.seq, "new": loose[row.call_ref], "id": _loose_id(row.event_id)} for row in found
    ]
    if changes:
        conn.execute(_LOOSE_FEEDBACK, changes)
    return Kept(removed, len(changes))


_LOOSE_DECISION = (
    update(decisions)
    .where(decisions.c.call_ref == bindparam("old"))
    .values(call_ref=bindparam("new"), subject=None, context={})
)
_LOOSE_FEEDBACK = (
    update(feedback_events)
    .where(feedback_events.c.seq == bindparam("at"))
    .values(call_ref=bindparam("new"), subject=None, event_id=bindparam("id"))
)


def _loose_id(event_id: str) -> str:
    """Return an id that leads to no call; one made of a ``seq`` does not, and is needed.

    It keeps what was released from being released once more.
    """
    if event_id.startswith(RELEASE):
        return event_id
    return CUT_LOOSE + secrets.token_hex(12)
