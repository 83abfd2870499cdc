"""Where every route brings its caller: who may call, who counts as an operator, what is refused."""

from __future__ import annotations

import hmac
import inspect
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace

import structlog
from fastapi.responses import JSONResponse
from starlette.requests import HTTPConnection
from starlette.responses import Response

from apps.core.addresses import is_loopback
from apps.core.clock import loop_ms
from apps.core.errors import AtCapacity, ProtocolError, TomError
from apps.dispatcher.outgoing.expected import Expected
from apps.dispatcher.switchboard import Switchboard
from apps.dispatcher.trust import (
    AddressBook,
    AddressLimits,
    Grant,
    TokenSigner,
    is_allowed_origin,
    is_local_host,
    is_local_page,
)
from apps.voice.doors.base import CallRequest, Door
from apps.voice.doors.peer import Socket, refuse

log = structlog.get_logger(__name__)

REFUSALS = ("busy", "too_many_calls")
"""Why a call is not taken though nothing is wrong with it."""
FROM_ELSEWHERE = "tom.from_elsewhere"
"""In a request's scope: it may come from anywhere, whatever its address says."""
FORWARDED = (
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
    "forwarded",
    "via",
)
"""What proxies add to the requests that they bring."""
_STATUS = {
    "forbidden": 403,
    "unknown_profile": 404,
    "unknown_call": 404,
    "already_rated": 409,
    "call_goes_on": 409,
    "not_rewarded": 409,
    "rating_expired": 410,
    "bad_type": 415,
    "busy": 503,
    "too_many_calls": 429,
    "too_many_ratings": 429,
    "internal": 500,
    "store": 503,
}


@dataclass(frozen=True, slots=True)
class Reception:
    """Shared by the routes of all doors.

    Attributes:
        switchboard: Takes the calls.
        operator_token: Opens operators' details to other machines, and signs call tokens.
        allowed_origins: Pages of other servers that may use the doors.
        require_token: Whether a browser's call from another machine needs a call token.
        limits: How much one address may call.
        trust_loopback: Whether requests from this machine count as an operator's.
        now_s: Tells the Unix time, for tokens.
        expected: Connections that carry on a call that was dialled here.
    """

    switchboard: Switchboard
    operator_token: str
    allowed_origins: frozenset[str] = frozenset()
    require_token: bool = False
    limits: AddressLimits = field(default_factory=AddressLimits)
    trust_loopback: bool = True
    now_s: Callable[[], float] = time.time
    expected: Expected = field(default_factory=Expected)
    _book: AddressBook = field(init=False, compare=False)
    _signer: TokenSigner = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """Derive what is kept between calls."""
        object.__setattr__(self, "_book", AddressBook(self.limits))
        object.__setattr__(self, "_signer", TokenSigner(self.operator_token))

    # --- serving

    async def serve(
        self,
        socket: Socket,
        accepting: Awaitable[Door],
        *,
        peer: HTTPConnection | None = None,
        door: str = "",
    ) -> None:
        """Serve one connection to its end; whatever goes wrong in it stays in it.

        Args:
            socket: The accepted connection.
            accepting: Reads what the caller wants, and is their door.
            peer: Where the connection comes from, if the limits per address apply to it. They do
                not to a carrier or a PBX, which brings many callers from one address.
            door: The door's name, with `peer`.
        """
        try:
            # Whether there is room is asked once the peer has said what it wants.
            with self._counted(door, peer) if peer is not None else nullcontext():
                caller = await accepting
                if token := caller.request.answers:
                    await self.expected.hold(token, caller)
                else:
                    await self.switchboard.take(caller)
        except TomError as error:
            await refuse(socket, error)
        except Exception:
            log.exception("call_crashed")
            await refuse(socket, fault())
        finally:
            if inspect.iscoroutine(accepting):
                accepting.close()  # nothing, once it has been awaited

    def line(self, door: str, peer: HTTPConnection) -> AbstractContextManager[None]:
        """Admit a call, and count it among its address's own for as long as the block lasts.

        Raises:
            AtCapacity: There is no room, or this address calls too much.
        """
        self.switchboard.admit(door)
        return self._counted(door, peer)

    @contextmanager
    def _counted(self, door: str, peer: HTTPConnection) -> Iterator[None]:
        self._charge(door, peer)
        address = address_of(peer)
        self._book.begin(address, loop_ms())
        try:
            yield
        finally:
            self._book.end(address)

    def admit(self, door: str, peer: HTTPConnection | None = None) -> None:
        """Check that a new call would be taken, and count it against its address.

        Args:
            door: The door's name.
            peer: Where the call comes from, if the limits per address apply to it; this machine's
                own calls are not limited.

        Raises:
            AtCapacity: There is no room (``busy``), or this address calls too much
                (``too_many_calls``).
        """
        self.switchboard.admit(door)
        if peer is not None:
            self._charge(door, peer)

    def _charge(self, door: str, peer: HTTPConnection) -> None:
        if is_local(peer):
            return
        if is_loopback(address_of(peer)) and any(name in peer.headers for name in FORWARDED):
            log.warning(
                "proxy_not_trusted",
                why="All its callers count as one address.",
                hint="Add the proxy's address to TOM_TRUSTED_PROXIES.",
            )
        try:
            self._book.call(address_of(peer), loop_ms())
        except AtCapacity as error:
            self.switchboard.refused(door, error)
            raise

    # --- who it is

    def check_page(self, peer: HTTPConnection) -> None:
        """Let in a page that this server served, or of an allowed origin, and who is no browser.

        Raises:
            ProtocolError: It is another site's page; code ``forbidden``.
        """
        if not self.allows_page(peer):
            raise ProtocolError(
                "Pages of another site may not call.",
                hint="Add the page's origin to TOM_ALLOWED_ORIGINS.",
                code="forbidden",
            )

    def allows_page(self, peer: HTTPConnection) -> bool:
        """Tell whether `check_page` would let a peer in."""
        headers = peer.headers
        return is_allowed_origin(headers.get("origin"), headers.get("host"), self.allowed_origins)

    def authorise(self, peer: HTTPConnection, request: CallRequest, token: str = "") -> CallRequest:
        """Return what a caller may have of what they ask for.

        Args:
            peer: Where the call comes from.
            request: What is asked for.
            token: The caller's token; the Authorization header's when empty.

        Returns:
            The request, with the profile and the language of the call token where it names them.

        Raises:
            ProtocolError: A call token is needed and missing, or is for something else; code
                ``forbidden``.
        """
        token = token or bearer(peer)
        grant = self.grant(token)
        if grant is not None:
            profile, language = grant.narrow(request.profile, request.language)
            return replace(request, profile=profile, language=language)
        if self.require_token and not self.is_operator(peer, token):
            raise ProtocolError(
                "A call needs a valid call token.",
                hint="It may have expired: load the page anew, or ask for a new link.",
                code="forbidden",
            )
        return request

    def grant(self, token: str) -> Grant | None:
        """Return what a call token grants now, or None when it is worth nothing."""
        return self._signer.read(token, self.now_s()) if token else None

    def sign(self, grant: Grant) -> str:
        """Return a call token."""
        return self._signer.sign(grant)

    def may_observe(self, peer: HTTPConnection, token: str = "") -> bool:
        """Tell whether a peer may see operators' details of its own call."""
        grant = self.grant(token or bearer(peer))
        return (grant is not None and grant.observe) or self.is_operator(peer, token)

    def is_operator(self, peer: HTTPConnection, token: str = "") -> bool:
        """Tell whether a peer is an operator: one on this machine, or by the operator token.

        Args:
            peer: Where the request comes from.
            token: What it sent; the Authorization header's when empty.
        """
        given = (token or bearer(peer)).encode()
        return is_local(peer) or hmac.compare_digest(given, self.operator_token.encode())

    # --- refusing

    def refusal(self, error: TomError) -> Response:
        """Return an error as an HTTP answer; one that passes says when in ``Retry-After``."""
        headers = {}
        if isinstance(error, AtCapacity):
            headers["Retry-After"] = str(error.retry_after_s)
        status = _STATUS.get(error.code, 503 if isinstance(error, AtCapacity) else 400)
        return JSONResponse({"error": error.as_dict()}, status_code=status, headers=headers)


def fault() -> TomError:
    """Return what the caller's side is told of a call that a defect ended."""
    return TomError("A fault on the server's side ended the call.", hint="It was logged.")


def for_operators() -> ProtocolError:
    """Return what somebody is told who is no operator."""
    return ProtocolError(
        "This is for operators.",
        hint="Send the operator token as `Authorization: Bearer ...`, or ask from this machine.",
        code="forbidden",
    )


def address_of(peer: HTTPConnection) -> str:
    """Return a peer's address: behind a proxy of TOM_TRUSTED_PROXIES, the one it forwards."""
    return peer.client.host if peer.client else ""


def bearer(peer: HTTPConnection) -> str:
    """Return the token of the Authorization header, or nothing."""
    scheme, _, token = peer.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def is_local(peer: HTTPConnection) -> bool:
    """Tell whether a request comes from this machine itself.

    A page of another site may be open in this machine's browser, under its own name or one that
    was made to point here; and a proxy on this machine brings requests from everywhere.
    """
    headers = peer.headers
    origin, host = headers.get("origin"), headers.get("host")
    return (
        is_loopback(address_of(peer))
        and not peer.scope.get(FROM_ELSEWHERE)
        and (origin is None or is_local_page(origin))
        and (host is None or is_local_host(host))
        and not any(name in headers for name in FORWARDED)
        # nginx as it comes adds no header, and names this machine as the host, but speaks HTTP/1.0.
        and peer.scope.get("http_version") != "1.0"
    )
