"""All that the store knows of choices and of what became of them, read once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from apps.core.ids import DEFAULT_TENANT
from apps.core.policy import PolicySlots
from apps.rl.trainer.calls import Gathered, Source, TrainingCall, gather
from apps.store.decisions import DecisionRow, decisions_since
from apps.store.feedback import FeedbackKind, FeedbackRow, feedback_since, store_id


@dataclass(frozen=True, slots=True)
class History:
    """Choices and feedback, both oldest first.

    Attributes:
        decisions: All choices.
        events: All feedback, held and administrative too.
        gathered: The calls that count, each with the reward that holds now.
    """

    decisions: tuple[DecisionRow, ...]
    events: tuple[FeedbackRow, ...]
    gathered: Gathered

    @property
    def calls(self) -> tuple[TrainingCall, ...]:
        """Return the calls that count."""
        return self.gathered.calls

    def holding(self, calls: Sequence[TrainingCall]) -> list[FeedbackRow]:
        """Return the event whose reward holds for each of these calls, under the call's variant."""
        newest = {
            event.call_ref: event
            for event in self.events
            if event.kind is not FeedbackKind.ADMIN
            and event.held is None
            and event.reward is not None
        }
        return [replace(newest[c.decision.call_ref], variant=c.variant) for c in calls]


def read(conn: Connection, *, newest: int | None = None, tenant: str = DEFAULT_TENANT) -> History:
    """Return what a store holds; it is only read.

    Args:
        conn: To the store.
        newest: Only this many of the newest calls count; None for all.
        tenant: Whose calls.

    Raises:
        StoreError: The store cannot be read.
    """
    decisions = tuple(decisions_since(conn, 0, tenant=tenant))
    events = tuple(feedback_since(conn, 0, tenant=tenant))
    source = Source(
        store_id(conn),
        events[-1].seq if events else 0,
        decisions[-1].seq if decisions else 0,
    )
    # Variants that no file knows any more were drawn like any other: without their calls the
    # probabilities of the rest would not be what happened. Their slots are not looked at here.
    slots = {d.variant: PolicySlots() for d in decisions}
    return History(decisions, events, gather(decisions, events, slots, source, newest=newest))
