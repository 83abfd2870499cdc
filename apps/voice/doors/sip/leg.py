"""This side's way to a call's peer: a dialog, its flow, and requests within it."""

from __future__ import annotations

from dataclasses import replace

from apps.voice.doors.sip.dialog import Dialog
from apps.voice.doors.sip.message import Message, Response
from apps.voice.doors.sip.stack import ALLOW, SUPPORTED, Stack
from apps.voice.doors.sip.transport import Flow


class Leg:
    """A dialog with the way by which its peer is reached.

    Args:
        stack: What it stands on.
        flow: By which the peer is reached.
        dialog: The dialog as it begins.
    """

    def __init__(self, stack: Stack, flow: Flow, dialog: Dialog) -> None:
        self.stack, self.flow, self.dialog = stack, flow, dialog
        self._peer_allows: frozenset[str] = frozenset()

    def note_peer(self, message: Message) -> None:
        """Keep what the peer says of itself."""
        if message.headers.has("allow"):
            self._peer_allows = frozenset(message.headers.values("allow"))

    @property
    def peer_is_known(self) -> bool:
        """Whether the peer has said which methods it takes."""
        return bool(self._peer_allows)

    def peer_allows(self, method: str) -> bool:
        """Tell whether the peer takes a method; one that says nothing is believed to."""
        return not self._peer_allows or method in self._peer_allows

    def our_lines(self, more: tuple[tuple[str, str], ...] = ()) -> tuple[tuple[str, str], ...]:
        """Return the headers by which this side describes itself, and more."""
        return (self.stack.contact(self.flow), ALLOW, SUPPORTED, *more)

    async def request(self, method: str, body: bytes, *extra: tuple[str, str]) -> Response | None:
        """Send a request within the dialog; None when the peer cannot be reached."""
        self.dialog, request = self.dialog.request(method, body, *extra)
        account = self.stack.options.account
        try:
            self.flow = await self.stack.flow_of(self.dialog, self.flow)
            response = await self.stack.request(request, self.flow, account)
        except (OSError, TimeoutError):
            return None
        if response is not None and response.seq > self.dialog.local_seq:  # challenged
            self.dialog = replace(self.dialog, local_seq=response.seq)
        return response

    async def send_ack(self, seq: int) -> None:
        """Acknowledge the 2xx of this side's INVITE.

        Raises:
            OSError: The peer cannot be reached.
        """
        self.flow = await self.stack.flow_of(self.dialog, self.flow)
        ack = self.stack.exchange.with_via(self.dialog.ack(seq), self.flow)
        self.flow.send(ack.encode())
