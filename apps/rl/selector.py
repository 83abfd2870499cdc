"""Chooses each call's variant, and learns from its end: what a live call needs of learning.

A choice is stored before it acts, and holds for the whole call. A call's feedback is stored once,
whatever happens; then the bandit folds it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import structlog
from sqlalchemy import Connection

from apps.core.errors import StoreError, UnknownCall
from apps.core.ids import DEFAULT_TENANT
from apps.core.policy import PolicySlots
from apps.rl.deploy_guard import DeployGuard
from apps.rl.observer import LearningObserver, tell_state
from apps.rl.propensity import Allocation, Stage
from apps.rl.reward_calc import Reward, RewardCalculator
from apps.rl.signals import CallFacts, Signals, is_abandoned, signals_of
from apps.store.decisions import DecisionRow, add_decision, load_decision
from apps.store.feedback import FeedbackKind, FeedbackRow, append_feedback, feedback_of_call

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Decision:
    """The variant of one call.

    Attributes:
        variant: Its id.
        propensity: The probability with which it was chosen, after the guard.
        propensities: The same of every variant.
        stages: Every variant's stage (``base``, ``new``, ...).
        why: Why it was chosen, in a sentence.
        learns: Whether this call's reward counts.
        state_version: The last feedback event that the choice knew of.
        slots: What the variant sets.
    """

    variant: str
    propensity: float
    propensities: Mapping[str, float]
    stages: Mapping[str, str]
    why: str
    learns: bool
    state_version: int
    slots: PolicySlots


@dataclass(frozen=True, slots=True)
class CallFeedback:
    """The end of a call, as learning sees it.

    Attributes:
        facts: What happened.
        profile: The profile that answered.
        rating: The caller's rating, 1 to 5, or None.
        rating_offered: The caller was asked for one.
        rating_answered: The caller said something to that, be it "no rating".
    """

    facts: CallFacts
    profile: str
    rating: int | None = None
    rating_offered: bool = False
    rating_answered: bool = False


@dataclass(frozen=True, slots=True)
class Learned:
    """What a call's end has taught.

    Attributes:
        variant: The call's variant.
        signals: What the reward was made of.
        reward: The reward; None when the call was abandoned.
        stored: False when this call's feedback was there already (and nothing has changed).
        learns: Whether the bandit counts it.
    """

    variant: str
    signals: Signals
    reward: Reward | None
    stored: bool
    learns: bool


class PolicySelector:
    """The live calls' way to the bandit.

    Args:
        guard: The deploy guard, with its bandit and their database.
        enabled: False gives every call the base variant, and nothing is learned.
        learns: False stores the feedback of the calls, and lets it move nothing: trial calls.
        calculator: Makes the rewards.
        observer: Is told what happens; may be None.
    """

    def __init__(
        self,
        guard: DeployGuard,
        *,
        enabled: bool = True,
        learns: bool = True,
        calculator: RewardCalculator | None = None,
        observer: LearningObserver | None = None,
    ) -> None:
        self._guard = guard
        self._db = guard.bandit.db
        self._enabled = enabled
        self._learns = enabled and learns
        self._calculator = calculator or RewardCalculator()
        self._observer = observer
        self._tell()

    async def choose(
        self,
        call_ref: str,
        context: Mapping[str, object],
        *,
        subject: str | None = None,
        tenant: str = DEFAULT_TENANT,
    ) -> Decision:
        """Return the call's variant; the first choice is stored, and holds.

        Where the store fails, the call gets the base variant and teaches nothing: a caller does
        not have to wait for a disk to be repaired. That is logged as an error.

        Args:
            call_ref: Keyed hash of the call's id.
            context: What is known of the call; nothing personal.
            subject: The caller's pseudonymous key, where there is one.
            tenant: Whose call it is.
        """
        try:
            decision, fresh = await self._db.run(
                self._choose, call_ref, dict(context), subject, tenant
            )
        except StoreError as error:
            log.error("policy_not_stored", error=error.message)
            return self._base_decision("The choice could not be stored: the base variant serves.")
        if fresh and self._observer is not None:
            self._observer.policy_chosen(decision.variant, decision.propensity)
        return decision

    async def learn(self, call_ref: str, feedback: CallFeedback) -> Learned:
        """Store a call's feedback, once, and let the bandit fold it.

        Raises:
            UnknownCall: No variant was chosen for this call (or the choice could not be stored).
            InvalidFeedback: The rating cannot be.
            StoreError: The feedback cannot be stored; it may be tried again.
        """
        learned = await self._db.run(self._learn, call_ref, feedback)
        # Only what is committed is folded: hence a look of its own.
        if await self._db.query(self._guard.refresh):
            await self._save()
        if learned.stored:
            self._tell(learned)
        return learned

    async def _save(self) -> None:
        try:
            await asyncio.to_thread(self._guard.bandit.save)
        except StoreError as error:  # the feedback is stored; a snapshot only saves time
            log.error("bandit_snapshot_not_written", error=error.message)

    async def outlook(self) -> Allocation:
        """Return the probabilities of the next call's choice, with all that is stored by now."""
        await self._db.query(self._guard.refresh)
        return self._allocation()

    def _choose(
        self,
        conn: Connection,
        call_ref: str,
        context: dict[str, object],
        subject: str | None,
        tenant: str,
    ) -> tuple[Decision, bool]:
        stored = load_decision(conn, call_ref)
        if stored is not None:
            return self._decision(stored), False
        self._guard.refresh(conn)
        now = self._allocation()
        variant = self._guard.draw(now)
        row = DecisionRow(
            call_ref=call_ref,
            variant=variant,
            propensity=now.probabilities[variant],
            propensities=now.probabilities,
            stages={name: stage.value for name, stage in now.stages.items()},
            why=self._why(variant, now),
            learns=self._learns,
            state_version=self._guard.bandit.state.last_seq,
            context=context,
            subject=subject,
            tenant=tenant,
        )
        return self._decision(add_decision(conn, row)), True

    def _learn(self, conn: Connection, call_ref: str, feedback: CallFeedback) -> Learned:
        decision = load_decision(conn, call_ref)
        if decision is None:
            raise UnknownCall("No variant was chosen for this call, so none can be rewarded.")
        abandoned = is_abandoned(feedback.facts)
        signals = signals_of(feedback.facts, feedback.rating)
        reward = None if abandoned else self._calculator.calculate(signals)
        event = FeedbackRow(
            event_id=f"call-{call_ref}",
            kind=FeedbackKind.ABANDONED if abandoned else FeedbackKind.FEEDBACK,
            variant=decision.variant,
            reward=None if reward is None else reward.value,
            call_ref=call_ref,
            profile=feedback.profile,
            rating=feedback.rating,
            rating_offered=feedback.rating_offered,
            rating_answered=feedback.rating_answered or feedback.rating is not None,
            signals=signals.model_dump(),
            components={} if reward is None else reward.components,
            missing=() if reward is None else reward.missing,
            learns=decision.learns and self._learns,
            subject=decision.subject,
            tenant=decision.tenant,
        )
        if not append_feedback(conn, event):
            before = feedback_of_call(conn, call_ref)
            return _stored_before(next(e for e in before if e.event_id == event.event_id))
        return Learned(decision.variant, signals, reward, stored=True, learns=event.learns)

    def _allocation(self) -> Allocation:
        now = self._guard.allocation()
        if self._enabled:
            return now
        base = self._guard.rules.base_variant
        return Allocation(
            {name: float(name == base) for name in now.probabilities}, now.stages, now.reasons
        )

    def _why(self, variant: str, now: Allocation) -> str:
        if not self._enabled:
            return f"Learning is switched off: every call gets the base variant {variant}."
        return f"Drawn with probability {now.probabilities[variant]:.3f}. {now.reasons[variant]}"

    def _base_decision(self, why: str) -> Decision:
        bandit, base = self._guard.bandit, self._guard.rules.base_variant
        return Decision(
            variant=base,
            propensity=1.0,
            propensities={name: float(name == base) for name in bandit.variants},
            stages={base: Stage.BASE.value},
            why=why,
            learns=False,
            state_version=bandit.state.last_seq,
            slots=self._slots(base),
        )

    def _decision(self, row: DecisionRow) -> Decision:
        return Decision(
            variant=row.variant,
            propensity=row.propensity,
            propensities=row.propensities,
            stages=row.stages,
            why=row.why,
            learns=row.learns,
            state_version=row.state_version,
            slots=self._slots(row.variant),
        )

    def _slots(self, variant: str) -> PolicySlots:
        """Return a variant's slots; the base variant's for one no longer in the policy file."""
        variants = self._guard.bandit.variants
        return variants.get(variant, variants[self._guard.rules.base_variant]).slots

    def _tell(self, learned: Learned | None = None) -> None:
        if self._observer is None:
            return
        if learned is not None:
            self._observer.feedback_stored(learned.variant)
            if learned.reward is not None:
                rating = learned.signals.user_rating
                self._observer.rewarded(learned.variant, learned.reward.value, rating)
        tell_state(self._observer, self._guard)


def _stored_before(event: FeedbackRow) -> Learned:
    reward = None
    if event.reward is not None:
        reward = Reward(event.reward, event.components, tuple(event.missing))
    signals = Signals.model_validate(event.signals)
    return Learned(event.variant, signals, reward, stored=False, learns=event.learns)
