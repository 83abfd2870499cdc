"""Calling out: an INVITE of this side's, to its answer."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from apps.core.errors import DialFailed, DialResult, ProtocolError, TomError
from apps.voice.doors.base import CallRequest
from apps.voice.doors.sip import session_timer
from apps.voice.doors.sip.call import SDP_TYPE, SipCall
from apps.voice.doors.sip.dialog import MAX_FORWARDS, Dialog, new_call_id, new_tag, uac_dialog
from apps.voice.doors.sip.door import DOOR, SipDoor, dialable
from apps.voice.doors.sip.endpoint import SipEndpoint
from apps.voice.doors.sip.headers import Headers
from apps.voice.doors.sip.message import Request, Response
from apps.voice.doors.sip.pending import Outgoing
from apps.voice.doors.sip.stack import (
    ALLOW,
    SUPPORTED,
    USER_AGENT,
    provider_uri,
    with_credentials,
)
from apps.voice.doors.sip.transport import Flow
from apps.voice.doors.sip.uri import Uri, read_uri, sip_uri

CANCEL_S = 5.0
_RESULTS: dict[int, DialResult] = {
    404: "unreachable",
    408: "no_answer",
    410: "unreachable",
    480: "no_answer",
    484: "unreachable",
    486: "busy",
    487: "no_answer",
    600: "busy",
    603: "declined",
    604: "unreachable",
    607: "declined",
}
_SENTENCES: dict[DialResult, str] = {
    "busy": "The line is busy.",
    "no_answer": "Nobody answered.",
    "declined": "The call was declined.",
    "unreachable": "The number cannot be reached.",
    "failed": "The call could not be put through.",
}


def failure(result: DialResult) -> DialFailed:
    """Return the error of a call that was not answered."""
    return DialFailed(_SENTENCES[result], code=result)


class SipDialer:
    """Calls telephones by SIP, through the provider where a number is to be called.

    Args:
        endpoint: The endpoint whose sockets are used.
    """

    name = DOOR

    def __init__(self, endpoint: SipEndpoint) -> None:
        self._endpoint, self._stack = endpoint, endpoint.stack

    async def dial(self, target: str, *, caller_id: str, timeout_s: float) -> SipDoor:
        """Call somebody, and wait until they answer.

        Cancelling it hangs up.

        Args:
            target: A number, or a SIP URI.
            caller_id: The number or SIP URI to show; the account's own when empty.
            timeout_s: So long it may ring.

        Raises:
            DialFailed: Nobody answered.
        """
        try:
            uri = self._uri(target)
            flow = await self._stack.transports.flow_to(self._hop(uri))
            call = self._call(uri, flow, self._from(caller_id, flow))
            await call.open_media()
        except ProtocolError:
            raise failure("unreachable") from None
        except (OSError, TimeoutError, TomError):
            raise failure("failed") from None
        answered = False
        try:
            await self._ring(call, timeout_s)
            answered = True
        finally:
            if not answered:
                call.drop()
        return SipDoor(call, CallRequest(caller=target, direction="outgoing"))

    # --- whom, and as whom

    def _uri(self, target: str) -> Uri:
        if target.startswith(("sip:", "sips:")):
            return read_uri(target)
        number = dialable(target.removeprefix("tel:"))
        account = self._stack.options.account
        if account is None:
            raise ProtocolError("Numbers are called through a provider, and there is none.")
        return provider_uri(account, number)

    def _hop(self, uri: Uri) -> Uri:
        account = self._stack.options.account
        same = account is not None and account.registrar.host == uri.host
        return account.hop if account is not None and same else uri

    def _from(self, caller_id: str, flow: Flow) -> str:
        account = self._stack.options.account
        if caller_id.startswith(("sip:", "sips:")):
            uri = read_uri(caller_id)
        elif account is not None:
            number = dialable(caller_id) if caller_id else account.user
            uri = provider_uri(account, number)
        else:
            host, port = self._stack.advertise(flow)
            uri = sip_uri(dialable(caller_id) if caller_id else "tom", host, port)
        return f"<{uri}>;tag={new_tag()}"

    def _call(self, uri: Uri, flow: Flow, sender: str) -> SipCall:
        tag = sender.rpartition("=")[2]
        dialog = Dialog(new_call_id(), sender, f"<{uri}>", tag, "", uri)
        return SipCall(self._stack, flow, dialog)

    # --- the call

    async def _ring(self, call: SipCall, timeout_s: float) -> None:
        outgoing = self._invite(call, 1)
        try:
            async with asyncio.timeout(timeout_s):
                response = await outgoing.final()
                account = self._stack.options.account
                if response is not None and account is not None:
                    again = with_credentials(outgoing.request, response, account)
                    if again is not None:
                        outgoing = self._stack.send(again, call.flow)
                        response = await outgoing.final()
        except TimeoutError:
            self._stack.spawn(self._cancel(call, outgoing), "sip cancel")
            raise failure("no_answer") from None
        except asyncio.CancelledError:
            self._stack.spawn(self._cancel(call, outgoing), "sip cancel")
            raise
        if response is None:
            raise failure("failed")
        if not response.is_success:
            raise failure(_RESULTS.get(response.status, "failed"))
        await self._answered(call, outgoing, response)

    def _invite(self, call: SipCall, seq: int) -> Outgoing:
        assert call.media is not None
        dialog = call.dialog
        lines = (
            ("max-forwards", MAX_FORWARDS),
            ("from", dialog.local),
            ("to", dialog.remote),
            ("call-id", dialog.call_id),
            ("cseq", f"{seq} INVITE"),
            self._stack.contact(call.flow),
            ALLOW,
            SUPPORTED,
            USER_AGENT,
            *session_timer.offered(),
            SDP_TYPE,
        )
        request = Request(Headers(lines), call.media.offer(), "INVITE", dialog.target)
        return self._stack.send(request, call.flow)

    async def _answered(self, call: SipCall, outgoing: Outgoing, response: Response) -> None:
        assert call.media is not None
        try:
            call.dialog = uac_dialog(outgoing.request, response)
            call.answered = True
            self._endpoint.adopt(call)
            self._stack.spawn(self._watch(call), "sip dialled call")
            outgoing.on_more = lambda again: self._once_more(call, outgoing, again)
            call.note_peer(response)
            await call.send_ack(response.seq)
            call.media.take_answer(response.body)
            call.agreed(response)
        except (ProtocolError, OSError, TimeoutError):
            await call.hang_up()
            raise failure("failed") from None

    async def _watch(self, call: SipCall) -> None:
        await call.events.ended.wait()
        await asyncio.sleep(0)  # the BYE's own answer still needs the dialog
        self._endpoint.forget(call)

    def _once_more(self, call: SipCall, outgoing: Outgoing, response: Response) -> None:
        """Take another 2xx: its ACK was lost, or a second telephone of a fork has answered."""
        if response.recipient.tag == call.dialog.remote_tag:
            self._stack.spawn(call.send_ack(response.seq), "sip ack")
        else:
            self._stack.spawn(self._end(call, outgoing, response), "sip fork")

    async def _cancel(self, call: SipCall, outgoing: Outgoing) -> None:
        """Stop the ringing; who answers just then is hung up on."""
        response = outgoing.last
        if response is None:  # RFC 3261 section 9.1: not before the peer has shown that it got it
            with suppress(TimeoutError):
                async with asyncio.timeout(CANCEL_S):
                    response = await outgoing.response()
        if response is not None and not response.is_final:
            self._stack.exchange.cancel(outgoing)
            with suppress(TimeoutError):
                async with asyncio.timeout(CANCEL_S):
                    response = await outgoing.final()
        if response is not None and response.is_success:
            await self._end(call, outgoing, response)

    async def _end(self, call: SipCall, outgoing: Outgoing, response: Response) -> None:
        """Acknowledge an answer that nobody wants any more, and hang up."""
        try:
            unwanted = SipCall(self._stack, call.flow, uac_dialog(outgoing.request, response))
            await unwanted.send_ack(response.seq)
            await unwanted.request("BYE", b"")
        except (ProtocolError, OSError, TimeoutError):
            return
