"""SIP and tel URIs, and the addresses in headers that hold them (RFC 3261 sections 19 and 25)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from apps.core.errors import ProtocolError

DEFAULT_PORTS = {"udp": 5060, "tcp": 5060, "tls": 5061}

NAME = r"[A-Za-z0-9\-.!%*_+`'~]+"
"""A token of RFC 3261, as a regular expression."""
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_HOST = r"\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9](?:[A-Za-z0-9.\-_]{0,252})"
_NAME_ONLY = re.compile(NAME)
# Words must be told apart by spaces: could they also touch, one long word would be tried as every
# row of shorter ones, which takes years.
_WORDS = rf"(?:{NAME}(?:\s+{NAME})*)?"
_DISPLAY = re.compile(rf"\s*({_QUOTED}|{_WORDS})\s*<([^<>]*)>\s*", re.DOTALL)
_PIECES = re.compile(rf"{_QUOTED}|<[^<>]*>|[^\"<>,;]+|[,;]", re.DOTALL)
_VALUE = re.compile(rf"{_QUOTED}|[^\s\"<>,;]*", re.DOTALL)
_SIP = re.compile(
    rf"(?P<scheme>sips?):(?:(?P<user>[A-Za-z0-9\-_.!~*'()&=+$,;?/%]+)(?::[^@\s<>\"]*)?@)?"
    rf"(?P<host>{_HOST})(?::(?P<port>\d{{1,5}}))?(?P<params>(?:;[^;?@\s<>\"]+)*)"
    r"(?P<headers>\?[^\s<>\"@]*)?",
    re.IGNORECASE,
)
_TEL = re.compile(r"tel:(?P<user>[+0-9A-Fa-f*#\-.()]+)(?P<params>(?:;[^;\s<>\"]+)*)", re.IGNORECASE)
_OTHER = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+\-.]*):[^\s<>\"]+")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True)
class Uri:
    """A URI, kept as it was written.

    Attributes:
        text: The whole URI.
        scheme: ``sip``, ``sips``, ``tel``, or another in small letters.
        user: The unescaped user, or the number of a tel URI.
        host: Its host; an IPv6 address without its brackets.
        port: Its port, where it names one.
        params: Its parameters by their names in small letters.
    """

    text: str
    scheme: str
    user: str = ""
    host: str = ""
    port: int | None = None
    params: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_sip(self) -> bool:
        """Whether it is a SIP URI, secure or not."""
        return self.scheme in ("sip", "sips")

    @property
    def transport(self) -> str:
        """The transport by which it is reached: ``udp``, ``tcp``, ``tls`` or an unknown one."""
        named = self.params.get("transport", "").lower()
        if self.scheme == "sips":
            return "tls"
        return named or "udp"

    def __str__(self) -> str:
        return self.text


def read_uri(text: str) -> Uri:
    """Read a URI of any scheme.

    Raises:
        ProtocolError: With code ``bad_uri``.
    """
    if not _BAD_ESCAPE.search(text):
        if match := _SIP.fullmatch(text):
            return _sip_uri(text, match)
        if match := _TEL.fullmatch(text):
            return Uri(text, "tel", match["user"], params=_uri_params(match["params"]))
        other = _OTHER.fullmatch(text)
        if other and other["scheme"].lower() not in ("sip", "sips", "tel"):
            return Uri(text, other["scheme"].lower())
    raise ProtocolError("An address is no valid URI.", code="bad_uri")


def _sip_uri(text: str, match: re.Match[str]) -> Uri:
    port = int(match["port"]) if match["port"] else None
    if port is not None and not 0 < port < 65536:
        raise ProtocolError("An address has an impossible port.", code="bad_uri")
    return Uri(
        text,
        match["scheme"].lower(),
        unquote(match["user"] or ""),
        match["host"].strip("[]"),
        port,
        _uri_params(match["params"]),
    )


def _uri_params(text: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in text.split(";")[1:])
    return {unquote(name).lower(): unquote(value) for name, _, value in pairs}


def sip_uri(
    user: str, host: str, port: int | None = None, *, transport: str = "", secure: bool = False
) -> Uri:
    """Make a SIP URI.

    Raises:
        ProtocolError: Its parts make no valid one.
    """
    name = f"{escape_user(user)}@" if user else ""
    bracketed = f"[{host}]" if ":" in host else host
    where = f":{port}" if port else ""
    by = f";transport={transport}" if transport and transport != "udp" else ""
    return read_uri(f"{'sips' if secure else 'sip'}:{name}{bracketed}{where}{by}")


def escape_user(user: str) -> str:
    """Return a user as it is written in a URI."""
    kept = re.compile(r"[A-Za-z0-9\-_.!~*'()&=+$,/]")
    return "".join(
        c if kept.fullmatch(c) else "".join(f"%{b:02X}" for b in c.encode()) for c in user
    )


@dataclass(frozen=True, slots=True)
class Address:
    """The value of a From, To, Contact, Route or alike header.

    Attributes:
        display: The name shown, without its quotes.
        uri: Whom it names.
        params: The header's parameters by their names in small letters; ``tag`` is one.
    """

    display: str
    uri: Uri
    params: Mapping[str, str] = field(default_factory=dict)

    @property
    def tag(self) -> str:
        """The dialog's tag of this side; empty without one."""
        return self.params.get("tag", "")


def read_address(value: str) -> Address:
    """Read a name-addr or addr-spec with its header's parameters.

    Raises:
        ProtocolError: With code ``bad_address`` or ``bad_uri``.
    """
    if match := _DISPLAY.match(value):
        display, uri, rest = match[1].strip(), match[2], value[match.end() :]
        if display.startswith('"'):
            display = unquoted(display)
        return Address(display, read_uri(uri), read_params(rest))
    uri, semicolon, rest = value.strip().partition(";")
    if any(mark in uri for mark in '?,"<>'):  # these belong into angle brackets
        raise ProtocolError("An address in a header is not right.", code="bad_address")
    return Address("", read_uri(uri.strip()), read_params(semicolon + rest))


def unquoted(text: str) -> str:
    """Return what a quoted string says."""
    return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)


def quoted(text: str) -> str:
    """Return a text as a quoted string."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def read_params(text: str) -> dict[str, str]:
    """Read ``;name=value;name`` of a header; quotes are taken off.

    Raises:
        ProtocolError: With code ``bad_parameter``.
    """
    text = text.strip()
    if not text:
        return {}
    first, *parts = split_outside(text, ";")
    if first:
        raise ProtocolError("A header's parameters are not right.", code="bad_parameter")
    return dict(read_pair(part) for part in parts)


def read_pair(part: str) -> tuple[str, str]:
    """Read one ``name=value`` or ``name``.

    Raises:
        ProtocolError: With code ``bad_parameter``.
    """
    name, _, value = (piece.strip() for piece in part.partition("="))
    if not _NAME_ONLY.fullmatch(name) or not _VALUE.fullmatch(value):
        raise ProtocolError("A header's parameter is not right.", code="bad_parameter")
    return name.lower(), unquoted(value) if value.startswith('"') else value


def split_outside(value: str, separator: str) -> list[str]:
    """Split at a comma or semicolon that is neither quoted nor within angle brackets.

    Raises:
        ProtocolError: A quote or bracket never ends.
    """
    return ["".join(part).strip() for part in _parts(value, separator)]


def _parts(value: str, separator: str) -> Iterator[list[str]]:
    part: list[str] = []
    at = 0
    while at < len(value):
        piece = _PIECES.match(value, at)
        if piece is None:
            raise ProtocolError("A quote or bracket is not closed.", code="bad_address")
        at = piece.end()
        if piece[0] == separator:
            yield part
            part = []
        else:
            part.append(piece[0])
    yield part
