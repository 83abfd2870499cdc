"""Where every route brings its caller, and who counts as an operator."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Awaitable
from dataclasses import dataclass
from urllib.parse import urlsplit

import structlog
from starlette.requests import HTTPConnection

from apps.core.errors import TomError
from apps.dispatcher.switchboard import Switchboard
from apps.voice.doors.base import Door
from apps.voice.doors.peer import Socket, refuse

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Reception:
    """Shared by the routes of all doors.

    Attributes:
        switchboard: Takes the calls.
        operator_token: Opens operators' details to other machines.
    """

    switchboard: Switchboard
    operator_token: str

    async def serve(self, socket: Socket, accepting: Awaitable[Door]) -> None:
        """Serve one connection to its end; whatever goes wrong in it stays in it."""
        try:
            await self.switchboard.take(await accepting)
        except TomError as error:
            await refuse(socket, error)
        except Exception:
            log.exception("call_crashed")
            fault = TomError("A fault on the server's side ended the call.", hint="It was logged.")
            await refuse(socket, fault)

    def is_operator(self, peer: HTTPConnection, token: str) -> bool:
        """Tell whether a peer may see operators' details: one on this machine, or by the token."""
        host = peer.client.host if peer.client else None
        origin = peer.headers.get("origin")
        # A page of another site may be open in this machine's browser.
        local = is_loopback(host) and (origin is None or is_local_page(origin))
        return local or hmac.compare_digest(token.encode(), self.operator_token.encode())


def is_loopback(host: str | None) -> bool:
    """Tell whether a peer's address is this machine's own."""
    try:
        return host is not None and ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_same_origin(origin: str | None, host: str | None) -> bool:
    """Tell whether a browser's page was served by this server; other clients send no origin."""
    return origin is None or urlsplit(origin).netloc == host


def is_local_page(origin: str) -> bool:
    """Tell whether a page was served under this machine's own name."""
    name = urlsplit(origin).hostname
    return name == "localhost" or is_loopback(name)
