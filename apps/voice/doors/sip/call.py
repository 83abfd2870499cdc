"""One SIP call after its INVITE: answering, re-INVITE, hold, keys, hand-over, and the end."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import structlog

from apps.core.clock import loop_ms
from apps.core.errors import ProtocolError, TomError
from apps.core.rate import TokenBucket
from apps.voice.doors.sip import session_timer
from apps.voice.doors.sip.caller_events import CallerEvents
from apps.voice.doors.sip.dialog import Dialog, new_tag, uas_dialog
from apps.voice.doors.sip.info import TYPES as INFO_TYPES
from apps.voice.doors.sip.info import read_key
from apps.voice.doors.sip.leg import Leg
from apps.voice.doors.sip.media import CallMedia
from apps.voice.doors.sip.message import Request, Response
from apps.voice.doors.sip.pending import Incoming
from apps.voice.doors.sip.refer import Progress
from apps.voice.doors.sip.session_clock import SessionClock
from apps.voice.doors.sip.stack import ACCEPT, ALLOW, SUPPORTED, Stack
from apps.voice.doors.sip.transport import Flow

SDP = "application/sdp"
SDP_TYPE = ("content-type", SDP)
ACK_S = 2.0
BYE_S = 3.0
REQUESTS_PER_S = 5.0
REQUEST_BURST = 50.0
"""Of one call: whoever types keys by INFO sends no more, and each is remembered for a while."""
log = structlog.get_logger(__name__)


class SipCall(Leg):
    """One call; made by an endpoint for an INVITE that came, or by dialling.

    Args:
        stack: What it stands on.
        flow: By which the peer is reached.
        dialog: The dialog as it begins.
    """

    def __init__(self, stack: Stack, flow: Flow, dialog: Dialog) -> None:
        super().__init__(stack, flow, dialog)
        self.media: CallMedia | None = None
        self.events = CallerEvents()
        self.progress: Progress | None = None
        self.answered = False
        self._invite: Incoming | None = None
        self._acked = asyncio.Event()
        self._pace = TokenBucket(REQUESTS_PER_S / 1000, REQUEST_BURST, loop_ms())
        self._clock = SessionClock(self._is_due, self._vanished)
        self._waiting_for_ack: Incoming | None = None
        self._awaits_answer = self._inviting = self._left = False

    @classmethod
    def of_invite(cls, stack: Stack, incoming: Incoming) -> SipCall:
        """Return the call that an INVITE asks for, still unanswered.

        Raises:
            ProtocolError: No dialog can begin with it.
        """
        call = cls(stack, incoming.flow, uas_dialog(incoming.request, new_tag()))
        call._invite = incoming
        call.note_peer(incoming.request)
        return call

    # --- answering

    async def answer(self) -> None:
        """Answer the INVITE, and wait a little for its ACK; what was cancelled stays so.

        Where it cannot be answered, for lack of a port perhaps, the caller is refused.
        """
        invite = self._invite
        if invite is None or self.events.ended.is_set():
            return
        try:
            media = await self.open_media()
            # A datagram's sender can be made up, and so can where it wants its audio: the ACK of
            # our answer shows that somebody is there.
            media.rtp.answers_only = True
            body = media.answer_to(invite.request.body) if invite.request.body else media.offer()
        except TomError as error:
            log.warning("sip_not_answered", code=error.code)
            self.events.gone(failed=True)
            self.refuse(488 if error.code == "not_acceptable" else 503)
            return
        if self._invite is None:  # cancelled meanwhile
            media.close()
            return
        self._awaits_answer = not invite.request.body
        invite.on_expired = self._vanished
        timer_lines = self._agree(invite.request)
        self._invite, self.answered = None, True
        invite.respond(200, *self.our_lines(timer_lines), SDP_TYPE, tag=self._tag, body=body)
        self._waiting_for_ack = invite
        self._look_at_hold()
        try:
            async with asyncio.timeout(ACK_S):
                await self._acked.wait()
        except TimeoutError:
            log.debug("sip_ack_is_late")

    async def open_media(self) -> CallMedia:
        """Open the call's RTP port.

        Raises:
            AtCapacity: Every port is taken.
        """
        options, peer = self.stack.options, self.flow.peer[0]
        self.media = await CallMedia.open(
            options.rtp,
            self.events.by_rtp,
            host=self.stack.host_for(peer),
            abilities=options.abilities,
            signalled_from=peer,
        )
        return self.media

    def refuse(self, status: int, *extra: tuple[str, str]) -> None:
        """Refuse the INVITE, unless it is answered."""
        invite, self._invite = self._invite, None
        if invite is not None:
            invite.respond(status, *extra, tag=self._tag)
        self.events.gone()
        self._stop()

    def is_of(self, invite: Incoming) -> bool:
        """Tell whether this is the unanswered call of an INVITE."""
        return self._invite is invite

    def is_merged(self, request: Request) -> bool:
        """Tell whether an INVITE is this call's own, come by another way (RFC 3261, 8.2.2.2)."""
        dialog = self.dialog
        same = (request.call_id, request.sender.tag, request.seq)
        return same == (dialog.call_id, dialog.remote_tag, dialog.remote_seq)

    def cancelled(self) -> None:
        """Take the caller's CANCEL: it changes nothing once the call is answered."""
        if self._invite is not None:
            self.refuse(487)

    def acked(self, ack: Request) -> None:
        """Take the ACK of a 2xx, with the answer to an offer of this side's."""
        if self._waiting_for_ack is not None and ack.seq == self._waiting_for_ack.request.seq:
            self._waiting_for_ack.acked()
            self._waiting_for_ack = None
            self._acked.set()
            if self.media is not None:
                self.media.rtp.answers_only = False
        if self._awaits_answer and self.media is not None:
            self._awaits_answer = False
            try:
                self.media.take_answer(ack.body)
            except ProtocolError:
                self.stack.spawn(self._give_up(), "sip give up")
            self._look_at_hold()

    @property
    def _tag(self) -> str:
        return self.dialog.local_tag

    # --- within the call

    def handle(self, incoming: Incoming) -> None:
        """Take a request of the peer's within the dialog."""
        request = incoming.request
        if request.method != "BYE" and not self._pace.take(loop_ms()):
            incoming.respond_once(500, ("retry-after", "1"))
            return
        try:
            self.dialog = self.dialog.take(request)
        except ProtocolError:
            incoming.respond(500, ("retry-after", "1"))
            return
        match request.method:
            case "BYE":
                incoming.respond(200)
                self._left = True
                if self.progress is not None:
                    self.progress.left()
                self.refuse(487)
            case "INVITE" | "UPDATE":
                self._change(incoming)
            case "INFO":
                self._info(incoming)
            case "NOTIFY" if self.progress is not None:
                incoming.respond(200)
                self.progress.notified(request)
            case "NOTIFY":
                incoming.respond(481)
            case "OPTIONS":
                incoming.respond(200, ALLOW, SUPPORTED, ACCEPT)
            case _:
                incoming.respond(405, ALLOW)

    def _change(self, incoming: Incoming) -> None:
        """Take a re-INVITE or UPDATE: hold, another codec or address, or a mere refresh."""
        request, media = incoming.request, self.media
        if media is None or not self.answered or self._waiting_for_ack is not None:
            incoming.respond(500, ("retry-after", "1"))
            return
        if self._inviting or self._awaits_answer:
            incoming.respond(491)
            return
        if session_timer.too_small(request):
            incoming.respond(422, ("min-se", str(session_timer.MIN_SE_S)))
            return
        if request.body and request.content_type != SDP:
            incoming.respond(415, ACCEPT)
            return
        is_invite = request.method == "INVITE"
        try:
            body = media.answer_to(request.body) if request.body else b""
        except ProtocolError as error:
            incoming.respond(488 if error.code == "not_acceptable" else 400)
            return
        if is_invite and not request.body:
            body, self._awaits_answer = media.offer(), True
        self.note_peer(request)
        self.flow = incoming.flow
        lines = self.our_lines(self._agree(request))
        if is_invite:
            self._waiting_for_ack = incoming
            incoming.on_expired = self._vanished
        incoming.respond(200, *lines, *((SDP_TYPE,) if body else ()), body=body)
        self._look_at_hold()

    def _look_at_hold(self) -> None:
        self.events.hold(self.media is not None and self.media.held)

    def _info(self, incoming: Incoming) -> None:
        try:
            key = read_key(incoming.request)
        except ProtocolError:
            incoming.respond(415, ("accept", INFO_TYPES))
            return
        incoming.respond(200)
        if key:
            self.events.by_info(key)

    # --- session timers

    def _agree(self, request: Request) -> tuple[tuple[str, str], ...]:
        timer, lines = session_timer.agree(request)
        self._clock.set(timer)
        return lines

    def agreed(self, response: Response) -> None:
        """Take the session timer of a peer's 2xx; without one, what was agreed goes on."""
        timer = session_timer.agreed(response)
        if timer is None:
            self._clock.wind()
        else:
            self._clock.set(timer)

    def _is_due(self) -> None:
        self.stack.spawn(self._refresh(), "sip session refresh")

    async def _refresh(self) -> None:
        """Show that this side is still here, and see whether the peer is."""
        assert self.media is not None
        lines = (*session_timer.offered(self._clock.interval_s), *self.our_lines())
        if self.peer_is_known and self.peer_allows("UPDATE"):
            response = await self.request("UPDATE", b"", *lines)
        else:
            response = await self._reinvite(lines)
        if response is None or response.status in (408, 481):
            self.events.gone(failed=True)
        elif response.is_success:
            self.agreed(response)
        elif response.status == 491:
            self._clock.wind()

    async def _reinvite(self, lines: tuple[tuple[str, str], ...]) -> Response | None:
        assert self.media is not None
        self._inviting = True
        try:
            response = await self.request("INVITE", self.media.offer(), *lines, SDP_TYPE)
        finally:
            self._inviting = False
        if response is not None and response.is_success:
            self.dialog = self.dialog.refreshed(response)
            with suppress(ProtocolError, OSError, TimeoutError):  # the media stay as they were
                await self.send_ack(response.seq)
                self.media.take_answer(response.body)
        return response

    # --- the end

    def _vanished(self) -> None:
        self.stack.spawn(self._give_up(), "sip give up")

    async def _give_up(self) -> None:
        """End a call whose peer no longer takes part."""
        self.events.gone(failed=True)
        await self.hang_up()

    async def hang_up(self) -> None:
        """End the call by BYE, unless the peer has; or refuse it, where it was never answered."""
        if not self.answered:
            self.refuse(480)
        elif not self._left:
            self._left = True
            self.events.gone()
            self._stop()
            await self._say_bye()

    async def _say_bye(self) -> None:
        try:
            async with asyncio.timeout(BYE_S):
                await self.request("BYE", b"")
        except TimeoutError:
            log.debug("sip_bye_is_late")

    def drop(self) -> None:
        """Free what a call holds that was never answered."""
        self.events.ended.set()
        self._stop()

    def _stop(self) -> None:
        """Free what the call holds."""
        self._clock.stop()
        if self.media is not None:
            self.media.close()
