"""What a call's end teaches, and what a rating that comes later changes: events, stored once.

A call has one event for its end, and at most one ``revision`` for a rating that came after it.
Which of the two held the rating, and in which order they were tried, makes no difference to how
often the call counts: once, with the one rating that it has.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import Connection

from apps.core.clock import utc_now
from apps.core.errors import InvalidFeedback, UnknownCall
from apps.rl.abuse import Sieve
from apps.rl.reward_calc import Reward, RewardCalculator
from apps.rl.signals import CallFacts, Signals, check_signals, is_abandoned, signals_of
from apps.store.decisions import DecisionRow, load_decision
from apps.store.feedback import (
    FeedbackKind,
    FeedbackRow,
    append_feedback,
    feedback_of_call,
    rewards_counted_since,
)

KNOWN_BEFORE = ("profile", "language", "time_of_day", "returning", "door")
"""What of a choice's context is kept with the call's feedback; the conditions come to it."""


@dataclass(frozen=True, slots=True)
class CallFeedback:
    """The end of a call, as learning sees it.

    Attributes:
        facts: What happened.
        profile: The profile that answered.
        rating: The caller's rating, 1 to 5, or None.
        rating_offered: The caller was asked for one, or could give one on their side at the end.
        rating_answered: The caller said something to that, be it "no rating".
    """

    facts: CallFacts
    profile: str
    rating: int | None = None
    rating_offered: bool = False
    rating_answered: bool = False


@dataclass(frozen=True, slots=True)
class Learned:
    """What a call's end, or its late rating, has taught.

    Attributes:
        variant: The call's variant.
        signals: What the reward was made of.
        reward: The reward; None when the call was abandoned.
        stored: False when this call's feedback was there already (and nothing has changed).
        learns: Whether the bandit counts it.
        held: Why it does not count though its call may teach: see ``abuse.Reason``.
    """

    variant: str
    signals: Signals
    reward: Reward | None
    stored: bool
    learns: bool
    held: str | None = None


@dataclass(frozen=True, slots=True)
class Settler:
    """Stores what calls teach; each method runs inside one write transaction.

    Attributes:
        calculator: Makes the rewards.
        learns: False stores the feedback of the calls, and lets it move nothing.
        sieve: Holds feedback that no honest caller gives.
        clock: Tells the present.
    """

    calculator: RewardCalculator
    learns: bool
    sieve: Sieve = field(default_factory=Sieve)
    clock: Callable[[], datetime] = utc_now

    def end(self, conn: Connection, call_ref: str, feedback: CallFeedback) -> Learned:
        """Store a call's end.

        Raises:
            UnknownCall: No variant was chosen for this call.
            InvalidFeedback: The rating cannot be.
        """
        decision = load_decision(conn, call_ref)
        if decision is None:
            raise UnknownCall("No variant was chosen for this call, so none can be rewarded.")
        event = self.sieve.sift(conn, self._end_event(decision, feedback))
        if append_feedback(conn, event):
            return _learned(event)
        stored = _event(conn, call_ref, event.event_id)
        assert stored is not None
        return _learned(stored, stored=False)

    def rate(self, conn: Connection, call_ref: str, rating: int, after_s: float) -> Learned:
        """Store a rating that came after its call's end: the reward is computed anew with it.

        Args:
            conn: A connection.
            call_ref: Keyed hash of the call's id.
            rating: 1 to 5.
            after_s: Seconds since the call's end.

        Raises:
            UnknownCall: Nothing is known of the call (any more); code ``call_goes_on`` while it
                has not been settled.
            InvalidFeedback: The rating cannot be; code ``already_rated``: the call has another
                one; code ``not_rewarded``: the call ended before its first answer.
        """
        end = _event(conn, call_ref, _end_id(call_ref))
        if end is None:
            raise _unsettled(load_decision(conn, call_ref) is not None)
        signals = check_signals({**end.signals, "user_rating": rating})
        late = _event(conn, call_ref, _rating_id(call_ref))
        if late is None and end.rating is None:
            event = self.sieve.sift(conn, self._revision(conn, end, signals, after_s))
            if append_feedback(conn, event):
                return _learned(event)
            late = _event(conn, call_ref, event.event_id)  # another process was faster
        rated = late or end
        if rated.rating != rating:
            raise InvalidFeedback(
                "This call has been rated already.",
                hint="A call counts once, with the first rating.",
                code="already_rated",
            )
        return _learned(rated, stored=False)

    def _end_event(self, decision: DecisionRow, feedback: CallFeedback) -> FeedbackRow:
        facts = feedback.facts
        abandoned = is_abandoned(facts)
        signals = signals_of(facts, feedback.rating)
        reward = None if abandoned else self.calculator.calculate(signals)
        known = {key: decision.context[key] for key in KNOWN_BEFORE if key in decision.context}
        return FeedbackRow(
            event_id=_end_id(decision.call_ref),
            kind=FeedbackKind.ABANDONED if abandoned else FeedbackKind.FEEDBACK,
            variant=decision.variant,
            reward=None if reward is None else reward.value,
            call_ref=decision.call_ref,
            profile=feedback.profile,
            rating=feedback.rating,
            rating_offered=feedback.rating_offered,
            rating_answered=feedback.rating_answered or feedback.rating is not None,
            answered_after_s=None if feedback.rating is None else 0.0,
            flags=tuple(flag.value for flag in facts.flags),
            context={**known, **facts.conditions},
            signals=signals.model_dump(),
            components={} if reward is None else reward.components,
            missing=() if reward is None else reward.missing,
            learns=decision.learns and self.learns,
            subject=decision.subject,
            tenant=decision.tenant,
            at_hour=self.clock(),
        )

    def _revision(
        self, conn: Connection, end: FeedbackRow, signals: Signals, after_s: float
    ) -> FeedbackRow:
        if end.reward is None or end.call_ref is None:
            raise InvalidFeedback(
                "This call ended before its first answer; there is nothing to rate.",
                code="not_rewarded",
            )
        reward = self.calculator.calculate(signals)
        standing = _standing(conn, end)
        return replace(
            end,
            event_id=_rating_id(end.call_ref),
            kind=FeedbackKind.REVISION,
            reward=reward.value,
            rating=signals.user_rating,
            rating_offered=True,
            rating_answered=True,
            answered_after_s=max(after_s, 0.0),
            signals=signals.model_dump(),
            components=reward.components,
            missing=reward.missing,
            revises=standing.reward,
            revised_age=rewards_counted_since(conn, standing.seq, tenant=end.tenant),
            held=standing.held,
            learns=end.learns and self.learns,
            at_hour=self.clock(),
            seq=0,
        )


def _end_id(call_ref: str) -> str:
    return f"call-{call_ref}"


def _rating_id(call_ref: str) -> str:
    return f"rating-{call_ref}"


def _event(conn: Connection, call_ref: str, event_id: str) -> FeedbackRow | None:
    events = feedback_of_call(conn, call_ref)
    return next((event for event in events if event.event_id == event_id), None)


def _standing(conn: Connection, end: FeedbackRow) -> FeedbackRow:
    """Return the event whose reward counts for the call: its end, or that end's release."""
    released = f"release-{end.seq}"
    return (_event(conn, end.call_ref or "", released) if end.held else None) or end


def _unsettled(chosen: bool) -> UnknownCall:
    if chosen:
        return UnknownCall(
            "This call has not been settled.", hint="Try again in a moment.", code="call_goes_on"
        )
    return UnknownCall("Nothing is known of this call any more.")


def _learned(event: FeedbackRow, *, stored: bool = True) -> Learned:
    reward = None
    if event.reward is not None:
        reward = Reward(event.reward, event.components, tuple(event.missing))
    signals = Signals.model_validate(event.signals)
    counts = event.learns and event.held is None
    return Learned(event.variant, signals, reward, stored, learns=counts, held=event.held)
