"""Registering at a provider, so that its callers are sent here (RFC 3261 section 10)."""

from __future__ import annotations

import asyncio
import random

import structlog

from apps.voice.doors.sip.dialog import MAX_FORWARDS, new_call_id, new_tag
from apps.voice.doors.sip.framing import PING
from apps.voice.doors.sip.headers import Headers
from apps.voice.doors.sip.message import Request, Response
from apps.voice.doors.sip.options import Account
from apps.voice.doors.sip.stack import ALLOW, SUPPORTED, USER_AGENT, Stack, provider_uri
from apps.voice.doors.sip.transport import Flow

RETRY_S = (5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
"""How long to wait after each failure in a row."""
UNREGISTER_S = 2.0
MIN_REFRESH_S = 10.0
KEEP_ALIVE_S = 25.0
"""A NAT forgets UDP after 30 s of silence."""
log = structlog.get_logger(__name__)


def next_wait_s(response: Response | None, asked_s: int, failures: int) -> tuple[float, bool]:
    """Return how long to wait after an answer to a REGISTER, and whether it worked.

    Args:
        response: The final response; None for silence.
        asked_s: The lifetime that was asked for.
        failures: How many attempts in a row had failed before.
    """
    if response is not None and response.is_success:
        granted = response.number("expires") or asked_s
        for value in response.headers.values("contact"):
            for part in value.split(";")[1:]:
                name, _, seconds = part.partition("=")
                if name.strip().lower() == "expires" and seconds.strip().isdecimal():
                    granted = min(granted, int(seconds))
        # Early enough for two more attempts.
        return max(MIN_REFRESH_S, granted * 0.8 - 5), True
    pause_s = RETRY_S[min(failures, len(RETRY_S) - 1)]
    told_s = response.number("retry-after") if response is not None else None
    return max(pause_s, float(min(told_s or 0, 3600))), False


class Registration:
    """Keeps one account registered.

    Args:
        stack: What it stands on.
        account: The account.
        rng: Spreads attempts after a failure.
    """

    def __init__(self, stack: Stack, account: Account, rng: random.Random | None = None) -> None:
        self._stack, self._account = stack, account
        self._rng = rng or random.Random()  # noqa: S311 - no secret
        self._call_id, self._tag, self._seq = new_call_id(), new_tag(), 0
        self._expires_s = account.expires_s
        self._flow: Flow | None = None
        self.registered = False

    async def run(self) -> None:
        """Register, and again before it expires, until cancelled."""
        failures = 0
        while True:
            response = await self._register(self._expires_s)
            wait_s, worked = next_wait_s(response, self._expires_s, failures)
            self._tell(worked, response)
            failures = 0 if worked else failures + 1
            if not worked:
                wait_s *= self._rng.uniform(1.0, 1.3)
                if response is not None and response.status == 423:
                    minimum = response.number("min-expires") or self._expires_s
                    wait_s, self._expires_s = 0.1, min(max(minimum, self._expires_s), 86_400)
            await self._rest(wait_s)

    async def _rest(self, wait_s: float) -> None:
        """Wait, and keep open what leads through a NAT meanwhile; a lost connection ends it."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + wait_s
        while (left_s := until_s - loop.time()) > 0:
            await asyncio.sleep(min(left_s, KEEP_ALIVE_S))
            if not self.registered or self._flow is None:
                continue
            if self._flow.closed:
                return
            self._flow.send(PING)

    async def leave(self) -> None:
        """Unregister; a provider who does not answer forgets by itself."""
        if not self.registered:
            return
        try:
            async with asyncio.timeout(UNREGISTER_S):
                await self._register(0)
        except TimeoutError:
            log.debug("sip_unregister_is_late")
        self.registered = False

    def _tell(self, worked: bool, response: Response | None) -> None:
        if worked and not self.registered:
            log.info("sip_registered", provider=self._account.registrar.host)
        elif not worked:
            status = response.status if response is not None else "silence"
            log.warning("sip_not_registered", answer=status)
        self.registered = worked

    async def _register(self, expires_s: int) -> Response | None:
        try:
            flow = self._flow = await self._stack.transports.flow_to(self._account.hop)
        except (OSError, TimeoutError):
            return None
        request = self._request(flow, expires_s)
        response = await self._stack.request(request, flow, self._account)
        self._seq = max(self._seq, response.seq if response is not None else 0)
        return response

    def _request(self, flow: Flow, expires_s: int) -> Request:
        self._seq += 1
        account = self._account
        who = provider_uri(account, account.user)
        lines = (
            ("max-forwards", MAX_FORWARDS),
            ("from", f"<{who}>;tag={self._tag}"),
            ("to", f"<{who}>"),
            ("call-id", self._call_id),
            ("cseq", f"{self._seq} REGISTER"),
            self._stack.contact(flow, account.user),
            ("expires", str(expires_s)),
            ALLOW,
            SUPPORTED,
            USER_AGENT,
        )
        return Request(Headers(lines), b"", "REGISTER", account.registrar)
