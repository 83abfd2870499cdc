"""Hand-overs by the carriers' REST APIs: the call is told to do something else from now on."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from apps.core.errors import TransferFailed
from apps.voice.doors.carriers.markup import connect_person, dial, document
from apps.voice.doors.carriers.signatures import rs256
from apps.voice.doors.carriers.tickets import Ticket

TIMEOUT_S = 8.0
"""A caller who hears nothing for longer has hung up."""
_TOKEN_LIFETIME_S = 60


@dataclass(frozen=True, slots=True)
class TwilioCalls:
    """Twilio's API of calls.

    Args:
        base_url: Such as ``https://api.twilio.com``.
        account_sid: The account.
        auth_token: Its token.
    """

    base_url: str
    account_sid: str
    auth_token: str = field(repr=False)

    async def hand_over(self, ticket: Ticket, target: str, summary: str) -> None:
        """Connect a call to a person.

        Raises:
            TransferFailed: Twilio did not.
        """
        path = f"/2010-04-01/Accounts/{_id(self.account_sid)}/Calls/{_id(ticket.call)}.json"
        twiml = document(dial(target, summary))
        await _send(
            "POST",
            self.base_url + path,
            data={"Twiml": twiml},
            auth=httpx.BasicAuth(self.account_sid, self.auth_token),
        )


@dataclass(frozen=True, slots=True)
class TelnyxCalls:
    """Telnyx' API of TeXML calls.

    Args:
        base_url: Such as ``https://api.telnyx.com``.
        api_key: The account's.
    """

    base_url: str
    api_key: str = field(repr=False)

    async def hand_over(self, ticket: Ticket, target: str, summary: str) -> None:
        """Connect a call to a person.

        The call's TeXML is replaced: after Telnyx' transfer command the old one would go on behind
        the stream, and hang up.

        Raises:
            TransferFailed: Telnyx did not.
        """
        path = f"/v2/texml/Accounts/{_id(ticket.account)}/Calls/{_id(ticket.call)}"
        texml = document(dial(target, summary))
        headers = {"Authorization": f"Bearer {self.api_key}"}
        await _send("POST", self.base_url + path, data={"Texml": texml}, headers=headers)


@dataclass(frozen=True, slots=True)
class VonageCalls:
    """Vonage's API of calls.

    Args:
        base_url: Such as ``https://api.nexmo.com``.
        application_id: The voice application.
        key: Its private key.
        now_s: Tells the Unix time.
    """

    base_url: str
    application_id: str
    key: RSAPrivateKey = field(repr=False)
    now_s: Callable[[], float] = time.time

    async def hand_over(self, ticket: Ticket, target: str, summary: str) -> None:
        """Connect a call to a person.

        Raises:
            TransferFailed: Vonage did not.
        """
        ncco = connect_person(target, summary, ticket.called)
        now_s = int(self.now_s())
        claims = {
            "application_id": self.application_id,
            "iat": now_s,
            "exp": now_s + _TOKEN_LIFETIME_S,
            "jti": f"{ticket.call}-{now_s}",
        }
        await _send(
            "PUT",
            f"{self.base_url}/v1/calls/{_id(ticket.call)}",
            json={"action": "transfer", "destination": {"type": "ncco", "ncco": ncco}},
            headers={"Authorization": f"Bearer {rs256(self.key, claims)}"},
        )


def _id(value: str) -> str:
    return quote(value, safe="")


async def _send(method: str, url: str, **request: Any) -> None:
    try:
        async with httpx.AsyncClient(timeout=TIMEOUT_S, follow_redirects=False) as client:
            answer = await client.request(method, url, **request)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise TransferFailed(
            f"The carrier's API could not be reached: {type(error).__name__}."
        ) from None
    if not answer.is_success:
        raise TransferFailed(f"The carrier's API answered {answer.status_code}.")
