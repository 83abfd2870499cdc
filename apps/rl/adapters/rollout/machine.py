"""An adapter's roll-out as a finite state machine: a literal table, and one pure function.

The theory. An adapter is in exactly one `AdapterState`. What happens to it arrives as a `Happening`
(what, why, by whom). `step(rollout, happening)` looks the pair up in `TABLE` and returns where the
adapter stands then; a pair that the table lacks is illegal, raises, and changes nothing.

What has to be done follows from the state alone: `due(rollout)`. Each effect can be carried out
again without harm, and is due until what it leads to has happened. So whoever takes over after a
restart, at any step, does what is due and nothing else; no effect is lost, and none has to be
remembered. The happenings are stored, the state is their fold.

Everything that ends a roll-out goes by way of `DRAINING` and `UNLOADING`, so that no call loses the
adapter in the middle; where it ends was decided when it began to drain. What goes wrong with the
server, and not with the adapter, leads nowhere: it is tried again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from apps.core.errors import IllegalEvent
from apps.rl.adapters.record import AdapterState as S


class What(StrEnum):
    """What can happen to an adapter."""

    PASSED = "passed"
    """Its held-out loss and the golden prompts are good enough."""
    FAILED = "failed"
    """They are not."""
    PROMOTED = "promoted"
    """It is to be rolled out."""
    LOADED = "loaded"
    """The server serves it."""
    REFUSED = "refused"
    """The server, or the hash gate, does not take it."""
    ANSWERED = "answered"
    """A first answer by it is sound."""
    SPOILED = "spoiled"
    """A first answer by it is not."""
    GATE_OPEN = "gate_open"
    """The deploy guard lets it out of the shadow."""
    ESTABLISHED = "established"
    """The deploy guard is sure that it is not worse than the base variant."""
    CONFIRMED = "confirmed"
    """On the route it is surely not worse than what was there before."""
    SUPERSEDED = "superseded"
    """Another one has taken its place on the route."""
    STOPPED = "stopped"
    """The deploy guard has stopped it."""
    DRIFTED = "drifted"
    """Its answers are surely worse than the control's: quality, confidence, latency or reward."""
    RESTORED = "restored"
    """What took its place was rolled back: it is on the route again."""
    ROLLED_BACK = "rolled_back"
    """An operator took it back."""
    RETIRED = "retired"
    """An operator, or the confirmation of its successor, ended its time."""
    DRAINED = "drained"
    """No call uses it any more."""
    UNLOADED = "unloaded"
    """The server has let go of it."""


class Effect(StrEnum):
    """What has to be done in a state, by the driver; each may be done again without harm."""

    EVALUATE = "evaluate"
    """Wait for an evaluation (`tom adapters eval`)."""
    LOAD = "load"
    """Check its files and its base, and let the server load it."""
    SMOKE_TEST = "smoke_test"
    """Ask it something, and look at the answer."""
    OFFER_SHADOW = "offer_shadow"
    """Make it an arm of the deploy guard, in the shadow; watch its gate."""
    OFFER_CALLS = "offer_calls"
    """Let the arm have calls, within the guard's caps; watch it."""
    ROUTE = "route"
    """Give it to new calls of its domain, but to those of the control share; watch it."""
    HOLD = "hold"
    """Keep it loaded, for the control share and for a way back."""
    WITHDRAW = "withdraw"
    """Give it to no new call: its arm is removed; wait until none uses it."""
    UNLOAD = "unload"
    """Let the server let go of it."""


@dataclass(frozen=True, slots=True)
class Happening:
    """One event of a roll-out.

    Attributes:
        what: What happened.
        why: A sentence.
        actor: ``rollout`` for what the driver found, ``operator``, or ``training``.
        seq: The last feedback event by then: what comes after it tells of the new state.
        like: Of a promotion: the variant whose slots the adapter's arm has; empty for the base's.
    """

    what: What
    why: str = ""
    actor: str = "rollout"
    seq: int = 0
    like: str = ""


@dataclass(frozen=True, slots=True)
class Rollout:
    """Where one adapter stands; frozen, a fold of what happened.

    Attributes:
        state: Its state.
        number: How many happenings there were.
        ends: While it drains and unloads: the state that it ends in.
        why: The last happening's sentence; of what leaves, why it does.
        epoch: The number of the happening that began this roll-out; what is done once in a
            roll-out carries it.
        since: The last feedback event before it came into this state, or was confirmed in it.
        like: The variant whose slots its arm has; empty for the base variant's.
    """

    state: S = S.TRAINED
    number: int = 0
    ends: S | None = None
    why: str = ""
    epoch: int = 0
    since: int = 0
    like: str = ""


@dataclass(frozen=True, slots=True)
class Transition:
    """One entry of the table: where to, and, for what drains, where that ends."""

    to: S
    ends: S | None = None


_BACK = Transition(S.DRAINING, S.ROLLED_BACK)
_REJECT = Transition(S.DRAINING, S.REJECTED)
_RETIRE = Transition(S.DRAINING, S.RETIRED)
_END = Transition(S.RETIRED)

TABLE: dict[tuple[S, What], Transition] = {
    # Nothing is loaded yet.
    (S.TRAINED, What.PASSED): Transition(S.EVALUATED),
    (S.TRAINED, What.FAILED): Transition(S.REJECTED),
    (S.TRAINED, What.RETIRED): _END,
    (S.EVALUATED, What.PASSED): Transition(S.EVALUATED),
    (S.EVALUATED, What.FAILED): Transition(S.REJECTED),
    (S.EVALUATED, What.PROMOTED): Transition(S.LOADING),
    (S.EVALUATED, What.RETIRED): _END,
    # It is brought to the server, and no caller hears it.
    (S.LOADING, What.LOADED): Transition(S.SMOKE),
    (S.LOADING, What.REFUSED): Transition(S.REJECTED),
    (S.LOADING, What.ROLLED_BACK): _BACK,
    (S.LOADING, What.RETIRED): _RETIRE,
    (S.SMOKE, What.ANSWERED): Transition(S.SHADOW),
    (S.SMOKE, What.SPOILED): _REJECT,
    (S.SMOKE, What.ROLLED_BACK): _BACK,
    (S.SMOKE, What.RETIRED): _RETIRE,
    (S.SHADOW, What.GATE_OPEN): Transition(S.CANARY),
    (S.SHADOW, What.STOPPED): _BACK,
    (S.SHADOW, What.REFUSED): _REJECT,
    (S.SHADOW, What.ROLLED_BACK): _BACK,
    (S.SHADOW, What.RETIRED): _RETIRE,
    # Callers hear it.
    (S.CANARY, What.ESTABLISHED): Transition(S.ACTIVE),
    (S.CANARY, What.STOPPED): _BACK,
    (S.CANARY, What.DRIFTED): _BACK,
    (S.CANARY, What.REFUSED): _BACK,
    (S.CANARY, What.ROLLED_BACK): _BACK,
    (S.CANARY, What.RETIRED): _RETIRE,
    (S.ACTIVE, What.CONFIRMED): Transition(S.ACTIVE),
    (S.ACTIVE, What.SUPERSEDED): Transition(S.STANDBY),
    (S.ACTIVE, What.DRIFTED): _BACK,
    (S.ACTIVE, What.REFUSED): _BACK,
    (S.ACTIVE, What.ROLLED_BACK): _BACK,
    (S.ACTIVE, What.RETIRED): _RETIRE,
    (S.STANDBY, What.RESTORED): Transition(S.ACTIVE),
    (S.STANDBY, What.REFUSED): _BACK,
    (S.STANDBY, What.ROLLED_BACK): _BACK,
    (S.STANDBY, What.RETIRED): _RETIRE,
    # It leaves.
    (S.DRAINING, What.DRAINED): Transition(S.UNLOADING),
    (S.UNLOADING, What.UNLOADED): Transition(S.RETIRED),  # or wherever `ends` says
    # Another try: what was rejected or taken back is evaluated anew first.
    (S.REJECTED, What.PASSED): Transition(S.EVALUATED),
    (S.ROLLED_BACK, What.PASSED): Transition(S.EVALUATED),
    (S.RETIRED, What.PASSED): Transition(S.EVALUATED),
}

DUE: dict[S, tuple[Effect, ...]] = {
    S.TRAINED: (Effect.EVALUATE,),
    S.EVALUATED: (),
    S.LOADING: (Effect.LOAD,),
    S.SMOKE: (Effect.LOAD, Effect.SMOKE_TEST),
    S.SHADOW: (Effect.LOAD, Effect.OFFER_SHADOW),
    S.CANARY: (Effect.LOAD, Effect.OFFER_CALLS),
    S.ACTIVE: (Effect.LOAD, Effect.ROUTE),
    S.STANDBY: (Effect.LOAD, Effect.HOLD),
    S.DRAINING: (Effect.WITHDRAW,),
    S.UNLOADING: (Effect.WITHDRAW, Effect.UNLOAD),
    S.RETIRED: (),
    S.REJECTED: (),
    S.ROLLED_BACK: (),
}
"""What has to be done in each state. ``LOAD`` is due in all states between, since a server that is
started again has lost what it had."""

HEARD = frozenset({S.CANARY, S.ACTIVE, S.STANDBY})
"""The states in which new calls may get an adapter."""

WANTED = frozenset(state for state, effects in DUE.items() if Effect.LOAD in effects)
"""The states in which a server should have an adapter."""

OVER = frozenset({S.RETIRED, S.REJECTED, S.ROLLED_BACK})
"""The states in which a roll-out ends."""


def step(rollout: Rollout, happening: Happening) -> Rollout:
    """Apply one happening.

    Raises:
        IllegalEvent: The state does not allow it; nothing has changed.
    """
    found = TABLE.get((rollout.state, happening.what))
    if found is None:
        allowed = ", ".join(what for state, what in TABLE if state is rollout.state) or "nothing"
        raise IllegalEvent(
            f"An adapter that is {rollout.state} cannot be {happening.what}.",
            hint=f"What can happen to it now: {allowed}.",
        )
    to, ends = found.to, found.ends
    if rollout.state is S.DRAINING:
        ends = rollout.ends
    if rollout.state is S.UNLOADING and rollout.ends is not None:
        to = rollout.ends
    begins = happening.what is What.PROMOTED
    number = rollout.number + 1
    # Once it is confirmed it is held against the base model, no longer against the one before.
    leaves = rollout.state in (S.DRAINING, S.UNLOADING)
    renews = to is not rollout.state or happening.what is What.CONFIRMED
    return Rollout(
        to,
        number,
        ends,
        rollout.why if leaves else happening.why,
        number if begins else rollout.epoch,
        happening.seq if renews else rollout.since,
        happening.like if begins else rollout.like,
    )


def due(rollout: Rollout) -> tuple[Effect, ...]:
    """Return what has to be done now, in this order."""
    return DUE[rollout.state]


def fold(happenings: Iterable[Happening], rollout: Rollout | None = None) -> Rollout:
    """Return where an adapter stands after all that happened.

    Raises:
        IllegalEvent: Something happened that cannot; it was not stored by this machine.
    """
    rollout = rollout or Rollout()
    for happening in happenings:
        rollout = step(rollout, happening)
    return rollout


def can(rollout: Rollout, what: What) -> bool:
    """Return whether something can happen now."""
    return (rollout.state, what) in TABLE
