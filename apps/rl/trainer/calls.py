"""What the trainer learns from: each call's choice with the reward that holds for it now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from apps.core.ids import DEFAULT_TENANT
from apps.core.policy import PolicySlots
from apps.store.decisions import DecisionRow, decisions_since
from apps.store.feedback import (
    FeedbackKind,
    FeedbackRow,
    feedback_since,
    last_feedback_seq,
    store_id,
)

NO_FEEDBACK = "no feedback yet"
ABANDONED = "abandoned before the first answer"
DOES_NOT_LEARN = "not meant for learning"
HELD = "feedback held as doubtful"
UNKNOWN_VARIANT = "of a variant whose slots are not known any more"


@dataclass(frozen=True, slots=True)
class TrainingCall:
    """One call that the trainer may learn from.

    Attributes:
        decision: The stored choice, with the probabilities of all variants.
        slots: What the variant set.
        reward: The reward that holds, late ratings included, in [-1, 1].
        components: The reward's terms by signal; one that is not known is not there.
        context: What is known of the call: at its choice, and at its end where that says more.
        caller: Who called: the pseudonymous key, or the call itself where there is none.
    """

    decision: DecisionRow
    slots: PolicySlots
    reward: float
    components: Mapping[str, float]
    context: Mapping[str, object]
    caller: str

    @property
    def variant(self) -> str:
        """Return the variant's id."""
        return self.decision.variant


@dataclass(frozen=True, slots=True)
class Source:
    """Which data a training rests on.

    Attributes:
        store: The database's id.
        last_feedback: The newest feedback event that was read.
        last_decision: The newest decision that was read.
    """

    store: str
    last_feedback: int
    last_decision: int


@dataclass(frozen=True, slots=True)
class Gathered:
    """The calls to learn from, oldest first, and why the others are none.

    Attributes:
        calls: Those that count.
        left_out: How many do not, by reason.
        source: Where they are from.
        served: Every variant that any decision chose.
    """

    calls: tuple[TrainingCall, ...]
    left_out: Mapping[str, int]
    source: Source
    served: frozenset[str] = frozenset()


def read(
    conn: Connection,
    slots: Mapping[str, PolicySlots],
    *,
    newest: int | None = None,
    tenant: str = DEFAULT_TENANT,
) -> Gathered:
    """Return what a store holds to learn from; it is only read.

    Args:
        conn: To the store.
        slots: What each known variant sets.
        newest: Only this many of the newest calls; None for all.
        tenant: Whose calls.

    Raises:
        StoreError: The store cannot be read.
    """
    decisions = decisions_since(conn, 0, tenant=tenant)
    source = Source(
        store_id(conn),
        last_feedback_seq(conn, tenant=tenant),
        decisions[-1].seq if decisions else 0,
    )
    return gather(decisions, feedback_since(conn, 0, tenant=tenant), slots, source, newest=newest)


def gather(
    decisions: Sequence[DecisionRow],
    feedback: Iterable[FeedbackRow],
    slots: Mapping[str, PolicySlots],
    source: Source,
    *,
    newest: int | None = None,
) -> Gathered:
    """Join choices with their feedback; both in the order of the store."""
    events: dict[str, list[FeedbackRow]] = {}
    for event in feedback:
        if event.call_ref is not None and event.kind is not FeedbackKind.ADMIN:
            events.setdefault(event.call_ref, []).append(event)
    left_out: Counter[str] = Counter()
    calls = []
    for decision in decisions:
        found = _call(decision, events.get(decision.call_ref, []), slots)
        if isinstance(found, str):
            left_out[found] += 1
        else:
            calls.append(found)
    kept = calls if newest is None else calls[-newest:]
    return Gathered(tuple(kept), dict(left_out), source, frozenset(d.variant for d in decisions))


def _call(
    decision: DecisionRow, events: Sequence[FeedbackRow], slots: Mapping[str, PolicySlots]
) -> TrainingCall | str:
    """Return the call, or why it is none to learn from."""
    if not decision.learns or any(not event.learns for event in events):
        return DOES_NOT_LEARN
    if decision.variant not in slots:
        return UNKNOWN_VARIANT
    if not events:
        return NO_FEEDBACK
    # One that was held and then released stands there twice: the second one is sound.
    sound = [e for e in events if e.held is None]
    first = next((e for e in sound if e.kind is not FeedbackKind.REVISION), None)
    if first is None:
        return HELD
    last = [e for e in sound if e.reward is not None]
    if not last:
        return ABANDONED
    context = {**decision.context, **{k: v for k, v in first.context.items() if v is not None}}
    if first.profile is not None:
        context.setdefault("profile", first.profile)
    if decision.adapter is not None:
        context["adapter"] = decision.adapter
    reward = last[-1].reward
    assert reward is not None
    return TrainingCall(
        decision=decision,
        slots=slots[decision.variant],
        reward=float(reward),
        components=last[-1].components or first.components,
        context=context,
        caller=decision.subject or f"call {decision.call_ref}",
    )
