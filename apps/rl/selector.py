"""Chooses each call's variant, and learns from its end: what a live call needs of learning.

A choice is stored before it acts, and holds for the call. A call's feedback is stored once
(``settle.py``); then the bandit folds it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from datetime import datetime

import structlog
from sqlalchemy import Connection

from apps.core.clock import utc_now
from apps.core.coalesce import Coalesced
from apps.core.errors import StoreError
from apps.core.ids import DEFAULT_TENANT
from apps.core.policy import Treatment
from apps.rl.abuse import Limits, Sieve
from apps.rl.adapters.rollout.assignment import NO_ADAPTERS, Assignments
from apps.rl.adapters.rollout.desk import AdapterDesk
from apps.rl.decision import Decision
from apps.rl.deploy_guard import DeployGuard
from apps.rl.guard.memory import log_acts
from apps.rl.observer import LearningObserver, tell_state
from apps.rl.propensity import Allocation, Stage
from apps.rl.reward_calc import RewardCalculator
from apps.rl.settle import CallFeedback, Learned, Settler
from apps.rl.variants import PolicyVariant
from apps.store.calls import has_called
from apps.store.decisions import DecisionRow, add_decision, load_decision

__all__ = ["CallFeedback", "Decision", "Learned", "PolicySelector"]

log = structlog.get_logger(__name__)


class PolicySelector:
    """The live calls' way to the bandit.

    Args:
        guard: The deploy guard, with its bandit and their database.
        enabled: False gives every call the base variant, and nothing is learned.
        learns: False stores the feedback of the calls, and lets it move nothing: trial calls.
        calculator: Makes the rewards.
        observer: Is told what happens; may be None.
        engines: Which engines serve, by role (``llm``, ``stt.en``, ``tts.en``, ...): part of
            what is tried, and stored with each choice.
        limits: What is too much of one caller; see ``abuse.Limits``.
        adapters: Knows which adapters there are; None where no server serves any.
        clock: Tells the present.
    """

    def __init__(
        self,
        guard: DeployGuard,
        *,
        enabled: bool = True,
        learns: bool = True,
        calculator: RewardCalculator | None = None,
        observer: LearningObserver | None = None,
        engines: Mapping[str, str] | None = None,
        limits: Limits | None = None,
        adapters: AdapterDesk | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._guard, self._db = guard, guard.bandit.db
        self._enabled, self._learns = enabled, enabled and learns
        self._clock = clock
        self.settler = Settler(calculator or RewardCalculator(), self._learns, Sieve(limits), clock)
        self._observer = observer
        self._fold = Coalesced(self._fold_once)
        self._engines = dict(engines or {})
        self._adapters = adapters
        self._assignments = NO_ADAPTERS
        self._tell_state()

    @property
    def guard(self) -> DeployGuard:
        """The deploy guard that the calls get their variants from."""
        return self._guard

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
                self.decide, call_ref, dict(context), subject, tenant
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
        learned = await self._db.join(self.settler.end, call_ref, feedback)
        await self._fold()
        if learned.stored:
            self._tell(learned)
        return learned

    async def rate(self, call_ref: str, rating: int, *, after_s: float) -> Learned:
        """Store a rating that came after its call's end, once, and let the bandit fold it.

        Args:
            call_ref: Keyed hash of the call's id.
            rating: 1 to 5.
            after_s: Seconds since the call's end.

        Raises:
            UnknownCall: Nothing is known of the call, or (``call_goes_on``) it is not settled.
            InvalidFeedback: The rating cannot be; or the call has another one (``already_rated``);
                or it ended before its first answer (``not_rewarded``).
            StoreError: The rating cannot be stored; it may be tried again.
        """
        learned = await self._db.join(self.settler.rate, call_ref, rating, after_s)
        await self._fold()
        if learned.stored and self._observer is not None:
            self._observer.rated_late(learned.variant, rating)
            if learned.held is not None:
                self._observer.feedback_held(learned.held)
        return learned

    def in_shadow(self, profile: str = "") -> dict[str, Treatment]:
        """Return the variants that answer a profile's turns unheard, with what they try.

        One whose adapter is not loaded waits: the base model's answers would say nothing of it.
        """
        if not self._learns:
            return {}
        stages = self._guard.state.stages
        found = {n: self._variant(n).treatment for n, s in stages.items() if s is Stage.SHADOW}
        can = self._assignments.can_try
        return {n: t for n, t in found.items() if t.adapter is None or can(t.adapter, profile)}

    async def _fold_once(self) -> None:
        # Only what is committed is folded: hence a look of its own.
        changed = await self._db.query(self._guard.refresh)
        if self._guard.state.pending:
            acts = await self._db.run(self._guard.store_pending)
            log_acts(acts)
            if self._observer is not None:
                for act in acts:
                    self._observer.guard_acted(act.action)
            await self._db.query(self._guard.refresh)
        if changed:
            await self._save()
            self._tell_state()

    async def _save(self) -> None:
        try:
            await asyncio.to_thread(self._guard.save)
        except StoreError as error:  # the feedback is stored; a snapshot only saves time
            log.error("bandit_snapshot_not_written", error=error.message)

    async def outlook(self) -> Allocation:
        """Return the probabilities of the next call's choice, with all that is stored by now."""
        await self._db.query(self._guard.refresh)
        if self._adapters is not None:
            await self._db.query(self.look_at_adapters)
        return self._allocation()

    def look_at_adapters(self, conn: Connection) -> Assignments:
        """Return which adapters calls may get now; for ``Database.query`` too."""
        if self._adapters is not None:
            self._assignments = self._adapters.current(conn)
        return self._assignments

    def decide(
        self,
        conn: Connection,
        call_ref: str,
        context: dict[str, object],
        subject: str | None,
        tenant: str = DEFAULT_TENANT,
    ) -> tuple[Decision, bool]:
        """Return a call's variant and whether it is new, inside one write transaction."""
        stored = load_decision(conn, call_ref)
        if stored is not None:
            return self._decision(stored), False
        self._guard.refresh(conn)
        if subject is not None and "returning" not in context:
            context["returning"] = has_called(conn, subject, tenant=tenant)
        # The seats are counted in the transaction that takes one, so that none is taken twice.
        adapters = self.look_at_adapters(conn)
        now = self._allocation(context, self._guard.full_stages(conn))
        variant = self._guard.draw(now)
        own, profile = self._variant(variant).adapter, context.get("profile")
        if self._adapters is not None:
            self._adapters.asked_for(adapters.wanted(profile))
        # Without learning nobody would look at the control's calls.
        given = adapters.give(own, profile, self._guard.random if self._learns else None)
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
            stage=now.stages[variant].value,
            policy=self._guard.bandit.state.policy.kind,
            adapter=given.adapter,
            route=given.route,
            route_chance=given.chance,
            engines=self._engines_of(context.get("language")),
            tenant=tenant,
            at_hour=self._clock(),
        )
        return self._decision(add_decision(conn, row)), True

    def _engines_of(self, language: object) -> dict[str, str]:
        """Return the engine of each role that a call in this language has."""
        served = {role.partition(".")[::2]: name for role, name in self._engines.items()}
        return {role: name for (role, of), name in served.items() if of in ("", language)}

    def _allocation(
        self, context: Mapping[str, object] | None = None, full: Collection[Stage] = ()
    ) -> Allocation:
        barred = self._assignments.barred(
            self._guard.bandit.variants, (context or {}).get("profile")
        )
        now = self._guard.allocation(context, full=full, barred=barred)
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
            slots=self._variant(base).slots,
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
            slots=self._variant(row.variant).slots,
            adapter=row.adapter,
            watched=row.route is not None or self._compares(row.propensities),
        )

    def _compares(self, propensities: Mapping[str, float]) -> bool:
        """Return whether a variant with an adapter of its own had a chance of the call."""
        chances = propensities.items()
        return any(p > 0.0 and self._variant(name).adapter is not None for name, p in chances)

    def _variant(self, variant: str) -> PolicyVariant:
        """Return a variant; the base variant for one no longer in the policy file."""
        variants = self._guard.bandit.variants
        return variants.get(variant, variants[self._guard.rules.base_variant])

    def _tell(self, learned: Learned) -> None:
        if self._observer is None:
            return
        self._observer.feedback_stored(learned.variant)
        if learned.held is not None:
            self._observer.feedback_held(learned.held)
        if learned.reward is not None:
            rating = learned.signals.user_rating
            self._observer.rewarded(learned.variant, learned.reward.value, rating)

    def _tell_state(self) -> None:
        if self._observer is not None:
            tell_state(self._observer, self._guard)
