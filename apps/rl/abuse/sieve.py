"""The shell around ``judge``: asks the store, and marks the event that is about to be appended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType

from sqlalchemy import Connection

from apps.core.clock import utc_hour, utc_now
from apps.rl.abuse.evidence import History, Limits, Peer, Told
from apps.rl.abuse.judge import Verdict, judge, judge_abandoned
from apps.store.feedback import FeedbackKind, FeedbackRow, feedback_of_call
from apps.store.suspicion import any_decision, events_of_subject, latest_rewards, variant_of_call

QUALITY = "quality"
"""Under this name an event's context keeps its quality score and the score's parts."""
WINSORISED = "winsorised"
"""The reward's component that is what winsorising takes or gives; the others sum to the raw one."""


class Sieve:
    """Decides for each event whether it counts, and with which reward.

    Args:
        limits: What is too much.
        clock: Tells the present, for events that name no hour.
    """

    def __init__(
        self, limits: Limits | None = None, *, clock: Callable[[], datetime] = utc_now
    ) -> None:
        self.limits = limits or Limits()
        self._clock = clock

    def sift(self, conn: Connection, event: FeedbackRow) -> FeedbackRow:
        """Return the event as it is to be appended: held or not, its reward winsorised.

        To be called in the transaction that appends it, so that no two events of one caller pass
        where one may. Events set by hand, or of calls that do not learn, come back as they are.

        Args:
            conn: A connection that may write.
            event: The event; its reward is the raw one.
        """
        if not event.learns or event.kind is FeedbackKind.ADMIN:
            return event
        event = replace(event, at_hour=utc_hour(event.at_hour or self._clock()))
        if event.kind is FeedbackKind.ABANDONED:
            held = judge_abandoned(
                told(event), self._history_of_abandoned(conn, event), self.limits
            )
            return replace(event, held=None if held is None else held.value)
        if event.reward is None:
            return event
        return marked(event, judge(told(event), self._history(conn, event), self.limits))

    def _history_of_abandoned(self, conn: Connection, event: FeedbackRow) -> History:
        """Return what came before a call without a reward, calls of its kind among it."""
        call, subject = event.call_ref, event.subject
        of_call = [] if call is None else feedback_of_call(conn, call)
        of_subject = (
            []
            if subject is None
            else events_of_subject(
                conn, subject, self.limits.history, tenant=event.tenant, abandoned=True
            )
        )
        return History(
            of_call=[told(e) for e in of_call],
            of_subject=[told(e) for e in of_subject if e.call_ref != call],
            call_variant=None if call is None else variant_of_call(conn, call),
        )

    def _history(self, conn: Connection, event: FeedbackRow) -> History:
        call, subject, tenant = event.call_ref, event.subject, event.tenant
        of_call = [] if call is None else feedback_of_call(conn, call)
        of_subject = (
            []
            if subject is None
            else events_of_subject(conn, subject, self.limits.history, tenant=tenant)
        )
        ours = None if call is None else variant_of_call(conn, call)
        peers = latest_rewards(conn, event.variant, self.limits.window, tenant=tenant)
        return History(
            of_call=[told(e) for e in of_call if e.reward is not None],
            of_subject=[told(e) for e in of_subject if e.reward is not None and e.call_ref != call],
            of_variant=[
                Peer(p.reward, p.subject, p.rating, p.duration_s, p.call_ref, p.here) for p in peers
            ],
            call_variant=ours,
            calls_here=ours is not None or any_decision(conn, tenant=tenant),
        )


def told(event: FeedbackRow) -> Told:
    """Return an event as far as abuse can be seen in it; one without a reward has 0."""
    return Told(
        variant=event.variant,
        reward=(event.reward or 0.0) - event.components.get(WINSORISED, 0.0),
        signals=MappingProxyType(dict(event.signals)),
        hour=0 if event.at_hour is None else int(event.at_hour.timestamp() // 3600),
        call_ref=event.call_ref,
        subject=event.subject,
        held=event.held,
        revision=event.kind is FeedbackKind.REVISION,
        abandoned=event.kind is FeedbackKind.ABANDONED,
    )


def marked(event: FeedbackRow, verdict: Verdict) -> FeedbackRow:
    """Return the event with what was found: the reason, the quality, and the reward that counts."""
    assert event.reward is not None
    cut = verdict.reward - event.reward
    found = {"score": round(verdict.quality.score, 4)}
    found |= {name: round(part, 4) for name, part in verdict.quality.parts.items()}
    return replace(
        event,
        held=None if verdict.held is None else verdict.held.value,
        reward=verdict.reward,
        components={**event.components, WINSORISED: cut} if cut else event.components,
        context={**event.context, QUALITY: found},
    )
