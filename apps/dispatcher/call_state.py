"""The words of the call's state machine: states, stamped events, effects, and the call itself."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from apps.core.events import CallEvent


class CallState(StrEnum):
    """Where a call stands."""

    IDLE = "idle"
    RINGING = "ringing"
    GREETING = "greeting"
    LISTENING = "listening"
    HEARING = "hearing"
    THINKING = "thinking"
    SPEAKING = "speaking"
    HANDING_OVER = "handing_over"
    ASKING_RATING = "asking_rating"
    AWAITING_RATING = "awaiting_rating"
    THANKING = "thanking"
    ENDED = "ended"


class Act(StrEnum):
    """The fixed things that the assistant says; the policy and the profile give the words."""

    GREETING = "greeting"
    NO_INPUT = "no_input"
    REPEAT_PLEASE = "repeat_please"
    APOLOGY = "apology"
    HANDOVER = "handover"
    NOT_TRANSFERRED = "not_transferred"
    RATING_QUESTION = "rating_question"
    FAREWELL = "farewell"


class Timer(StrEnum):
    """The waits of a call; their lengths are settings of the shell."""

    NO_INPUT = "no_input"
    RATING = "rating"


class EndReason(StrEnum):
    """Why a call ended."""

    COMPLETED = "completed"
    CALLER_HUNG_UP = "caller_hung_up"
    NO_INPUT = "no_input"
    HANDOVER = "handover"
    TIME_LIMIT = "time_limit"
    FAILURE = "failure"
    CLOSED = "closed"
    SHUTDOWN = "shutdown"
    OPTED_OUT = "opted_out"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened, stamped by the shell.

    Attributes:
        kind: What happened.
        at_ms: When, in milliseconds on the call's clock.
        turn_id: The turn whose work produced it; None for what the caller or a timer did.
        text: A transcript's words.
        rating: The stars of a RATING event, or None for "no rating".
        reason: Why a CALL_ENDED or a FAILURE happened.
    """

    kind: CallEvent
    at_ms: float = 0.0
    turn_id: int | None = None
    text: str = ""
    rating: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Accept:
    """Tell the door that the call is taken."""


@dataclass(frozen=True, slots=True)
class Speak:
    """Say one of the fixed acts as turn `turn_id`."""

    turn_id: int
    act: Act


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer what the caller said, as turn `turn_id`."""

    turn_id: int
    text: str


@dataclass(frozen=True, slots=True)
class Silence:
    """Cancel turn `turn_id`, flush what it was saying, and keep what was heard of it."""

    turn_id: int


@dataclass(frozen=True, slots=True)
class Arm:
    """Start a timer (again)."""

    timer: Timer


@dataclass(frozen=True, slots=True)
class Disarm:
    """Stop a timer; one that is not running is left alone."""

    timer: Timer


@dataclass(frozen=True, slots=True)
class Transfer:
    """Hand the caller over to a person, with a summary; the last effect of its event.

    What comes of it is the next event: TRANSFERRED or TRANSFER_FAILED.
    """


@dataclass(frozen=True, slots=True)
class End:
    """The call is over: settle it and close the door. The last effect of every call."""

    reason: EndReason


Effect = Accept | Speak | Answer | Silence | Arm | Disarm | Transfer | End


@dataclass(frozen=True, slots=True)
class Call:
    """All that the machine remembers of a call.

    Attributes:
        state: Where it stands.
        turn_id: The newest turn's id; 0 before the first.
        caller_speaking: Whether the caller's voice is on.
        silences: How often in a row nothing usable came from the caller.
        failures: How often in a row an engine failed.
        answered: Answers that the caller began to hear.
        rating_asked: Whether the rating question was put.
        closing: Why the call is being closed, once it is.
        end_reason: Set when the call has ended.
    """

    state: CallState = CallState.IDLE
    turn_id: int = 0
    caller_speaking: bool = False
    silences: int = 0
    failures: int = 0
    answered: int = 0
    rating_asked: bool = False
    closing: EndReason = EndReason.COMPLETED
    end_reason: EndReason | None = None
