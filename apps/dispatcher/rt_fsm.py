"""Sessions of the call FSM, and the policy router: each call gets its policy and pays it back.

The machine itself is a table in `call_fsm.py`. Here a call is created with the policy that the
bandit and the deploy guard choose for it, its events are applied, and its end becomes the reward of
that policy. `create_call_session` and `handle_call_event` are seed 004's API over the settings'
stores; a server has a `PolicyRouter` of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import structlog

from apps.core.clock import loop_ms
from apps.core.errors import IllegalEvent, StoreError, UnknownCall
from apps.core.events import CallEvent
from apps.core.ids import DEFAULT_TENANT, keyed_hash
from apps.core.policy import PolicySlots
from apps.dispatcher.call_fsm import step
from apps.dispatcher.call_state import Call, CallState, Effect, EndReason, Event
from apps.dispatcher.rating_tokens import RatingTokens
from apps.rl.defaults import default_hash_key, learning_enabled
from apps.rl.deploy_guard import DeployGuard
from apps.rl.selector import CallFeedback, Decision, Learned, PolicySelector
from apps.rl.signals import CallFacts, is_abandoned

__all__ = [
    "CallEvent",
    "CallSession",
    "CallState",
    "PolicyRouter",
    "create_call_session",
    "handle_call_event",
]

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class CallSession:
    """One call and its policy.

    Attributes:
        call_id: The id that the caller's side knows; never stored.
        call_ref: Its keyed hash, under which everything is stored.
        profile: The profile that answers.
        decision: The policy, its propensity, and why it was chosen.
        began_ms: Loop time of its creation.
        call: The state machine's value.
        rating: The caller's rating, once given.
        rating_offered: Whether the rating question was put.
        rating_answered: Whether the caller said anything to it.
        rates_later: Whether the caller's side can rate the call after its end.
        learned: What the call's end taught, once it is settled.
    """

    call_id: str
    call_ref: str
    profile: str
    decision: Decision
    began_ms: float
    call: Call = field(default_factory=Call)
    rating: int | None = None
    rating_offered: bool = False
    rating_answered: bool = False
    rates_later: bool = False
    learned: Learned | None = None

    @property
    def policy_variant(self) -> str:
        """The id of the chosen prompt variant."""
        return self.decision.variant

    @property
    def slots(self) -> PolicySlots:
        """What the policy changes."""
        return self.decision.slots

    @property
    def unrated(self) -> bool:
        """Whether the call has ended with a reward, and the caller said nothing of a rating."""
        rewarded = self.learned is not None and self.learned.reward is not None
        return rewarded and not self.rating_answered

    @property
    def state(self) -> CallState:
        """Where the call stands."""
        return self.call.state


class PolicyRouter:
    """The calls of one process, by id.

    Args:
        selector: Chooses a call's policy, and learns from its end.
        hash_key: Key of the pseudonyms under which calls are stored, and of the rating tokens.
        reward_window_s: So long after its end a call can be rated.
        now_s: Tells the Unix time, for tokens.
    """

    def __init__(
        self,
        selector: PolicySelector,
        hash_key: bytes,
        *,
        reward_window_s: float = 86_400,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self.selector, self._hash_key = selector, hash_key
        self._tokens, self._now_s = RatingTokens(hash_key, reward_window_s), now_s
        self._sessions: dict[str, CallSession] = {}

    def call_ref(self, call_id: str) -> str:
        """Return the pseudonym of a call id."""
        return keyed_hash(call_id, self._hash_key)

    def subject(self, caller: str) -> str | None:
        """Return the pseudonym of a caller's number or address; None for an unknown caller."""
        return keyed_hash(caller, self._hash_key, purpose="caller") if caller else None

    async def create(
        self,
        call_id: str,
        profile: str,
        context: Mapping[str, object] | None = None,
        *,
        caller: str = "",
        tenant: str = DEFAULT_TENANT,
    ) -> CallSession:
        """Create a call's session; its policy is chosen and stored before it acts.

        Raises:
            IllegalEvent: A call of this id is going on already.
        """
        if call_id in self._sessions:
            raise IllegalEvent("A call with this id is going on already.", code="call_exists")
        call_ref = self.call_ref(call_id)
        known = {"profile": profile, **(context or {})}
        decision = await self.selector.choose(
            call_ref, known, subject=self.subject(caller), tenant=tenant
        )
        session = CallSession(call_id, call_ref, profile, decision, loop_ms())
        self._sessions[call_id] = session
        return session

    def adapters_in_use(self) -> frozenset[str]:
        """Return the served names of the adapters that calls under way have."""
        found = (session.decision.adapter for session in self._sessions.values())
        return frozenset(name for name in found if name is not None)

    def session(self, call_id: str) -> CallSession:
        """Return a call's session.

        Raises:
            UnknownCall: There is no such call.
        """
        try:
            return self._sessions[call_id]
        except KeyError:
            raise UnknownCall(
                "There is no call with this id.", hint="Create it with create_call_session."
            ) from None

    def step(self, session: CallSession, event: Event) -> tuple[Effect, ...]:
        """Apply one event to a call.

        Raises:
            IllegalEvent: Its state does not allow the event; nothing has changed.
        """
        session.call, effects = step(session.call, event)
        if event.kind is CallEvent.RATING:
            session.rating, session.rating_answered = event.rating, True
        session.rating_offered = session.call.rating_asked
        return effects

    async def settle(self, session: CallSession, facts: CallFacts) -> Learned | None:
        """Turn an ended call into its policy's reward, once, and forget the session.

        Returns:
            What was learned; None when the store failed (logged) or there was no policy to pay.
        """
        self._sessions.pop(session.call_id, None)
        ratable = session.rates_later and not is_abandoned(facts)
        feedback = CallFeedback(
            facts=facts,
            profile=session.profile,
            rating=session.rating,
            rating_offered=session.rating_offered or ratable,
            rating_answered=session.rating_answered,
        )
        try:
            session.learned = await self.selector.learn(session.call_ref, feedback)
        except (StoreError, UnknownCall) as error:
            log.error("call_not_learned", code=error.code, reason=error.message)
        return session.learned

    def rating_token(self, session: CallSession) -> str:
        """Return a token with which the call can be rated after its end, from now on."""
        return self._tokens.give(session.call_ref, self._now_s())

    async def rate(self, token: str, rating: int) -> bool:
        """Rate a call after its end; also one that an earlier server took.

        Args:
            token: As `rating_token` gave it.
            rating: 1 to 5.

        Returns:
            False when the call has this rating already: nothing changes.

        Raises:
            ProtocolError: The token was not given here (``forbidden``), or is too old
                (``rating_expired``).
            UnknownCall: Nothing is kept of the call, or (``call_goes_on``) it is not settled yet.
            InvalidFeedback: It has another rating (``already_rated``), or nothing to rate.
            StoreError: The rating cannot be stored.
        """
        call = self._tokens.read(token, self._now_s())
        learned = await self.selector.rate(call.call_ref, rating, after_s=call.after_s)
        return learned.stored


@lru_cache(maxsize=1)
def default_router() -> PolicyRouter:
    """Return the router over the settings' stores, made once."""
    selector = PolicySelector(DeployGuard(), enabled=learning_enabled())
    return PolicyRouter(selector, default_hash_key())


async def create_call_session(
    call_id: str, profile: str, context: Mapping[str, object] | None = None
) -> CallSession:
    """Create a call and choose its policy (seed 004).

    Args:
        call_id: The call's id; stored as a keyed hash alone.
        profile: The profile that answers, for example ``kfz``.
        context: What else is known of the call, for example the time of day; nothing personal.

    Raises:
        IllegalEvent: A call of this id is going on already.
    """
    return await default_router().create(call_id, profile, context)


async def handle_call_event(
    call_id: str, event: CallEvent | Event, facts: CallFacts | None = None
) -> tuple[Effect, ...]:
    """Apply an event to a call; at its end its policy is rewarded by itself (seed 004).

    Args:
        call_id: A call made by `create_call_session`.
        event: The kind of the event, or a whole stamped event.
        facts: What happened in the call, for the reward; a call without any is counted as
            abandoned, not rewarded.

    Returns:
        The effects that the caller of this function has to carry out.

    Raises:
        UnknownCall: There is no such call.
        IllegalEvent: Its state does not allow the event; nothing has changed.
    """
    router = default_router()
    session = router.session(call_id)
    stamped = event if isinstance(event, Event) else Event(event, at_ms=loop_ms())
    effects = router.step(session, stamped)
    if session.state is CallState.ENDED:
        duration_s = (loop_ms() - session.began_ms) / 1000
        by_caller = session.call.end_reason in (EndReason.COMPLETED, EndReason.CALLER_HUNG_UP)
        known = facts or CallFacts(ended_by_caller=by_caller, duration_s=duration_s)
        await router.settle(session, known)
    return effects
