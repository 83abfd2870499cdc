"""Session descriptions (SDP, RFC 8866) as telephones write them, read leniently but safely.

What matters to a call is kept; what is unknown or odd is passed over, so that a telephone's quirk
costs no call. Nothing here decides: `negotiation.py` does.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum
from ipaddress import ip_address

from apps.core.errors import ProtocolError
from apps.voice.rtp.srtp import Crypto, read_crypto

MAX_BYTES = 16_384
MAX_MEDIA = 8
MAX_FORMATS = 64
MAX_CRYPTO = 16

Address = tuple[str, int]
"""A host's address as text, and a port."""


class Direction(Enum):
    """Which way media flows, as seen by whoever wrote the description."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"

    @property
    def sends(self) -> bool:
        """Whether the writer sends."""
        return self in (Direction.SENDRECV, Direction.SENDONLY)

    @property
    def receives(self) -> bool:
        """Whether the writer receives."""
        return self in (Direction.SENDRECV, Direction.RECVONLY)


def direction_of(*, sends: bool, receives: bool) -> Direction:
    """Return the direction of a writer who sends and receives so."""
    if sends:
        return Direction.SENDRECV if receives else Direction.SENDONLY
    return Direction.RECVONLY if receives else Direction.INACTIVE


@dataclass(frozen=True, slots=True)
class Format:
    """What a payload type means.

    Attributes:
        payload_type: 0 to 127.
        name: In capitals: PCMU, PCMA, G722, OPUS, TELEPHONE-EVENT, ...
        clock_hz: Of its timestamps.
        parameters: The text of its `a=fmtp`; may be empty.
    """

    payload_type: int
    name: str
    clock_hz: int
    parameters: str = ""


STATIC_FORMATS = {
    0: Format(0, "PCMU", 8000),
    3: Format(3, "GSM", 8000),
    8: Format(8, "PCMA", 8000),
    9: Format(9, "G722", 8000),  # samples at 16 kHz; RFC 3551 keeps an old mistake on purpose
    13: Format(13, "CN", 8000),
    18: Format(18, "G729", 8000),
}
"""Payload types that need no `a=rtpmap`."""


@dataclass(frozen=True, slots=True)
class Media:
    """One `m=` section.

    Attributes:
        kind: ``audio``, ``video``, ...
        port: 0 when it is refused or switched off.
        protocol: ``RTP/AVP``, ``RTP/SAVP``, ...
        tokens: Its format tokens as they were written.
        host: Where media is to be sent: an IP address; empty when none is said that could be.
        direction: Of the writer.
        formats: What its payload types mean, in the writer's order.
        crypto: Its keys that are supported, in the writer's order.
        rtcp_mux: The writer takes RTCP on the same port.
        rtcp_port: Where RTCP goes otherwise.
        ptime_ms: How much audio the writer wants in a packet; 0 when it says nothing.
    """

    kind: str
    port: int
    protocol: str
    tokens: tuple[str, ...]
    host: str = ""
    direction: Direction = Direction.SENDRECV
    formats: tuple[Format, ...] = ()
    crypto: tuple[Crypto, ...] = ()
    rtcp_mux: bool = False
    rtcp_port: int = 0
    ptime_ms: int = 0

    @property
    def on_hold(self) -> bool:
        """Whether the writer does not want to hear us."""
        return not self.direction.receives or _unspecified(self.host)


@dataclass(frozen=True, slots=True)
class Description:
    """A session description.

    Attributes:
        session_id: Of its `o=` line, as text.
        version: Of its `o=` line: the same as before means that nothing has changed.
        media: Its `m=` sections in order.
    """

    session_id: str
    version: str
    media: tuple[Media, ...]


@dataclass(slots=True)
class _Section:
    """The lines of the session or of one `m=` section, as far as they are read."""

    media: Media | None = None
    host: str | None = None
    direction: Direction | None = None
    maps: dict[int, Format] = field(default_factory=dict)
    parameters: dict[int, str] = field(default_factory=dict)
    crypto: list[Crypto] = field(default_factory=list)
    rtcp_mux: bool = False
    rtcp_port: int = 0
    ptime_ms: int = 0


def read_sdp(body: bytes) -> Description:
    """Read a session description.

    Raises:
        ProtocolError: With code ``bad_sdp``: too long, or no description at all.
    """
    if len(body) > MAX_BYTES:
        raise ProtocolError("A session description is too long.", code="bad_sdp")
    session, sections, origin = _Section(), list[_Section](), ("", "")
    for line in body.decode("utf-8", "replace").replace("\r", "\n").split("\n"):
        kind, equals, value = line.strip().partition("=")
        current = sections[-1] if sections else session
        match kind, equals:
            case "m", "=":
                if len(sections) == MAX_MEDIA:
                    raise ProtocolError("A session has too many media.", code="bad_sdp")
                sections.append(_Section(_media(value)))
            case "o", "=":
                origin = _origin(value)
            case "c", "=":
                current.host = _host(value)
            case "a", "=":
                _attribute(current, value)
    if not sections:
        raise ProtocolError("A session description names no media.", code="bad_sdp")
    return Description(*origin, tuple(_whole(section, session) for section in sections))


def _origin(value: str) -> tuple[str, str]:
    words = value.split()
    return (words[1][:64], words[2][:64]) if len(words) >= 3 else ("", "")


def _media(value: str) -> Media:
    match value.split():
        case [kind, port, protocol, *tokens] if len(tokens) <= MAX_FORMATS:
            number = _number(port.partition("/")[0], 65_535)
            if number is not None and len(value) <= 1000:
                return Media(kind.lower(), number, protocol.upper(), tuple(tokens))
    raise ProtocolError("An m= line is not right.", code="bad_sdp")


def _host(value: str) -> str:
    """Return the address of a `c=` line; names are not looked up."""
    match value.split():
        case ["IN", "IP4" | "IP6", address, *_]:
            try:
                host = ip_address(address.partition("/")[0])
            except ValueError:
                return ""
            return "" if host.is_multicast or host.packed == b"\xff" * 4 else str(host)
    return ""


def _attribute(section: _Section, value: str) -> None:
    name, _, rest = value.strip().partition(":")
    match name.lower():
        case "sendrecv" | "sendonly" | "recvonly" | "inactive" as direction:
            section.direction = Direction(direction)
        case "rtpmap":
            _rtpmap(section, rest)
        case "fmtp":
            token, _, parameters = rest.strip().partition(" ")
            if (payload_type := _number(token, 127)) is not None:
                section.parameters[payload_type] = parameters.strip()[:200]
        case "ptime":
            section.ptime_ms = _number(rest.strip().partition(".")[0], 1000) or 0
        case "rtcp-mux":
            section.rtcp_mux = True
        case "rtcp":
            section.rtcp_port = _number(rest.strip().partition(" ")[0], 65_535) or 0
        case "crypto" if len(section.crypto) < MAX_CRYPTO:
            if (crypto := read_crypto(rest)) is not None:
                section.crypto.append(crypto)


def _rtpmap(section: _Section, rest: str) -> None:
    match rest.split():
        case [token, encoding, *_]:
            name, _, clock = encoding.partition("/")
            payload_type = _number(token, 127)
            clock_hz = _number(clock.partition("/")[0], 400_000)
            if payload_type is not None and clock_hz and len(name) <= 40:
                section.maps[payload_type] = Format(payload_type, name.upper(), clock_hz)


def _whole(section: _Section, session: _Section) -> Media:
    """Return a section with what the session says for all of them."""
    media = section.media
    assert media is not None
    known = STATIC_FORMATS | section.maps
    types = dict.fromkeys(_number(token, 127) for token in media.tokens)
    return replace(
        media,
        host=(session.host or "") if section.host is None else section.host,
        direction=section.direction or session.direction or Direction.SENDRECV,
        formats=tuple(
            replace(known[kind], parameters=section.parameters.get(kind, ""))
            for kind in types
            if kind is not None and kind in known
        ),
        crypto=tuple(section.crypto),
        rtcp_mux=section.rtcp_mux or session.rtcp_mux,
        rtcp_port=section.rtcp_port,
        ptime_ms=section.ptime_ms or session.ptime_ms,
    )


def _number(text: str, most: int) -> int | None:
    """Return a plain decimal number up to `most`, or None."""
    if text.isascii() and text.isdecimal() and len(text) <= 9 and int(text) <= most:
        return int(text)
    return None


def _unspecified(host: str) -> bool:
    return host in ("0.0.0.0", "::")  # noqa: S104 - RFC 2543's way of saying "on hold"
