"""The SIP door: one call of a telephone, or of a telephone exchange."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from apps.core.errors import ProtocolError, TransferFailed
from apps.voice.doors.base import CallerHungUp, CallRequest, Capabilities, DoorEvent
from apps.voice.doors.sip.call import SipCall
from apps.voice.doors.sip.message import Request
from apps.voice.doors.sip.refer import Progress
from apps.voice.doors.sip.uri import Uri, read_address, read_uri, sip_uri

DOOR = "sip"
TRANSFER_S = 25.0
PEER_BUFFER_MS = 40.0
"""As much as a telephone keeps back to even out the network's delays."""
LANGUAGES = ("de", "en")
_MAX_CALLER = 100


class SipDoor:
    """One call over SIP; `events` and everything that is sent go by its RTP session.

    An incoming call is answered once it is taken, which its first event, `call.started`, tells:
    until then it can still be refused.

    Args:
        call: The call.
        request: What is asked for.
    """

    name = DOOR

    def __init__(self, call: SipCall, request: CallRequest) -> None:
        self.call = call
        self.request = request
        self.capabilities = Capabilities(transfer=call.peer_allows("REFER"))

    @property
    def unplayed_ms(self) -> float:
        """What has not left yet, and what the telephone's own buffer holds."""
        media = self.call.media
        unsent_ms = media.rtp.unsent_ms if media is not None else 0.0
        return unsent_ms + PEER_BUFFER_MS if unsent_ms > 0 else 0.0

    async def events(self) -> AsyncGenerator[DoorEvent, None]:
        """Yield what comes from the caller."""
        while True:
            event = await self.call.events.next()
            yield event
            if isinstance(event, CallerHungUp):
                return

    async def play(self, frame: bytes) -> None:
        """Send one 20 ms frame."""
        if (
            self.call.answered
            and self.call.media is not None
            and not self.call.events.ended.is_set()
        ):
            self.call.media.rtp.play(frame)

    async def flush(self) -> None:
        """Drop what has not left yet; a telephone plays what it has got."""
        if self.call.media is not None:
            self.call.media.rtp.flush()

    async def tell(self, kind: str, data: Mapping[str, Any]) -> None:
        """Answer the telephone when the call is taken; it has nowhere to show anything."""
        if kind == "call.started":
            await self.call.answer()

    async def transfer(self, target: str, summary: str) -> None:
        """Ask the caller's side to call the person instead, by REFER.

        Raises:
            TransferFailed: It would not, or nobody answered there.
        """
        try:
            uri = refer_target(target, self.call.dialog.target)
        except ProtocolError:
            raise TransferFailed("The hand-over target is no telephone number.") from None
        progress = self.call.progress = Progress()
        try:
            async with asyncio.timeout(TRANSFER_S):
                await self._refer(uri, progress)
        except TimeoutError:
            raise TransferFailed("Nobody answered at the hand-over target in time.") from None
        finally:
            self.call.progress = None

    async def _refer(self, uri: Uri, progress: Progress) -> None:
        referred_by = f"<{read_address(self.call.dialog.local).uri}>"
        contact = self.call.stack.contact(self.call.flow)
        lines = (contact, ("refer-to", f"<{uri}>"), ("referred-by", referred_by))
        response = await self.call.request("REFER", b"", *lines)
        if response is None or not response.is_success:
            status = response.status if response is not None else "silence"
            raise TransferFailed(f"The caller's side answered the hand-over with {status}.")
        if not await progress.done:
            raise TransferFailed("Nobody answered at the hand-over target.")

    async def close(self, reason: str) -> None:
        """Hang up."""
        await self.call.hang_up()


def refer_target(target: str, peer: Uri) -> Uri:
    """Return the URI of a hand-over target; a number is dialled at the peer's own server.

    Raises:
        ProtocolError: It is neither a URI nor a number.
    """
    target = target.strip()
    if target.startswith(("sip:", "sips:")):
        return read_uri(target)
    number = dialable(target.removeprefix("tel:"))
    return sip_uri(number, peer.host, peer.port)


def dialable(number: str) -> str:
    """Return a number without what people write between its digits.

    Raises:
        ProtocolError: It is none.
    """
    bare = "".join(c for c in number if c not in " -./()")
    digits = bare.removeprefix("+")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 32):
        raise ProtocolError("That is no telephone number.", code="bad_number")
    return bare


def read_request(invite: Request, profiles: Mapping[str, str]) -> CallRequest:
    """Return what an INVITE asks for.

    Args:
        invite: The INVITE.
        profiles: The profile of each called user; `*` is everybody else's.

    Returns:
        The profile by the Request-URI's user, else To's; the language by the URI's parameter
        ``lang`` or the header ``X-Tom-Language``; the caller by P-Asserted-Identity, else From.
    """
    users = (invite.uri.user, invite.recipient.uri.user)
    profile = next((profiles[user] for user in users if user in profiles), profiles.get("*", ""))
    wanted = invite.uri.params.get("lang", "") or invite.headers.get("x-tom-language")
    language = wanted.strip().lower()[:2]
    return CallRequest(profile, language if language in LANGUAGES else "", caller_of(invite))


def caller_of(invite: Request) -> str:
    """Return who calls: a number as it is, anybody else as user@host; empty when anonymous."""
    asserted = invite.headers.values("p-asserted-identity")
    uris = [read_address(value).uri for value in asserted] or [invite.sender.uri]
    tel = next((uri for uri in uris if uri.scheme == "tel"), None)
    uri = tel or uris[0]
    if uri.host.lower() == "anonymous.invalid" or uri.user.lower() == "anonymous":
        return ""
    digits = uri.user.removeprefix("+")
    is_number = digits.isascii() and digits.isdigit() and len(digits) >= 5
    text = uri.user if is_number or not uri.host else f"{uri.user}@{uri.host}"
    return "".join(c for c in text if c.isprintable())[:_MAX_CALLER]
