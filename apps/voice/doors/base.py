"""What a door is: the way by which one caller's audio comes in and the assistant's goes out."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

Direction = Literal["incoming", "outgoing"]


@dataclass(frozen=True, slots=True)
class CallerAudio:
    """Audio from the caller: 16 kHz PCM of any length."""

    pcm: bytes


@dataclass(frozen=True, slots=True)
class CallerText:
    """Words that the caller typed."""

    text: str


@dataclass(frozen=True, slots=True)
class CallerDigit:
    """A key that the caller pressed: one of 0-9, * and #."""

    digit: str


@dataclass(frozen=True, slots=True)
class CallerRating:
    """Stars that the caller chose on a page, 1 to 5."""

    stars: int


@dataclass(frozen=True, slots=True)
class CallerHold:
    """The caller put the call on hold, or came back.

    Attributes:
        on: They do not hear anything now, and are not heard.
    """

    on: bool


@dataclass(frozen=True, slots=True)
class CallerHungUp:
    """The caller is gone; nothing follows.

    Attributes:
        failed: The connection was given up (silent for too long, too many errors), not the call.
    """

    failed: bool = False


@dataclass(frozen=True, slots=True)
class CallerInterrupted:
    """The caller's side silenced the assistant, by a button for example; nothing is asked by it."""


@dataclass(frozen=True, slots=True)
class TurnsByHand:
    """Who says when the caller's turns end from now on.

    Attributes:
        on: The caller's side (push-to-talk), by `CallerTurnEnded`; otherwise turn-taking does.
    """

    on: bool


@dataclass(frozen=True, slots=True)
class CallerTurnEnded:
    """The caller's side says that the caller's turn has ended, with the audio so far.

    Attributes:
        discard: What was said is to be forgotten.
    """

    discard: bool = False


DoorEvent = (
    CallerAudio
    | CallerText
    | CallerDigit
    | CallerRating
    | CallerInterrupted
    | TurnsByHand
    | CallerTurnEnded
    | CallerHold
    | CallerHungUp
)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a door can carry.

    Attributes:
        audio: Speech both ways; otherwise the call is typed.
        transfer: A hand-over to a person.
        observe: Whether the peer may see the operator's details (variant, propensity, reward).
        rates_later: Whether the caller's side can rate the call after its end; it is given a
            token for that.
    """

    audio: bool = True
    transfer: bool = False
    observe: bool = False
    rates_later: bool = False


@dataclass(frozen=True, slots=True)
class CallRequest:
    """What a caller asks for when they call.

    Attributes:
        profile: Whom they call; empty for the default.
        language: ``de``, ``en``, or empty for the profile's own.
        caller: The other side's number or address where the door knows it, of an outgoing call the
            number that was dialled; only its hash is stored.
        direction: Who called whom.
        purpose: Of an outgoing call: why it calls, by its name in the profile.
        answers: The token of the outgoing call that this connection answers: a carrier connects
            by itself once the callee has picked up, and brings the token that it was dialled with.
    """

    profile: str = ""
    language: str = ""
    caller: str = ""
    direction: Direction = "incoming"
    purpose: str = ""
    answers: str = ""


class Door(Protocol):
    """One caller's way in. Sending to a caller who is gone does nothing."""

    name: str
    request: CallRequest
    capabilities: Capabilities

    @property
    def unplayed_ms(self) -> float:
        """How much of what was sent the client has not confirmed as played; 0 if it never does."""
        ...

    def events(self) -> AsyncGenerator[DoorEvent, None]:
        """Yield what comes from the caller; ends with `CallerHungUp`."""
        ...

    async def play(self, frame: bytes) -> None:
        """Send one 20 ms frame of 16 kHz PCM."""
        ...

    async def flush(self) -> None:
        """Make the caller's side drop the audio that it has not played yet."""
        ...

    async def tell(self, kind: str, data: Mapping[str, Any]) -> None:
        """Send a live event of the call (docs/protocol.md)."""
        ...

    async def transfer(self, target: str, summary: str) -> None:
        """Hand the caller over to a person, where the door's capabilities say that it can.

        Args:
            target: The profile's hand-over target: a SIP address or a telephone number.
            summary: What the call was about, for the person.

        Raises:
            TransferFailed: The caller is still here.
        """
        ...

    async def close(self, reason: str) -> None:
        """Hang up."""
        ...


class Dialer(Protocol):
    """A way out: calls somebody, and returns once they have answered."""

    name: str

    async def dial(self, target: str, *, caller_id: str, timeout_s: float) -> Door:
        """Call somebody, and wait until they answer.

        Cancelling it hangs up: a call that rings stops ringing, one that was answered just then is
        closed.

        Args:
            target: Whom: a number in E.164 (``+4989...``) or a SIP URI.
            caller_id: The number or address to show them; empty for the dialer's own.
            timeout_s: So long it may ring.

        Returns:
            The door to who answered, who may be talking already. Its `request` is set by the one
            who dialled; its audio is read from now on.

        Raises:
            DialFailed: Nobody answered; the code says why.
        """
        ...
