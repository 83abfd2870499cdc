"""The kinds of events that move a call, and the record of one event in a call's log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class CallEvent(StrEnum):
    """What can happen in a call; the shell stamps each with its time and its turn id."""

    INCOMING_CALL = "incoming_call"
    CALL_ANSWERED = "call_answered"
    CALL_ENDED = "call_ended"
    CALLER_STARTED = "caller_started"
    CALLER_ENDED = "caller_ended"
    TRANSCRIPT = "transcript"
    NOT_UNDERSTOOD = "not_understood"
    ANSWER_READY = "answer_ready"
    SPEECH_FINISHED = "speech_finished"
    BARGE_IN = "barge_in"
    NO_INPUT = "no_input"
    HANDOVER_REQUESTED = "handover_requested"
    TRANSFERRED = "transferred"
    TRANSFER_FAILED = "transfer_failed"
    GOODBYE = "goodbye"
    RATING = "rating"
    TIME_LIMIT = "time_limit"
    NOT_HEARD = "not_heard"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One line of a call's append-only log.

    Attributes:
        seq: Position in the log, from 0.
        at_ms: Milliseconds since the call's first event.
        kind: The event's kind; every kind is described in docs/events.md.
        turn_id: The turn it belongs to, or None.
        data: What else there is to know; JSON values only.
    """

    seq: int
    at_ms: float
    kind: str
    turn_id: int | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
