"""A recorded call, decided again: what today's deciders make of what yesterday's were given.

Turn-taking is fed with what the ear's records say it was given (`read_ear`), the state machine with
the `fsm.` records. Both are pure, so an unchanged decider decides the same again, and every
difference is a change of the code or of an option.

What was heard stays what it was. Had a decision fallen otherwise, the call would have gone another
way from there on: the first difference is exact, what follows it shows where to look.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from difflib import SequenceMatcher
from typing import Any

from apps.core.errors import ConfigError, StoreError
from apps.core.events import LogRecord
from apps.dispatcher.replay_states import Difference, state_differences
from apps.voice import turn_events as turns
from apps.voice.ear_log import read_ear, signal_name
from apps.voice.turn_options import TurnOptions
from apps.voice.turn_taking import Floor, step

NEAR_MS = 3000.0
"""Decisions of one name that lie so near to each other are one decision that has moved."""

TURN_TAKING = "turn-taking"


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision of turn-taking.

    Attributes:
        name: As the log names it, for example ``ended``.
        at_ms: When, in milliseconds since the call began.
        heard_ms: When, in milliseconds of caller audio.
        details: The decision's fields.
    """

    name: str
    at_ms: float
    heard_ms: float
    details: Mapping[str, Any] = field(default_factory=dict)

    def same_as(self, other: Decision) -> bool:
        """Tell whether it is the same decision; fields that one log lacks are passed over."""
        known = self.details.keys() & other.details.keys()
        return (
            self.name == other.name
            and abs(self.heard_ms - other.heard_ms) < 1.0
            and all(self.details[name] == other.details[name] for name in known)
        )


@dataclass(frozen=True, slots=True)
class Replay:
    """What came of replaying a call.

    Attributes:
        differences: In the order of their times.
        logged: How many decisions of turn-taking the log has.
        now: How many there are today.
        events: How many events of the state machine were applied.
        options: With which turn-taking decided; None when the log has no ear records.
        missing: Records that the log has lost; a difference may come of that.
    """

    differences: tuple[Difference, ...]
    logged: int
    now: int
    events: int
    options: TurnOptions | None
    missing: int


def replay(records: Sequence[LogRecord], changes: Mapping[str, str] | None = None) -> Replay:
    """Decide a recorded call again.

    Args:
        records: The call's event log, in order.
        changes: Options of turn-taking that are to be others than the logged ones, as text.

    Raises:
        ConfigError: There is no such option, or it cannot have that value.
        StoreError: A record does not hold what its kind must.
    """
    with_ear = any(record.kind == "ear.windows" for record in records)
    options = changed(logged_options(records), changes or {})
    was = logged_decisions(records) if with_ear else []
    now = list(decide(records, options)) if with_ear else []
    found = [*compare(was, now), *state_differences(records)]
    return Replay(
        differences=tuple(sorted(found, key=lambda difference: difference.at_ms)),
        logged=len(was),
        now=len(now),
        events=sum(record.kind.startswith("fsm.") for record in records),
        options=options if with_ear else None,
        missing=records[-1].seq + 1 - len(records) if records else 0,
    )


# --- turn-taking


def logged_options(records: Sequence[LogRecord]) -> TurnOptions:
    """Return the options that a call was held with; what its log does not say is today's."""
    logged = next((r.data for r in records if r.kind == "ear.options"), {})
    known = {option.name for option in fields(TurnOptions)}
    return TurnOptions(**{name: value for name, value in logged.items() if name in known})


def changed(options: TurnOptions, changes: Mapping[str, str]) -> TurnOptions:
    """Return options with some of them changed.

    Raises:
        ConfigError: There is no such option, or it cannot have that value.
    """
    known = asdict(options)
    values: dict[str, Any] = {}
    for name, text in changes.items():
        if name not in known:
            raise ConfigError(
                f"Turn-taking has no option {name!r}.", hint=f"There are {', '.join(known)}."
            )
        kind = type(getattr(TurnOptions(), name))
        try:
            values[name] = kind(text)
        except ValueError as error:
            raise ConfigError(f"{name} cannot be {text!r}.") from error
        if name == "language" and text not in ("de", "en"):
            raise ConfigError(f"language cannot be {text!r}.", hint="There are de and en.")
        if kind is not str and not 0 <= values[name] < float("inf"):
            raise ConfigError(f"{name} cannot be {text!r}: it is a number from 0 on.")
    return replace(options, **values)


def logged_decisions(records: Sequence[LogRecord]) -> list[Decision]:
    """Return what turn-taking decided in the call."""
    decisions, heard_ms = [], 0.0
    for record in records:
        if record.kind == "ear.windows":
            heard_ms = record.data.get("until_ms", heard_ms)
        elif record.kind == "ear.decided":
            details = {name: value for name, value in record.data.items() if name != "signal"}
            name = str(record.data.get("signal", ""))
            decisions.append(Decision(name, record.at_ms, heard_ms, details))
    return decisions


def decide(records: Sequence[LogRecord], options: TurnOptions) -> Iterator[Decision]:
    """Yield what turn-taking decides today, given what it was given then.

    Raises:
        StoreError: A record does not hold what its kind must.
    """
    floor, heard_ms = Floor(), 0.0
    for record in records:
        try:
            for heard in read_ear([(record.kind, record.data)]):
                at_ms = record.at_ms
                if isinstance(heard, turns.Window):
                    heard_ms = heard.end_ms
                    at_ms += heard_ms - record.data["until_ms"]
                floor, signals = step(floor, heard, options)
                for signal in signals:
                    yield Decision(signal_name(signal), at_ms, heard_ms, asdict(signal))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StoreError(
                f"Record {record.seq} ({record.kind}) does not hold what its kind must: {error!r}.",
                hint="docs/events.md says what each kind holds.",
                code="event_log",
            ) from error


def compare(logged: Sequence[Decision], now: Sequence[Decision]) -> Iterator[Difference]:
    """Yield where two sequences of decisions differ; one that has moved is one difference."""
    matcher = SequenceMatcher(a=[_key(d) for d in logged], b=[_key(d) for d in now], autojunk=False)
    for tag, i, i_end, j, j_end in matcher.get_opcodes():
        if tag == "equal":
            continue
        ours = list(now[j:j_end])
        for was in logged[i:i_end]:
            moved = min(
                (d for d in ours if d.name == was.name),
                key=lambda d, was=was: abs(d.heard_ms - was.heard_ms),  # type: ignore[misc]
                default=None,
            )
            if moved is None or abs(moved.heard_ms - was.heard_ms) > NEAR_MS:
                yield Difference(TURN_TAKING, was.at_ms, describe(was), None)
                continue
            ours.remove(moved)
            if not moved.same_as(was):
                yield Difference(TURN_TAKING, was.at_ms, describe(was), describe(moved))
        for new in ours:
            yield Difference(TURN_TAKING, new.at_ms, None, describe(new))


def describe(decision: Decision) -> str:
    """Return a decision in a few words: its name, its time, its fields."""
    details = [
        f"{name} {_plain(value)}"
        for name, value in decision.details.items()
        if value not in (None, "")
    ]
    about = f" ({', '.join(details)})" if details else ""
    return f"{decision.name} at {decision.at_ms / 1000:.2f} s{about}"


def _plain(value: Any) -> str:
    text = f"{value:.0f}" if isinstance(value, float) else str(value)
    return text if text.isprintable() else repr(text)  # a transcript may hold anything


def _key(decision: Decision) -> tuple[str, str, str]:
    details = ",".join(f"{name}={decision.details[name]}" for name in sorted(decision.details))
    return decision.name, f"{decision.heard_ms:.0f}", details
