"""Tickets: what a signed webhook told of a call, carried by the carrier to the call's stream.

A webhook is signed and a stream is not, so the answer to the webhook holds a ticket, and a stream
is a call only with one. It is signed, bound to its call, short-lived, and serves once.
"""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass

from apps.core.errors import ProtocolError
from apps.core.seal import Seal
from apps.voice.doors.base import CallRequest

LIFETIME_S = 60.0
_PURPOSE = b"tom stream ticket 1 "


@dataclass(frozen=True, slots=True)
class Ticket:
    """One call, as its webhook told it.

    Attributes:
        call: The carrier's id of the call, by which its API knows it.
        account: The carrier's id of the account, where its API wants it.
        called: The number that was called.
        profile: Whom the call is for.
        language: ``de``, ``en`` or empty.
        caller: The caller's number.
    """

    call: str
    account: str = ""
    called: str = ""
    profile: str = ""
    language: str = ""
    caller: str = ""

    @property
    def request(self) -> CallRequest:
        """What the call asks for."""
        return CallRequest(self.profile, self.language, self.caller)


class TicketOffice:
    """Issues and redeems the tickets of one door; all processes of one installation share them.

    Args:
        secret: The installation's own; the key is derived from it.
        door: A ticket of one door is worth nothing at another.
    """

    def __init__(self, secret: bytes, door: str) -> None:
        self._seal = Seal(secret, _PURPOSE + door.encode())
        self._used: dict[str, float] = {}

    def issue(self, ticket: Ticket, now_s: float) -> str:
        """Return a ticket's text, fit for a URL."""
        told = {name: value for name, value in asdict(ticket).items() if value}
        told |= {"until": round(now_s + LIFETIME_S), "once": secrets.token_urlsafe(6)}
        return self._seal.close(told)

    def redeem(self, text: str, now_s: float) -> Ticket:
        """Return what a ticket says, once.

        Raises:
            ProtocolError: It is missing, not ours, too old, or used; code ``forbidden``.
        """
        told = self._seal.open(text)
        if told is None:
            raise _forbidden("A stream needs the ticket of its call.")
        until = told.pop("until")
        if now_s >= until:
            raise _forbidden("A stream's ticket is too old.")
        self._used = {used: end for used, end in self._used.items() if end > now_s}
        if (once := told.pop("once")) in self._used:
            raise _forbidden("A stream's ticket has been used.")
        self._used[once] = until
        return Ticket(**told)


def _forbidden(message: str) -> ProtocolError:
    return ProtocolError(message, hint="Only a signed webhook's answer has one.", code="forbidden")
