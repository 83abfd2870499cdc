"""The SIP endpoint: who may call, what each request is answered by, and the calls themselves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from ipaddress import ip_address

import structlog

from apps.core.addresses import is_loopback
from apps.core.clock import loop_ms
from apps.core.errors import AtCapacity, ConfigError, ProtocolError, TomError
from apps.voice.doors.base import Door
from apps.voice.doors.sip import session_timer
from apps.voice.doors.sip.addresses import Peer
from apps.voice.doors.sip.auth import Guard
from apps.voice.doors.sip.call import SDP, SipCall
from apps.voice.doors.sip.dialog import DialogId, new_tag
from apps.voice.doors.sip.door import DOOR, SipDoor, read_request
from apps.voice.doors.sip.limits import AddressBuckets
from apps.voice.doors.sip.media import check_offer
from apps.voice.doors.sip.message import Request
from apps.voice.doors.sip.options import SipOptions
from apps.voice.doors.sip.pending import Incoming
from apps.voice.doors.sip.stack import ACCEPT, ALLOW, SUPPORTED, Stack
from apps.voice.doors.sip.uri import read_address

log = structlog.get_logger(__name__)

EXTENSIONS = {"timer"}
CALL_BURST = 10.0
GUESSES_PER_MINUTE = 6.0
GUESS_BURST = 20.0
"""Wrong passwords of one address; after those none of its proofs is looked at for a while."""
_STATUS = {"unknown_profile": 404, "not_acceptable": 488, "bad_sdp": 400}

Refusal = tuple[int, tuple[tuple[str, str], ...]]


class SipEndpoint:
    """Listens for calls and holds them.

    Args:
        options: How it is set up.
        take: Takes a call and stays with it to its end.
        admit: Raises when a door's call would not be taken.
    """

    def __init__(
        self,
        options: SipOptions,
        take: Callable[[Door], Awaitable[None]],
        admit: Callable[[str], None],
    ) -> None:
        self.options = options
        self._take, self._admit = take, admit
        self.stack = Stack(options, self._handle, self._acked, self._belongs)
        self._calls: dict[DialogId, SipCall] = {}
        self._limits = AddressBuckets(
            options.calls_per_minute / 60, max(CALL_BURST, options.calls_per_minute)
        )
        self._guesses = AddressBuckets(GUESSES_PER_MINUTE / 60, GUESS_BURST)
        self._guard = (
            Guard(options.realm, options.users, options.digests) if options.users else None
        )

    @property
    def bound(self) -> dict[str, Peer]:
        """The address and port of every transport that is open."""
        return self.stack.transports.bound

    async def open(self) -> None:
        """Listen.

        Raises:
            ConfigError: A port cannot be had.
        """
        try:
            await self.stack.open()
        except OSError as error:
            await self.stack.close()
            raise ConfigError(
                f"The SIP port {self.options.port} cannot be used: {error.strerror or error}.",
                hint="Set TOM_SIP_HOST and TOM_SIP_PORT.",
            ) from None
        for transport, (host, port) in self.bound.items():
            log.info("sip_listening", transport=transport, host=host, port=port)

    async def close(self) -> None:
        """Stop listening; calls that are left are not told."""
        await self.stack.close()

    def adopt(self, call: SipCall) -> None:
        """Let a call that was dialled take part: requests within its dialog find it."""
        self._calls[call.dialog.id] = call

    def forget(self, call: SipCall) -> None:
        """Forget a call that has ended."""
        self._calls.pop(call.dialog.id, None)

    # --- requests

    def _acked(self, ack: Request) -> None:
        call = self._call_of(ack)
        if call is not None:
            call.acked(ack)

    def _belongs(self, request: Request) -> bool:
        cancels = request.method == "CANCEL" and self.stack.exchange.invite_of(request)
        return bool(cancels) or self._call_of(request) is not None

    def _handle(self, incoming: Incoming) -> None:
        """Answer a request; whatever goes wrong with it stays with it."""
        try:
            self._route(incoming)
        except Exception:
            log.exception("sip_request_failed", method=incoming.request.method)
            incoming.respond(500, tag=new_tag())

    def _route(self, incoming: Incoming) -> None:
        request = incoming.request
        if not self._is_allowed(incoming.flow.peer[0]):
            incoming.respond_once(403)
        elif request.method == "CANCEL":
            self._cancel(incoming)
        elif request.recipient.tag:
            call = self._call_of(request)
            if call is None:
                incoming.respond_once(481)
            else:
                call.handle(incoming)
        elif unsupported := request.headers.tokens("require") - EXTENSIONS:
            names = ", ".join(sorted(unsupported))
            incoming.respond_once(420, ("unsupported", names))
        else:
            self._begin(incoming)

    def _is_allowed(self, host: str) -> bool:
        allowed = self.options.allowed
        return not allowed or any(ip_address(host) in network for network in allowed)

    def _call_of(self, request: Request) -> SipCall | None:
        return self._calls.get((request.call_id, request.recipient.tag, request.sender.tag))

    def _cancel(self, incoming: Incoming) -> None:
        invite = self.stack.exchange.invite_of(incoming.request)
        if invite is None:
            incoming.respond_once(481)
            return
        incoming.respond(200, tag=new_tag())
        for call in list(self._calls.values()):
            if call.is_of(invite):
                call.cancelled()

    def _begin(self, incoming: Incoming) -> None:
        """Answer a request outside of any call."""
        method = incoming.request.method
        if incoming.request.uri.scheme not in ("sip", "sips", "tel"):
            incoming.respond_once(416)
            return
        match method:
            case "INVITE":
                self._invite(incoming)
            case "OPTIONS":
                incoming.respond_once(200, ALLOW, ACCEPT, SUPPORTED)
            case "REGISTER" if self._guard is not None:
                if self._is_known(incoming):
                    self._register(incoming)
            case "BYE" | "INFO" | "UPDATE" | "NOTIFY":
                incoming.respond_once(481)
            case "SUBSCRIBE" | "PUBLISH":
                incoming.respond_once(489)
            case _:
                incoming.respond_once(405, ALLOW)

    def _is_known(self, incoming: Incoming) -> bool:
        """Tell whether a request proves a user's password; it is challenged if it does not."""
        if self._guard is None:
            return True
        now_ms, request, host = loop_ms(), incoming.request, incoming.flow.peer[0]
        stale = False
        for value in request.headers.lines_of("authorization"):
            if self._guesses.exhausted(host, now_ms):
                incoming.respond_once(503, ("retry-after", "60"))
                return False
            user, old = self._guard.judge(value, request.method, now_ms, host)
            if user:
                return True
            stale = stale or old
            if not old and self._guard.was_challenged(value, host):
                self._note_guess(host, now_ms)
        values = self._guard.challenges(now_ms, host, stale=stale)
        incoming.respond_once(401, *(("www-authenticate", v) for v in values))
        return False

    def _note_guess(self, host: str, now_ms: float) -> None:
        self._guesses.allows(host, now_ms)
        if self._guesses.exhausted(host, now_ms):
            log.warning("sip_wrong_passwords", why="One address sends them again and again.")

    def _register(self, incoming: Incoming) -> None:
        """Let a telephone that wants a registrar believe in one: nobody is called by it."""
        request = incoming.request
        expires = request.number("expires")
        seconds = min(600 if expires is None else expires, 3600)
        contacts = [value for value in request.headers.values("contact") if value != "*"]
        uris = [read_address(value).uri for value in contacts] if seconds else []
        lines = [("contact", f"<{uri}>;expires={seconds}") for uri in uris]
        incoming.respond(200, *lines, tag=new_tag())

    # --- calls

    def _invite(self, incoming: Incoming) -> None:
        request = incoming.request
        if not self._is_known(incoming):
            return
        refusal = self._refusal(incoming)
        if refusal is not None:
            status, lines = refusal
            incoming.respond_once(status, *lines)
            return
        if any(call.is_merged(request) for call in self._calls.values()):
            incoming.respond_once(482)
            return
        try:
            call = SipCall.of_invite(self.stack, incoming)
        except ProtocolError:
            incoming.respond_once(400)
            return
        self.adopt(call)
        door = SipDoor(call, read_request(request, self.options.profiles))
        self.stack.spawn(self._hold(call, door), "sip call")

    def _refusal(self, incoming: Incoming) -> Refusal | None:
        """Return why an INVITE is refused, or None when it may become a call."""
        request = incoming.request
        if request.body and request.content_type != SDP:
            return 415, (ACCEPT,)
        if request.headers.get("content-encoding").lower() not in ("", "identity"):
            return 415, (("accept-encoding", "identity"),)
        accepts = {value.partition(";")[0].strip() for value in request.headers.tokens("accept")}
        if accepts and not accepts & {SDP, "application/*", "*/*"}:
            return 406, (ACCEPT,)
        if session_timer.too_small(request):
            return 422, (("min-se", str(session_timer.MIN_SE_S)),)
        if self._calls_too_much(incoming.flow.peer[0]):
            return 480, (("retry-after", "60"),)
        try:
            check_offer(request.body, self.options.abilities)
            self._admit(DOOR)
        except TomError as error:
            return _refusal_for(error)
        return None

    def _calls_too_much(self, host: str) -> bool:
        """Tell whether an address that nobody vouches for begins more calls than it may.

        An exchange brings many callers from one address: it has a password, is named among the
        allowed peers, is the provider, or runs on this machine.
        """
        account = self.options.account
        is_provider = account is not None and host in (account.registrar.host, account.hop.host)
        if self._guard is not None or self.options.allowed or is_provider or is_loopback(host):
            return False
        return not self._limits.allows(host, loop_ms())

    async def _hold(self, call: SipCall, door: SipDoor) -> None:
        """Stay with a call to its end."""
        try:
            await self._take(door)
        except TomError as error:
            status, lines = _refusal_for(error)
            call.refuse(status, *lines)
        except Exception:
            log.exception("call_crashed")
            call.refuse(500)
        finally:
            await call.hang_up()
            self.forget(call)


def _refusal_for(error: TomError) -> Refusal:
    if isinstance(error, AtCapacity):
        return 503, (("retry-after", str(error.retry_after_s)),)
    return _STATUS.get(error.code, 500), ()
