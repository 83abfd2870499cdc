"""The headers of SIP messages: their lines, values, and the few that every message must have."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from apps.core.errors import ProtocolError
from apps.voice.doors.sip.uri import NAME, read_params, split_outside

MAX_HEADERS = 200
MAX_NUMBER = 2**31 - 1

_HEADER = re.compile(rf"({NAME})[ \t]*:(.*)", re.DOTALL)
_VIA = re.compile(
    rf"SIP\s*/\s*2\.0\s*/\s*({NAME})\s+"
    r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9.\-_]{1,253})(?:\s*:\s*(\d{1,5}))?",
    re.IGNORECASE,
)
_CSEQ = re.compile(rf"(\d{{1,10}})\s+({NAME})", re.ASCII)
_CALL_ID = re.compile(r"[!-~]{1,256}")
_COMPACT = {
    "i": "call-id",
    "m": "contact",
    "e": "content-encoding",
    "l": "content-length",
    "c": "content-type",
    "f": "from",
    "s": "subject",
    "k": "supported",
    "t": "to",
    "v": "via",
    "r": "refer-to",
    "b": "referred-by",
    "x": "session-expires",
    "o": "event",
    "u": "allow-events",
}
_SPELT = {"call-id": "Call-ID", "cseq": "CSeq", "www-authenticate": "WWW-Authenticate"}


class BadMessage(ProtocolError):
    """A message that cannot be used.

    Attributes:
        status: What a request like it is answered by.
        headers: Its headers as far as they could be read, to answer it; empty for a response.
    """

    code = "bad_message"

    def __init__(self, message: str, *, status: int = 400, headers: Headers | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers if headers is not None else Headers()


@dataclass(frozen=True, slots=True)
class Headers:
    """A message's headers in their order, by their long names in small letters."""

    lines: tuple[tuple[str, str], ...] = ()

    def get(self, name: str) -> str:
        """Return a header's first line; empty without one."""
        return next((value for key, value in self.lines if key == name), "")

    def has(self, name: str) -> bool:
        """Tell whether a header is there, be it empty."""
        return any(key == name for key, _ in self.lines)

    def lines_of(self, name: str) -> list[str]:
        """Return a header's lines as they stand."""
        return [value for key, value in self.lines if key == name]

    def values(self, name: str) -> list[str]:
        """Return the values of a header that may hold several, from all its lines."""
        return [part for line in self.lines_of(name) for part in split_outside(line, ",") if part]

    def tokens(self, name: str) -> set[str]:
        """Return a header's values in small letters."""
        return {value.lower() for value in self.values(name)}

    def plus(self, *lines: tuple[str, str]) -> Headers:
        """Return them with more lines at the end."""
        return Headers((*self.lines, *lines))

    def without(self, *names: str) -> Headers:
        """Return them without some."""
        return Headers(tuple(line for line in self.lines if line[0] not in names))

    def with_first_via(self, via: str) -> Headers:
        """Return them with another topmost Via value."""
        rest = self.values("via")[1:]
        vias = [("via", value) for value in (via, *rest)]
        return Headers((*vias, *self.without("via").lines))


@dataclass(frozen=True, slots=True)
class Via:
    """One hop of a request.

    Attributes:
        transport: ``UDP``, ``TCP``, ``TLS`` or another.
        host: Where the response is to go, as the sender sees itself.
        port: Its port, where one is named.
        params: ``branch``, ``rport``, ``received`` and others.
    """

    transport: str
    host: str
    port: int | None
    params: dict[str, str]

    @property
    def branch(self) -> str:
        """The transaction's name; empty with implementations of RFC 2543."""
        return self.params.get("branch", "")

    def __str__(self) -> str:
        port = f":{self.port}" if self.port else ""
        params = "".join(f";{k}={v}" if v else f";{k}" for k, v in self.params.items())
        return f"SIP/2.0/{self.transport} {self.host}{port}{params}"


def read_via(value: str) -> Via:
    """Read one Via value.

    Raises:
        BadMessage: It is not right.
    """
    head, semicolon, params = value.partition(";")
    match = _VIA.fullmatch(head.strip())
    if match is None or (match[3] and not 0 < int(match[3]) < 65536):
        raise BadMessage("A Via header is not right.")
    port = int(match[3]) if match[3] else None
    return Via(match[1].upper(), match[2], port, read_params(semicolon + params))


def read_headers(lines: Iterable[str]) -> Headers:
    """Read the head's lines after the first; folded ones are joined.

    Raises:
        BadMessage: A line is no header, or there are too many.
    """
    found: list[tuple[str, str]] = []
    for line in _unfolded(lines):
        match = _HEADER.fullmatch(line)
        if match is None or len(found) >= MAX_HEADERS:
            raise BadMessage("A message has a line that is no header, or too many.")
        name = match[1].lower()
        found.append((_COMPACT.get(name, name), match[2].strip()))
    return Headers(tuple(found))


def _unfolded(lines: Iterable[str]) -> Iterator[str]:
    whole: list[str] = []
    for line in lines:
        if "\r" in line or "\n" in line:  # would become a line of its own where it is sent on
            raise BadMessage("A line of a message ends in a wrong way.")
        if line[:1] in (" ", "\t") and whole:
            whole.append(line.strip())
            continue
        if whole:
            yield " ".join(whole)
        whole = [line]
    if whole:
        yield " ".join(whole)


def spelt(name: str) -> str:
    """Return a header's name as it is usually written."""
    return _SPELT.get(name) or "-".join(part.capitalize() for part in name.split("-"))


def read_cseq(headers: Headers) -> tuple[int, str]:
    """Return CSeq's number and method.

    Raises:
        BadMessage: It is missing or wrong.
    """
    match = _CSEQ.fullmatch(headers.get("cseq"))
    if match is None or int(match[1]) > MAX_NUMBER:
        raise BadMessage("A message has no CSeq, or a bad one.")
    return int(match[1]), match[2]


def content_length(headers: Headers) -> int | None:
    """Return how long the body is said to be, or None when nothing is said.

    Raises:
        BadMessage: It is no length that a message could have.
    """
    said = headers.get("content-length")
    if not headers.has("content-length"):
        return None
    if not re.fullmatch(r"\d{1,8}", said, re.ASCII):
        raise BadMessage("Content-Length is not right.")
    return int(said)
