"""Where an outgoing call stands, and why one is not made."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from apps.core.errors import TomError
from apps.dispatcher.outgoing.decide import Dial, OutgoingRequest, Refuse

State = Literal["dialling", "waiting", "answered", "live", "leaving_message", "ended"]

RESULTS = (
    "answered",
    "opted_out",
    "machine",
    "message_left",
    "hung_up",
    "busy",
    "no_answer",
    "declined",
    "unreachable",
    "failed",
    "no_line",
    "cancelled",
)
"""What may become of an attempt that was dialled."""


class Refused(TomError):
    """A call that may not be made, or not now."""

    code = "refused"

    def __init__(self, refusal: Refuse) -> None:
        later = refusal.not_before
        hint = f"Not before {later:%Y-%m-%d %H:%M} UTC." if later else ""
        super().__init__(refusal.why, hint=hint, code=refusal.code)
        self.not_before = later


@dataclass(slots=True)
class CallStatus:
    """Where one outgoing call stands.

    Attributes:
        call: Its id.
        state: ``dialling``, ``waiting`` for the next attempt, ``answered`` and listened to,
            ``live``, ``leaving_message`` or ``ended``.
        attempt: Which attempt, from 1.
        result: What became of the last attempt that is over.
        not_before: When the next one is made, while one is waited for.
        talk: The state of the call that is held, as the native protocol names it.
        reason: Why that call ended.
        rating: The stars that the callee gave.
        opted_out: Whether they asked not to be called again.
    """

    call: str
    state: State = "dialling"
    attempt: int = 0
    result: str | None = None
    not_before: datetime | None = None
    talk: str | None = None
    reason: str | None = None
    rating: int | None = None
    opted_out: bool = False

    def dial(self) -> None:
        """Begin an attempt."""
        self.state, self.not_before = "dialling", None
        self.attempt += 1

    def wait(self, result: str, until: datetime) -> None:
        """Wait for the next attempt."""
        self.state, self.result, self.not_before = "waiting", result, until

    def end(self, result: str) -> None:
        """Be over."""
        self.state, self.result, self.not_before = "ended", result, None

    def told(self, kind: str, data: Mapping[str, Any]) -> None:
        """Follow the live events of the call that is held."""
        match kind:
            case "state":
                self.talk = str(data["state"])
            case "rating":
                self.rating = data["stars"]
            case "call.ended":
                self.reason = str(data["reason"])

    def as_dict(self) -> dict[str, Any]:
        """Return it as the API gives it."""
        return {
            "call": self.call,
            "state": self.state,
            "attempt": self.attempt,
            "result": self.result,
            "not_before": self.not_before.isoformat() if self.not_before else None,
            "talk": self.talk,
            "reason": self.reason,
            "rating": self.rating,
        }


@dataclass(frozen=True, slots=True)
class Entry:
    """One outgoing call as it is stored.

    Attributes:
        ref: Keyed hash of its id.
        subject: The callee's pseudonym; None where the number is none.
    """

    ref: str
    subject: str | None


@dataclass(slots=True)
class OutgoingCall:
    """One outgoing call and its task.

    Attributes:
        request: What was asked for.
        status: Where it stands.
        entry: How it is stored.
        dial: The latest decision to dial.
        live: The id of the call that is held with the callee, once there is one.
        task: Makes the call.
    """

    request: OutgoingRequest
    status: CallStatus
    entry: Entry
    dial: Dial
    live: str = ""
    task: asyncio.Task[None] | None = None

    @property
    def over(self) -> bool:
        """Whether nothing more comes of it."""
        return self.status.state == "ended"
