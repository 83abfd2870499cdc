"""Dialogs: what two user agents keep of each other during a call (RFC 3261 section 12).

A `Dialog` is a value; what makes requests or takes them returns the dialog as it is then.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace

from apps.core.errors import ProtocolError
from apps.voice.doors.sip.headers import Headers
from apps.voice.doors.sip.message import REASONS, Request, Response
from apps.voice.doors.sip.uri import Uri, read_address

DialogId = tuple[str, str, str]
MAX_FORWARDS = "70"


@dataclass(frozen=True, slots=True)
class Dialog:
    """One dialog as this side sees it.

    Attributes:
        call_id: The Call-ID.
        local: This side's From or To value, with its tag.
        remote: The peer's, with its tag where it has one.
        local_tag: This side's tag.
        remote_tag: The peer's tag; empty with implementations of RFC 2543.
        target: Where requests are sent: the peer's Contact.
        route: The proxies that want to see them, nearest first.
        local_seq: The number of the last request sent.
        remote_seq: The number of the last request received; None before the first.
    """

    call_id: str
    local: str
    remote: str
    local_tag: str
    remote_tag: str
    target: Uri
    route: tuple[str, ...] = ()
    local_seq: int = 0
    remote_seq: int | None = None

    @property
    def id(self) -> DialogId:
        """By what requests within it are found."""
        return (self.call_id, self.local_tag, self.remote_tag)

    def request(self, method: str, body: bytes = b"", *extra: tuple[str, str]) -> Turn:
        """Return the dialog and its next request, still without Via."""
        after = replace(self, local_seq=self.local_seq + 1)
        return after, after._make(method, after.local_seq, body, extra)

    def ack(self, seq: int, *extra: tuple[str, str]) -> Request:
        """Return the ACK of a 2xx to an INVITE of this number, still without Via."""
        return self._make("ACK", seq, b"", extra)

    def _make(
        self, method: str, seq: int, body: bytes, extra: tuple[tuple[str, str], ...]
    ) -> Request:
        uri, route = self.target, self.route
        if route and "lr" not in read_address(route[0]).uri.params:  # a strict router
            uri, route = read_address(route[0]).uri, (*route[1:], f"<{self.target}>")
        lines = [
            ("max-forwards", MAX_FORWARDS),
            *(("route", value) for value in route),
            ("from", self.local),
            ("to", self.remote),
            ("call-id", self.call_id),
            ("cseq", f"{seq} {method}"),
            *extra,
        ]
        return Request(Headers(tuple(lines)), body, method, uri)

    @property
    def next_hop(self) -> Uri:
        """Where a request of this dialog goes first."""
        return read_address(self.route[0]).uri if self.route else self.target

    def take(self, request: Request) -> Dialog:
        """Note a request of the peer's.

        Raises:
            ProtocolError: It is older than one that came before.
        """
        if self.remote_seq is not None and request.seq <= self.remote_seq:
            raise ProtocolError("A request came out of order.", code="out_of_order")
        return replace(self, remote_seq=request.seq).refreshed(request)

    def refreshed(self, message: Request | Response) -> Dialog:
        """Return it with the peer's newest Contact, which re-INVITE and UPDATE may change."""
        contact = message.contact
        refreshes = message.seq_method in ("INVITE", "UPDATE")
        if contact is None or not refreshes or not contact.uri.is_sip:
            return self
        return replace(self, target=contact.uri)


Turn = tuple[Dialog, Request]


def new_tag() -> str:
    """Return a tag, which nobody can guess."""
    return secrets.token_hex(8)


def new_call_id() -> str:
    """Return a Call-ID."""
    return secrets.token_hex(16)


def uas_dialog(invite: Request, local_tag: str) -> Dialog:
    """Return the dialog that an INVITE begins at the side that is called.

    Raises:
        ProtocolError: It has no Contact that could be reached by SIP.
    """
    contact = invite.contact
    if contact is None or not contact.uri.is_sip:
        raise ProtocolError("An INVITE has no SIP Contact.", code="bad_message")
    return Dialog(
        call_id=invite.call_id,
        local=f"{invite.headers.get('to')};tag={local_tag}",
        remote=invite.headers.get("from"),
        local_tag=local_tag,
        remote_tag=invite.sender.tag,
        target=contact.uri,
        route=tuple(invite.headers.values("record-route")),
        remote_seq=invite.seq,
    )


def uac_dialog(invite: Request, response: Response) -> Dialog:
    """Return the dialog that a 2xx begins at the side that calls.

    Raises:
        ProtocolError: The response has no Contact that could be reached by SIP.
    """
    contact = response.contact
    if contact is None or not contact.uri.is_sip:
        raise ProtocolError("An answer has no SIP Contact.", code="bad_message")
    return Dialog(
        call_id=invite.call_id,
        local=invite.headers.get("from"),
        remote=response.headers.get("to"),
        local_tag=invite.sender.tag,
        remote_tag=response.recipient.tag,
        target=contact.uri,
        route=tuple(reversed(response.headers.values("record-route"))),
        local_seq=invite.seq,
    )


def response_to(
    request: Request,
    status: int,
    *extra: tuple[str, str],
    tag: str = "",
    body: bytes = b"",
    reason: str = "",
) -> Response:
    """Return a response: Via, From, To, Call-ID and CSeq are the request's.

    Args:
        request: What is answered.
        status: The status.
        *extra: More headers.
        tag: The tag of this side, where To has none yet.
        body: Its body.
        reason: Its reason; the usual one when empty.
    """
    to = request.headers.get("to")
    if tag and not request.recipient.tag:
        to = f"{to};tag={tag}"
    lines = [
        *(("via", value) for value in request.headers.values("via")),
        ("from", request.headers.get("from")),
        ("to", to),
        ("call-id", request.call_id),
        ("cseq", request.headers.get("cseq")),
    ]
    if 100 < status < 300 and request.method == "INVITE":
        lines += [("record-route", v) for v in request.headers.values("record-route")]
    headers = Headers((*lines, *extra))
    return Response(headers, body, status, reason or REASONS.get(status, "Status"))


def ack_of_failure(request: Request, response: Response) -> Request:
    """Return the ACK of a failed INVITE, which belongs to its transaction."""
    headers = request.headers
    lines = [
        ("via", headers.values("via")[0]),
        ("max-forwards", MAX_FORWARDS),
        ("from", headers.get("from")),
        ("to", response.headers.get("to")),
        ("call-id", request.call_id),
        ("cseq", f"{request.seq} ACK"),
        *(("route", value) for value in headers.lines_of("route")),
    ]
    return Request(Headers(tuple(lines)), b"", "ACK", request.uri)
