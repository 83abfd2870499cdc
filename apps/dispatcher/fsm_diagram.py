"""Writes docs/call-fsm.md from the call's table, so that the page cannot say anything else.

What a transition does is seen by doing it: its outcomes are applied to a call whose values are
known, and what has changed is put into words.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

from apps.core.events import CallEvent
from apps.dispatcher.call_fsm import TABLE, Guard, Transition
from apps.dispatcher.call_state import (
    Accept,
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
    Transfer,
)

# Drawn, these would hide the rest: they leave nearly every state, and for the same place.
NOT_DRAWN = (CallEvent.CALL_ENDED, CallEvent.FAILURE, CallEvent.TIME_LIMIT)

# Values that no transition of the table sets, so that whatever it does shows.
_TURN = 7
_OF_THE_EVENT, _OF_THE_CALL = EndReason.SHUTDOWN, EndReason.CALLER_HUNG_UP
_REASONS = {_OF_THE_EVENT: "the event's reason", _OF_THE_CALL: "why it was closing"}


def mermaid() -> str:
    """Return the state diagram: every change of state but those in `NOT_DRAWN`."""
    arrows: dict[tuple[CallState, CallState], list[str]] = {}
    for (state, kind), rows in TABLE.items():
        if kind in NOT_DRAWN:
            continue
        for row in rows:
            if row.to is not state:
                label = f"{kind} [{guard_name(row.when)}]" if row.when else str(kind)
                arrows.setdefault((state, row.to), []).append(label)
    lines = ["stateDiagram-v2", f"    [*] --> {CallState.IDLE}"]
    lines += [f"    {a} --> {b} : {'<br/>'.join(labels)}" for (a, b), labels in arrows.items()]
    return "\n".join([*lines, f"    {CallState.ENDED} --> [*]"])


def table_markdown() -> str:
    """Return one table a state: event, guard, next state, effects, what is remembered."""
    return "\n\n".join(_state_table(state) for state in CallState if _events_of(state))


def guards_markdown() -> str:
    """Return a list of the guards and what they ask of a call."""
    guards = {row.when for rows in TABLE.values() for row in rows if row.when is not None}
    ordered = sorted(guards, key=guard_name)
    return "\n".join(f"- **{guard_name(guard)}**: {guard.__doc__}" for guard in ordered)


def guard_name(guard: Guard) -> str:
    """Return a guard's name in words."""
    return guard.__name__.strip("_").replace("_", " ")


def _events_of(state: CallState) -> list[CallEvent]:
    return [kind for where, kind in TABLE if where is state]


def _state_table(state: CallState) -> str:
    lines = [
        f"### `{state}`",
        "",
        "| event | when | next state | effects | remembered |",
        "|---|---|---|---|---|",
    ]
    for kind in _events_of(state):
        for row in TABLE[state, kind]:
            effects, remembered = _deeds(state, kind, row)
            to = "stays" if row.to is state else f"`{row.to}`"
            guard = guard_name(row.when) if row.when else ""
            cells = (f"`{kind}`", guard, to, "; ".join(effects), "; ".join(remembered))
            lines.append("|" + "|".join(f" {cell} " if cell else " " for cell in cells) + "|")
    return "\n".join(lines)


def _deeds(state: CallState, kind: CallEvent, row: Transition) -> tuple[list[str], list[str]]:
    """Return what a transition does and what it remembers, in words."""
    effects: tuple[Effect, ...] = ()
    remembered: dict[str, None] = {}
    for speaking in (False, True):  # so that either value, when it is set, is a change
        before = call = Call(state, _TURN, speaking, 1, 1, 1, closing=_OF_THE_CALL)
        effects = ()
        for outcome in row.does:
            call, more = outcome(call, Event(kind, reason=_OF_THE_EVENT))
            effects += more
        remembered |= dict.fromkeys(_changes(before, call))
    return [_effect(effect) for effect in effects], list(remembered)


def _changes(before: Call, after: Call) -> Iterator[str]:
    for name in (field.name for field in fields(Call)):
        old, new = getattr(before, name), getattr(after, name)
        if old == new or name in ("turn_id", "end_reason"):  # the effects say those
            continue
        words = name.replace("_", " ")
        if isinstance(new, bool):
            yield f"{words}: {'yes' if new else 'no'}"
        elif isinstance(new, EndReason):
            yield f"{words}: {_reason(new)}"
        else:
            yield f"{words} + 1" if new == old + 1 else f"{words} = {new}"


def _effect(effect: Effect) -> str:
    match effect:
        case Accept():
            return "accept the call"
        case Speak(act=act):
            return f"new turn: say `{act}`"
        case Answer():
            return "new turn: answer"
        case Silence():
            return "silence the turn"
        case Arm(timer=timer):
            return f"start the `{timer}` timer"
        case Disarm(timer=timer):
            return f"stop the `{timer}` timer"
        case Transfer():
            return "transfer to a person"
        case End(reason=reason):
            return f"end: {_reason(reason)}"


def _reason(reason: EndReason) -> str:
    return _REASONS.get(reason, f"`{reason}`")
