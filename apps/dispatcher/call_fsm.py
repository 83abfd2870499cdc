"""The call as a finite state machine: a literal table, and one pure function that applies it.

The theory. A call is in exactly one `CallState`. What happens to it arrives as an `Event`: a
`CallEvent` kind that the shell has stamped with its time and, inside a turn, its turn id.
`step(call, event)` looks the pair (state, kind) up in `TABLE` and returns the call's next value and
the effects that the shell has to carry out. Nothing here reads a clock, waits or speaks, so feeding
a recorded log through `step` again gives the same decisions.

A *turn* is one thing the assistant does: the greeting, an answer, a prompt. Every turn has a new
id, and at most one is under way. A transition that interrupts a turn silences it first, so the
assistant never says two things at once. An event that carries an older turn's id is *late*: the
turn was cancelled while its work was still under way. A live call drops late events and counts
them (`is_late`); any other pair that the table lacks is illegal, raises, and changes nothing.

The diagram in docs/call-fsm.md is generated from the table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from apps.core.errors import IllegalEvent
from apps.core.events import CallEvent
from apps.dispatcher.call_state import (
    Accept,
    Act,
    Answer,
    Arm,
    Call,
    CallState,
    Disarm,
    Effect,
    End,
    EndReason,
    Event,
    Silence,
    Speak,
    Timer,
    Transfer,
)

Guard = Callable[[Call], bool]
Result = tuple[Call, tuple[Effect, ...]]
Outcome = Callable[[Call, Event], Result]


@dataclass(frozen=True, slots=True)
class Transition:
    """One row of the table: where to, what happens on the way, and when it applies."""

    to: CallState
    does: tuple[Outcome, ...] = ()
    when: Guard | None = None


Rows = tuple[Transition, ...]

MAX_SILENCES = 2
MAX_FAILURES = 3


def step(call: Call, event: Event) -> Result:
    """Apply one event to a call.

    Returns:
        The call's next value, and the effects in the order in which to carry them out.

    Raises:
        IllegalEvent: The state does not allow the event, or it is late; nothing has changed.
    """
    if is_late(call, event):
        raise IllegalEvent(
            f"{event.kind} belongs to turn {event.turn_id}, but turn {call.turn_id} is the newest.",
            hint="A live call drops late events of a cancelled turn.",
            code="late_event",
        )
    for transition in TABLE.get((call.state, event.kind), ()):
        if transition.when is None or transition.when(call):
            effects: tuple[Effect, ...] = ()
            for outcome in transition.does:
                call, more = outcome(call, event)
                effects += more
            return replace(call, state=transition.to), effects
    raise IllegalEvent(
        f"{event.kind} is not possible while a call is {call.state}.",
        hint="docs/call-fsm.md shows what each state allows.",
    )


def allows(call: Call, kind: CallEvent) -> bool:
    """Tell whether `step` would accept an event of this kind now."""
    return any(t.when is None or t.when(call) for t in TABLE.get((call.state, kind), ()))


def is_late(call: Call, event: Event) -> bool:
    """Tell whether an event belongs to a turn that is no longer the newest."""
    return event.turn_id is not None and event.turn_id != call.turn_id


# --- guards: what the table asks of a call


def _patient(call: Call) -> bool:
    """Fewer than two silences in a row so far."""
    return call.silences < MAX_SILENCES


def _recoverable(call: Call) -> bool:
    """Fewer than three failures in a row so far."""
    return call.failures < MAX_FAILURES


def _may_ask_rating(call: Call) -> bool:
    """Something was answered, and the rating was not asked for yet."""
    return call.answered > 0 and not call.rating_asked


def _caller_is_speaking(call: Call) -> bool:
    """The caller's voice is on."""
    return call.caller_speaking


# --- outcomes: what a transition does, composed in the table


def _remember(**changes: Any) -> Outcome:
    return lambda call, _: (replace(call, **changes), ())


def _do(effect: Effect) -> Outcome:
    return lambda call, _: (call, (effect,))


def _speak(act: Act) -> Outcome:
    def outcome(call: Call, _: Event) -> Result:
        call = replace(call, turn_id=call.turn_id + 1)
        return call, (Speak(call.turn_id, act),)

    return outcome


def _answer(call: Call, event: Event) -> Result:
    call = replace(call, turn_id=call.turn_id + 1, silences=0)
    return call, (Answer(call.turn_id, event.text),)


def _silence(call: Call, _: Event) -> Result:
    return call, (Silence(call.turn_id),)


def _count_answer(call: Call, _: Event) -> Result:
    return replace(call, answered=call.answered + 1, failures=0), ()


def _count_silence(call: Call, _: Event) -> Result:
    return replace(call, silences=call.silences + 1), ()


def _count_failure(call: Call, _: Event) -> Result:
    return replace(call, failures=call.failures + 1), ()


def _close_because(call: Call, event: Event) -> Result:
    return replace(call, closing=EndReason(event.reason or EndReason.COMPLETED)), ()


def _end(reason: EndReason | None = None) -> Outcome:
    def outcome(call: Call, event: Event) -> Result:
        why = reason or EndReason(event.reason or EndReason.CALLER_HUNG_UP)
        return replace(call, end_reason=why), (End(why),)

    return outcome


def _end_as_closed(call: Call, _: Event) -> Result:
    return replace(call, end_reason=call.closing), (End(call.closing),)


# --- the table

_S, _E, _T = CallState, CallEvent, Transition

_WAIT = _do(Arm(Timer.NO_INPUT))
_STOP_WAITING = _do(Disarm(Timer.NO_INPUT))
_AWAIT_RATING = _do(Arm(Timer.RATING))
_STOP_AWAITING = _do(Disarm(Timer.RATING))
_STARTS = _remember(caller_speaking=True)
_STOPS = _remember(caller_speaking=False)

_HANGS_UP = (_T(_S.ENDED, (_silence, _end())),)
_ASK_OR_THANK = (
    _T(
        _S.ASKING_RATING,
        (
            _silence,
            _STOP_WAITING,
            _close_because,
            _remember(rating_asked=True),
            _speak(Act.RATING_QUESTION),
        ),
        when=_may_ask_rating,
    ),
    _T(_S.THANKING, (_silence, _STOP_WAITING, _close_because, _speak(Act.FAREWELL))),
)
_HAND_OVER = (_T(_S.HANDING_OVER, (_silence, _STOP_WAITING, _speak(Act.HANDOVER))),)
_GIVE_UP = _T(_S.ENDED, (_silence, _end(EndReason.FAILURE)))
_APOLOGISE = (
    _T(
        _S.SPEAKING,
        (_silence, _STOP_WAITING, _count_failure, _speak(Act.APOLOGY)),
        when=_recoverable,
    ),
    _GIVE_UP,
)
_GREET_AGAIN = (  # the disclosure in it has to be heard
    _T(_S.GREETING, (_silence, _count_failure, _speak(Act.GREETING)), when=_recoverable),
    _GIVE_UP,
)
_THANK = (_T(_S.THANKING, (_silence, _STOP_AWAITING, _speak(Act.FAREWELL))),)
_QUESTION = (_T(_S.THINKING, (_silence, _STOP_WAITING, _answer)),)
_RESUME_LISTENING = (
    _T(_S.HEARING, when=_caller_is_speaking),
    _T(_S.LISTENING, (_WAIT,)),
)


def _caller_noise(state: CallState) -> dict[tuple[CallState, CallEvent], Rows]:
    """Rows of a state in which the caller's voice is noted and changes nothing."""
    return {
        (state, _E.CALLER_STARTED): (_T(state, (_STARTS,)),),
        (state, _E.CALLER_ENDED): (_T(state, (_STOPS,)),),
        (state, _E.NOT_HEARD): (_T(state),),
    }


TABLE: dict[tuple[CallState, CallEvent], Rows] = {
    (_S.IDLE, _E.INCOMING_CALL): (_T(_S.RINGING),),
    #
    (_S.RINGING, _E.CALL_ANSWERED): (_T(_S.GREETING, (_do(Accept()), _speak(Act.GREETING))),),
    (_S.RINGING, _E.CALL_ENDED): _HANGS_UP,
    #
    **_caller_noise(_S.GREETING),
    (_S.GREETING, _E.SPEECH_FINISHED): _RESUME_LISTENING,
    (_S.GREETING, _E.BARGE_IN): (_T(_S.HEARING, (_silence,)),),
    (_S.GREETING, _E.TIME_LIMIT): _ASK_OR_THANK,
    (_S.GREETING, _E.FAILURE): _GREET_AGAIN,
    (_S.GREETING, _E.CALL_ENDED): _HANGS_UP,
    #
    (_S.LISTENING, _E.CALLER_STARTED): (_T(_S.HEARING, (_STARTS, _STOP_WAITING)),),
    (_S.LISTENING, _E.CALLER_ENDED): (_T(_S.LISTENING, (_STOPS,)),),
    (_S.LISTENING, _E.TRANSCRIPT): _QUESTION,
    (_S.LISTENING, _E.GOODBYE): _ASK_OR_THANK,
    (_S.LISTENING, _E.HANDOVER_REQUESTED): _HAND_OVER,
    (_S.LISTENING, _E.NO_INPUT): (
        _T(_S.SPEAKING, (_count_silence, _speak(Act.NO_INPUT)), when=_patient),
        _T(_S.THANKING, (_remember(closing=EndReason.NO_INPUT), _speak(Act.FAREWELL))),
    ),
    (_S.LISTENING, _E.TIME_LIMIT): _ASK_OR_THANK,
    (_S.LISTENING, _E.FAILURE): _APOLOGISE,
    (_S.LISTENING, _E.NOT_HEARD): _APOLOGISE,
    (_S.LISTENING, _E.CALL_ENDED): _HANGS_UP,
    #
    (_S.HEARING, _E.CALLER_STARTED): (_T(_S.HEARING, (_STARTS,)),),
    (_S.HEARING, _E.CALLER_ENDED): (_T(_S.THINKING, (_STOPS,)),),
    (_S.HEARING, _E.TRANSCRIPT): _QUESTION,
    (_S.HEARING, _E.GOODBYE): _ASK_OR_THANK,
    (_S.HEARING, _E.HANDOVER_REQUESTED): _HAND_OVER,
    (_S.HEARING, _E.TIME_LIMIT): _ASK_OR_THANK,
    (_S.HEARING, _E.FAILURE): _APOLOGISE,
    (_S.HEARING, _E.NOT_HEARD): _APOLOGISE,
    (_S.HEARING, _E.CALL_ENDED): _HANGS_UP,
    #
    (_S.THINKING, _E.CALLER_STARTED): (_T(_S.HEARING, (_STARTS, _silence)),),
    (_S.THINKING, _E.CALLER_ENDED): (_T(_S.THINKING, (_STOPS,)),),
    (_S.THINKING, _E.TRANSCRIPT): _QUESTION,
    (_S.THINKING, _E.NOT_UNDERSTOOD): (
        _T(_S.SPEAKING, (_silence, _count_silence, _speak(Act.REPEAT_PLEASE)), when=_patient),
        _T(_S.LISTENING, (_silence, _WAIT)),
    ),
    (_S.THINKING, _E.BARGE_IN): (_T(_S.HEARING, (_silence,)),),
    (_S.THINKING, _E.ANSWER_READY): (_T(_S.SPEAKING, (_count_answer,)),),
    (_S.THINKING, _E.GOODBYE): _ASK_OR_THANK,
    (_S.THINKING, _E.HANDOVER_REQUESTED): _HAND_OVER,
    (_S.THINKING, _E.TIME_LIMIT): _ASK_OR_THANK,
    (_S.THINKING, _E.FAILURE): _APOLOGISE,
    (_S.THINKING, _E.NOT_HEARD): _APOLOGISE,
    (_S.THINKING, _E.CALL_ENDED): _HANGS_UP,
    #
    **_caller_noise(_S.SPEAKING),
    (_S.SPEAKING, _E.SPEECH_FINISHED): _RESUME_LISTENING,
    (_S.SPEAKING, _E.BARGE_IN): (_T(_S.HEARING, (_silence,)),),
    (_S.SPEAKING, _E.TIME_LIMIT): _ASK_OR_THANK,
    (_S.SPEAKING, _E.FAILURE): _APOLOGISE,
    (_S.SPEAKING, _E.CALL_ENDED): _HANGS_UP,
    #
    **_caller_noise(_S.HANDING_OVER),
    (_S.HANDING_OVER, _E.SPEECH_FINISHED): (_T(_S.HANDING_OVER, (_do(Transfer()),)),),
    (_S.HANDING_OVER, _E.FAILURE): (_T(_S.HANDING_OVER, (_silence, _do(Transfer()))),),
    (_S.HANDING_OVER, _E.TRANSFERRED): (_T(_S.ENDED, (_end(EndReason.HANDOVER),)),),
    (_S.HANDING_OVER, _E.TRANSFER_FAILED): (_T(_S.SPEAKING, (_speak(Act.NOT_TRANSFERRED),)),),
    (_S.HANDING_OVER, _E.TIME_LIMIT): (_T(_S.HANDING_OVER),),
    (_S.HANDING_OVER, _E.CALL_ENDED): _HANGS_UP,
    #
    **_caller_noise(_S.ASKING_RATING),
    (_S.ASKING_RATING, _E.SPEECH_FINISHED): (_T(_S.AWAITING_RATING, (_AWAIT_RATING,)),),
    (_S.ASKING_RATING, _E.RATING): _THANK,
    (_S.ASKING_RATING, _E.FAILURE): (_T(_S.AWAITING_RATING, (_silence, _AWAIT_RATING)),),
    (_S.ASKING_RATING, _E.TIME_LIMIT): (_T(_S.ASKING_RATING),),
    (_S.ASKING_RATING, _E.CALL_ENDED): _HANGS_UP,
    #
    (_S.AWAITING_RATING, _E.CALLER_STARTED): (_T(_S.AWAITING_RATING, (_STARTS, _STOP_AWAITING)),),
    (_S.AWAITING_RATING, _E.CALLER_ENDED): (_T(_S.AWAITING_RATING, (_STOPS, _AWAIT_RATING)),),
    (_S.AWAITING_RATING, _E.NOT_UNDERSTOOD): (_T(_S.AWAITING_RATING, (_AWAIT_RATING,)),),
    (_S.AWAITING_RATING, _E.RATING): _THANK,
    (_S.AWAITING_RATING, _E.NO_INPUT): _THANK,
    (_S.AWAITING_RATING, _E.FAILURE): (_T(_S.AWAITING_RATING, (_AWAIT_RATING,)),),
    (_S.AWAITING_RATING, _E.NOT_HEARD): (_T(_S.AWAITING_RATING, (_AWAIT_RATING,)),),
    (_S.AWAITING_RATING, _E.TIME_LIMIT): _THANK,
    (_S.AWAITING_RATING, _E.CALL_ENDED): _HANGS_UP,
    #
    **_caller_noise(_S.THANKING),
    (_S.THANKING, _E.SPEECH_FINISHED): (_T(_S.ENDED, (_end_as_closed,)),),
    (_S.THANKING, _E.FAILURE): (_T(_S.ENDED, (_silence, _end_as_closed)),),
    (_S.THANKING, _E.TIME_LIMIT): (_T(_S.THANKING),),
    (_S.THANKING, _E.CALL_ENDED): _HANGS_UP,
}
