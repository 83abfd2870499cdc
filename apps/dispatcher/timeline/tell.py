"""Records in, a `Story` out: what a timeline shows of a call."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from apps.core.events import LogRecord
from apps.dispatcher.call_state import CallState
from apps.dispatcher.replay_states import Applied, applied
from apps.dispatcher.timeline import ear, mouth
from apps.dispatcher.timeline.fields import number, shares, text
from apps.dispatcher.timeline.story import Span, Story, Turn

AFTER_MS = 600.0


def tell(records: Sequence[LogRecord]) -> Story:
    """Return what happened in a call, from its event log; what a log lacks is left out."""
    clock = ear.ear_clock(records)
    length_ms = max((r.at_ms for r in records), default=0.0) + AFTER_MS
    caller_level, voice = ear.curves(records, clock)
    spoken = tuple(ear.utterances(records, clock))
    steps = tuple(applied(records))
    return Story(
        length_ms=length_ms,
        facts=_facts(records),
        caller_level=caller_level,
        voice=voice,
        utterances=spoken,
        partials=tuple(ear.partials(records)),
        finals=tuple(ear.finals(records, spoken)),
        decisions=tuple(ear.decisions(records, clock)),
        states=tuple(_states(steps, length_ms)),
        turns=tuple(_turns(records, steps)),
        guesses=tuple(_guesses(records, length_ms)),
        assistant_level=mouth.level(records),
        sentences=tuple(mouth.sentences(records, length_ms)),
        holds=tuple(mouth.holds(records, length_ms)),
    )


def _facts(records: Sequence[LogRecord]) -> dict[str, str]:
    facts: dict[str, str] = {}
    for record in records:
        if record.kind == "call.started":
            facts |= {name: text(record.data, name) for name in ("profile", "language", "variant")}
            engines = record.data.get("engines")
            if isinstance(engines, dict):
                facts |= {str(role): str(name) for role, name in engines.items()}
        elif record.kind == "call.ended":
            facts["end"] = text(record.data, "reason")
            facts |= {
                name: f"{number(record.data, name):g}"
                for name in ("rating", "reward")
                if record.data.get(name) is not None
            }
    return {name: value for name, value in facts.items() if value}


def _states(steps: Sequence[Applied], length_ms: float) -> Iterator[Span]:
    state, since_ms, why = CallState.IDLE, 0.0, ""
    for step in steps:
        if step.after.state is state:
            continue
        if state not in (CallState.IDLE, CallState.RINGING):
            yield Span(since_ms, step.record.at_ms, state, state.replace("_", " "), why)
        state, since_ms = step.after.state, step.record.at_ms
        why = f"{state.replace('_', ' ')}: {step.record.kind.removeprefix('fsm.')}"
    if state is not CallState.IDLE:
        yield Span(since_ms, length_ms, state, state.replace("_", " "), why)


# --- turns


def _turns(records: Sequence[LogRecord], steps: Sequence[Applied]) -> Iterator[Turn]:
    for step in steps:
        turn_id = step.after.turn_id
        if turn_id == step.before.turn_id:
            continue
        mine = [r for r in records if r.turn_id == turn_id]
        latency = next((r for r in mine if r.kind == "turn.latency"), None)
        said = tuple(text(r.data, "text") for r in mine if r.kind == "assistant")
        if latency is None and not said:
            continue
        first_ms = next((r.at_ms for r in mine if r.kind == "assistant"), step.record.at_ms)
        yield Turn(
            turn_id,
            first_ms if latency is None else latency.at_ms,
            asked=text(step.record.data, "text"),
            said=said,
            waited_ms=None if latency is None else max(0.0, number(latency.data, "ms")),
            stages={} if latency is None else shares(latency.data, "stages"),
            notes=tuple(_notes(records, mine, turn_id, step.record)),
        )


def _notes(
    records: Sequence[LogRecord], mine: Sequence[LogRecord], turn_id: int, began: LogRecord
) -> Iterator[str]:
    """Yield what else happened to a turn, in plain words."""
    if not text(began.data, "text"):
        yield began.kind.removeprefix("fsm.").replace("_", " ")
    later = [r for r in records if r.seq >= began.seq]
    for record in later:
        if record.kind == "speculation.used" and record.turn_id in (None, turn_id):
            yield f"speculation won {number(record.data, 'won_ms'):.0f} ms"
        if record.kind == "fsm.barge_in":
            yield "interrupted"
        if record.kind in (*mouth.SPEECH_ENDS, "fsm.transcript") and record.seq > began.seq:
            break
    for record in mine:
        if record.kind == "heard":
            heard = text(record.data, "text")
            yield f"heard: “{heard}”" if heard else "nothing of it was heard"


def _guesses(records: Sequence[LogRecord], length_ms: float) -> Iterator[Span]:
    """Yield what was begun before it was certain, and what came of it."""
    open_: LogRecord | None = None
    for record in records:
        if record.kind == "speculation.started":
            if open_ is not None:
                yield _guess(open_, record.at_ms, "open", "")
            open_ = record
        elif record.kind in ("speculation.used", "speculation.wasted") and open_ is not None:
            kind = record.kind.removeprefix("speculation.")
            won = f"{number(record.data, 'won_ms'):.0f} ms won"
            why = text(record.data, "why").replace("_", " ")
            yield _guess(open_, record.at_ms, kind, won if kind == "used" else why)
            open_ = None
    if open_ is not None:
        yield _guess(open_, length_ms, "open", "")


def _guess(started: LogRecord, to_ms: float, kind: str, what: str) -> Span:
    label = f"{kind}: {what}" if what else kind
    return Span(started.at_ms, to_ms, kind, label, f"{label}; “{text(started.data, 'text')}”")
