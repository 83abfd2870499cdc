"""Dialling through Twilio: its REST API calls, and its media stream comes back to /twilio.

The stream carries the token by which `Expected` knows which call it answers. Until it comes, the
call's status is asked for: a callee who is busy or does not pick up has no stream.
"""

from __future__ import annotations

import asyncio
from urllib.parse import quote

import httpx
import structlog

from apps.core.errors import DialFailed, DialResult
from apps.dispatcher.outgoing.expected import Expected
from apps.voice.doors.base import Door
from apps.voice.doors.carriers.markup import HANG_UP, connect, document

REQUEST_S = 8.0
POLL_S = 1.0
GRACE_S = 5.0
"""So long after a pick-up the stream may take to come."""

_ENDED: dict[str, DialResult] = {
    "busy": "busy",
    "no-answer": "no_answer",
    "failed": "unreachable",
    "canceled": "no_answer",
    "completed": "failed",
}
_SENTENCES: dict[DialResult, str] = {
    "busy": "The line is busy.",
    "no_answer": "Nobody answered.",
    "unreachable": "The number cannot be reached.",
    "failed": "The call could not be put through.",
}

log = structlog.get_logger(__name__)


class TwilioDialer:
    """Calls numbers and SIP addresses through Twilio.

    Args:
        expected: Where the media stream arrives.
        base_url: Twilio's API.
        account_sid: The account.
        auth_token: Its token.
        stream_url: How Twilio reaches this server's /twilio, ``wss://...``.
        poll_s: How often the call's status is asked for.
        transport: Carries the requests; httpx's own when None.
    """

    name = "twilio"

    def __init__(
        self,
        expected: Expected,
        *,
        base_url: str,
        account_sid: str,
        auth_token: str,
        stream_url: str,
        poll_s: float = POLL_S,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._expected, self._stream_url, self._poll_s = expected, stream_url, poll_s
        self._transport = transport
        self._calls_url = f"{base_url}/2010-04-01/Accounts/{quote(account_sid, safe='')}/Calls"
        self._auth = httpx.BasicAuth(account_sid, auth_token)

    async def dial(self, target: str, *, caller_id: str, timeout_s: float) -> Door:
        """Call somebody, and wait until their media stream comes.

        Raises:
            DialFailed: None came; the code says why.
        """
        async with httpx.AsyncClient(
            auth=self._auth, timeout=REQUEST_S, transport=self._transport
        ) as client:
            with self._expected.door() as (token, arrival):
                twiml = document(connect({"url": self._stream_url}, {"answers": token}), HANG_UP)
                form = {"To": target, "From": caller_id, "Timeout": str(round(timeout_s))}
                sid = await self._create(client, form | {"Twiml": twiml})
                answered = False
                try:
                    async with asyncio.timeout(timeout_s + GRACE_S):
                        door = await self._answer(client, sid, arrival)
                    answered = True
                    return door
                except TimeoutError:
                    raise _failure("no_answer") from None
                finally:
                    if not answered:
                        await self._hang_up(client, sid, arrival)

    async def _create(self, client: httpx.AsyncClient, form: dict[str, str]) -> str:
        answer = await self._send(client, "POST", f"{self._calls_url}.json", form)
        sid = answer.get("sid")
        if not isinstance(sid, str) or not sid:
            raise _failure("failed")
        return sid

    async def _answer(
        self, client: httpx.AsyncClient, sid: str, arrival: asyncio.Future[Door]
    ) -> Door:
        """Return the door once it is there; asks meanwhile whether it still may come."""
        while True:
            done, _ = await asyncio.wait([arrival], timeout=self._poll_s)
            if done:
                return arrival.result()
            status = (await self._send(client, "GET", self._call_url(sid))).get("status")
            if (ended := _ENDED.get(str(status))) is not None and not arrival.done():
                raise _failure(ended)

    async def _hang_up(
        self, client: httpx.AsyncClient, sid: str, arrival: asyncio.Future[Door]
    ) -> None:
        """End a call that nobody waits for any more; a stream that came just then is closed."""
        if arrival.done() and not arrival.cancelled():
            await arrival.result().close("cancelled")
        try:
            await self._send(client, "POST", self._call_url(sid), {"Status": "completed"})
        except DialFailed:
            log.warning("twilio_call_not_ended")  # it rings on until its own timeout

    def _call_url(self, sid: str) -> str:
        return f"{self._calls_url}/{quote(sid, safe='')}.json"

    async def _send(
        self, client: httpx.AsyncClient, method: str, url: str, form: dict[str, str] | None = None
    ) -> dict[str, object]:
        try:
            answer = await client.request(method, url, data=form)
            answer.raise_for_status()
            body = answer.json()
        except httpx.HTTPStatusError as error:
            log.warning("twilio_refused", status=error.response.status_code)
            unreachable = error.response.status_code == httpx.codes.BAD_REQUEST
            raise _failure("unreachable" if unreachable else "failed") from None
        except (httpx.HTTPError, ValueError):
            raise _failure("failed") from None
        return body if isinstance(body, dict) else {}


def _failure(result: DialResult) -> DialFailed:
    return DialFailed(_SENTENCES[result], code=result)
