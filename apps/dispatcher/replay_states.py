"""The state machine's part of a replay: a call's `fsm.` records, applied again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from apps.core.errors import IllegalEvent
from apps.core.events import CallEvent, LogRecord
from apps.dispatcher.call_fsm import allows, is_late, step
from apps.dispatcher.call_state import Call, Event

STATE_MACHINE = "state machine"


@dataclass(frozen=True, slots=True)
class Difference:
    """A place where a decision has changed; what is None was not decided there.

    Attributes:
        decider: ``turn-taking`` or ``state machine``.
        at_ms: When, in milliseconds since the call began.
        logged: What the log says.
        now: What is decided today.
    """

    decider: str
    at_ms: float
    logged: str | None
    now: str | None


@dataclass(frozen=True, slots=True)
class Applied:
    """One record of the state machine, applied again.

    Attributes:
        record: The record.
        before: The call before it.
        after: The call after it.
        refused: Why it cannot be applied any more; empty when it was.
    """

    record: LogRecord
    before: Call
    after: Call
    refused: str = ""


def applied(records: Sequence[LogRecord]) -> Iterator[Applied]:
    """Feed the `fsm.` records through the state machine; what it refuses changes nothing."""
    call = Call()
    for record in records:
        if record.kind.startswith("fsm."):
            before = call
            try:
                call, _ = step(call, _event(record))
            except (IllegalEvent, ValueError, TypeError) as error:
                refused = error.message if isinstance(error, IllegalEvent) else str(error)
                yield Applied(record, before, before, refused)
            else:
                yield Applied(record, before, call)


def _event(record: LogRecord) -> Event:
    """Return the event of a record; raises a ValueError when there is no such event."""
    return Event(
        CallEvent(record.kind.removeprefix("fsm.")),
        record.at_ms,
        record.turn_id,
        text=str(record.data.get("text", "")),
        rating=record.data.get("rating"),
        reason=str(record.data.get("reason", "")),
    )


def state_differences(records: Sequence[LogRecord]) -> Iterator[Difference]:
    """Yield where the state machine does not do with a call's records what it did then."""
    steps = {one.record.seq: one for one in applied(records)}
    call = Call()
    for record in records:
        logged = now = ""
        if (one := steps.get(record.seq)) is not None:
            logged, now = f"{record.kind} was applied", one.refused or f"{record.kind} was applied"
            call = one.after
        elif record.kind in ("dropped.illegal", "dropped.late"):
            logged, now = record.kind, _dropped(record, call)
        elif record.kind == "assistant" and record.turn_id is not None:
            logged, now = f"turn {record.turn_id} speaks", f"turn {call.turn_id} is the newest"
            now = logged if record.turn_id == call.turn_id else now
        elif record.kind == "call.ended" and call.end_reason is not None:
            logged, now = f"ended: {record.data.get('reason')}", f"ended: {call.end_reason.value}"
        if logged != now:
            yield Difference(STATE_MACHINE, record.at_ms, logged, now)


def _dropped(record: LogRecord, call: Call) -> str:
    """Return as what an event that was dropped would be dropped today."""
    try:
        kind = CallEvent(str(record.data.get("event")))
    except ValueError:
        return "there is no such event"
    if is_late(call, Event(kind, turn_id=record.turn_id)):
        return "dropped.late"
    return (
        f"{kind.value} is possible while {call.state}" if allows(call, kind) else "dropped.illegal"
    )
