"""SIP messages: bytes to requests and responses, and back (RFC 3261 section 7).

Reading checks everything that handling a message later relies on, so that what has been read can
be used without further care. What cannot be used is refused with the status to answer it by.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from apps.core.errors import ProtocolError
from apps.voice.doors.sip.headers import (
    BadMessage,
    Headers,
    Via,
    content_length,
    read_cseq,
    read_headers,
    read_via,
    spelt,
)
from apps.voice.doors.sip.uri import NAME, Address, Uri, read_address, read_uri

MAX_MESSAGE_BYTES = 65_535
MAX_HEADERS = 200
MAX_NUMBER = 2**31 - 1
MAX_HEAD_BYTES = 16_384
MAX_PARTS = 250
"""Values and parameters of all headers: to read thousands would hold up every call."""

_REQUEST_LINE = re.compile(rf"({NAME}) (\S+) SIP/(\d{{1,3}}\.\d{{1,3}})", re.ASCII)
_STATUS_LINE = re.compile(r"SIP/2\.0 ([1-6]\d\d)(?: (.*))?", re.DOTALL)
_CALL_ID = re.compile(r"[!-~]{1,256}")
_ONCE = ("from", "to", "call-id", "cseq", "max-forwards", "content-length", "content-type")

REASONS = {
    100: "Trying",
    180: "Ringing",
    200: "OK",
    202: "Accepted",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    408: "Request Timeout",
    415: "Unsupported Media Type",
    416: "Unsupported URI Scheme",
    420: "Bad Extension",
    422: "Session Interval Too Small",
    480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist",
    482: "Loop Detected",
    486: "Busy Here",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    489: "Bad Event",
    491: "Request Pending",
    500: "Server Internal Error",
    501: "Not Implemented",
    503: "Service Unavailable",
    505: "Version Not Supported",
    603: "Decline",
}


@dataclass(frozen=True, slots=True)
class Message:
    """What requests and responses share; its headers have been checked where it was read."""

    headers: Headers = field(default_factory=Headers)
    body: bytes = b""

    @property
    def via(self) -> Via:
        """The topmost Via."""
        return read_via(self.headers.values("via")[0])

    @property
    def sender(self) -> Address:
        """The From header."""
        return read_address(self.headers.get("from"))

    @property
    def recipient(self) -> Address:
        """The To header."""
        return read_address(self.headers.get("to"))

    @property
    def call_id(self) -> str:
        """The Call-ID."""
        return self.headers.get("call-id")

    @property
    def seq(self) -> int:
        """The number of CSeq."""
        return read_cseq(self.headers)[0]

    @property
    def seq_method(self) -> str:
        """The method of CSeq."""
        return read_cseq(self.headers)[1]

    @property
    def contact(self) -> Address | None:
        """The first Contact, where there is one that is no ``*``."""
        values = self.headers.values("contact")
        return read_address(values[0]) if values and values[0] != "*" else None

    @property
    def content_type(self) -> str:
        """The body's type in small letters, without parameters."""
        return self.headers.get("content-type").partition(";")[0].strip().lower()

    def number(self, name: str) -> int | None:
        """Return a header's leading number, or None."""
        match = re.match(r"\d{1,9}", self.headers.get(name), re.ASCII)
        return int(match[0]) if match else None

    def _encode(self, first_line: str) -> bytes:
        lines = [
            f"{spelt(name)}: {value}\r\n"
            for name, value in self.headers.lines
            if name != "content-length"
        ]
        length = f"Content-Length: {len(self.body)}\r\n\r\n"
        return (first_line + "\r\n" + "".join(lines) + length).encode() + self.body


@dataclass(frozen=True, slots=True)
class Request(Message):
    """A SIP request."""

    method: str = ""
    uri: Uri = field(default_factory=lambda: Uri("", ""))

    def encode(self) -> bytes:
        """Return it as it goes over the wire."""
        return self._encode(f"{self.method} {self.uri} SIP/2.0")

    def plus(self, *lines: tuple[str, str]) -> Request:
        """Return it with more headers."""
        return replace(self, headers=self.headers.plus(*lines))


@dataclass(frozen=True, slots=True)
class Response(Message):
    """A SIP response."""

    status: int = 0
    reason: str = ""

    @property
    def is_final(self) -> bool:
        """Whether nothing follows it."""
        return self.status >= 200

    @property
    def is_success(self) -> bool:
        """Whether the request was carried out."""
        return 200 <= self.status < 300

    def encode(self) -> bytes:
        """Return it as it goes over the wire."""
        return self._encode(f"SIP/2.0 {self.status} {self.reason}")

    def plus(self, *lines: tuple[str, str]) -> Response:
        """Return it with more headers."""
        return replace(self, headers=self.headers.plus(*lines))


def read_message(data: bytes) -> Request | Response:
    """Read one message that came in a datagram or was cut from a stream.

    Raises:
        BadMessage: It cannot be used.
    """
    if len(data) > MAX_MESSAGE_BYTES:
        raise BadMessage("A message is too long.", status=513)
    head, end, rest = data.lstrip(b"\r\n").partition(b"\r\n\r\n")
    if len(head) > MAX_HEAD_BYTES or parts_of(head) > MAX_PARTS:
        raise BadMessage("A message's head is too long.", status=513)
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError:
        raise BadMessage("A message's head is not UTF-8.") from None
    if not end:
        raise BadMessage("A message's head does not end.")
    first, *lines = text.split("\r\n")
    headers = read_headers(lines)
    if first.startswith("SIP/"):
        return _read_response(first, headers, rest)
    try:
        return _read_request(first, headers, rest)
    except BadMessage as error:
        raise BadMessage(error.message, status=error.status, headers=headers) from None
    except ProtocolError as error:
        raise BadMessage(error.message, headers=headers) from None


def parts_of(head: bytes) -> int:
    """Return of how many values and parameters a head may consist."""
    return head.count(b",") + head.count(b";")


def _read_request(first: str, headers: Headers, rest: bytes) -> Request:
    match = _REQUEST_LINE.fullmatch(first)
    if match is None:
        raise BadMessage("A request's first line is not right.")
    if match[3] != "2.0":
        raise BadMessage("A request is of another version of SIP.", status=505)
    body = _check(headers, rest)
    request = Request(headers, body, match[1], read_uri(match[2]))
    if request.seq_method != request.method:
        raise BadMessage("A request's CSeq names another method.")
    if "?" in match[2]:
        raise BadMessage("A request's URI holds headers.")
    if (hops := headers.get("max-forwards")) and not re.fullmatch(r"0{0,5}\d{1,3}", hops, re.ASCII):
        raise BadMessage("Max-Forwards is not right.")
    return request


def _read_response(first: str, headers: Headers, rest: bytes) -> Response:
    match = _STATUS_LINE.fullmatch(first)
    if match is None:
        raise BadMessage("A response's first line is not right.")
    try:
        body = _check(headers, rest)
    except BadMessage:
        raise
    except ProtocolError as error:
        raise BadMessage(error.message) from None
    return Response(headers, body, int(match[1]), match[2] or "")


def _check(headers: Headers, rest: bytes) -> bytes:
    """Check the headers that every message must have, and return its body."""
    for name in _ONCE:
        if len(headers.lines_of(name)) > 1:
            raise BadMessage(f"A message has more than one {spelt(name)}.")
    if not headers.values("via"):
        raise BadMessage("A message has no Via.")
    for via in headers.values("via"):
        read_via(via)
    for name in ("from", "to"):
        read_address(headers.get(name))
    for name in ("contact", "route", "record-route", "p-asserted-identity", "refer-to"):
        for value in headers.values(name):
            if value != "*":
                read_address(value)
    if not _CALL_ID.fullmatch(headers.get("call-id")):
        raise BadMessage("A message has no Call-ID, or a bad one.")
    read_cseq(headers)
    for name in ("require", "supported", "accept", "allow"):
        headers.values(name)
    return _body(headers, rest)


def _body(headers: Headers, rest: bytes) -> bytes:
    length = content_length(headers)
    if length is not None and length > len(rest):
        raise BadMessage("A body is shorter than its Content-Length.")
    return rest if length is None else rest[:length]
