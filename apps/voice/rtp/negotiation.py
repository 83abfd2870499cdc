"""What two sides agree on (RFC 3264): pure, from their descriptions.

Incoming call: `negotiate(read_sdp(body), abilities, key)` and `write_answer(...)`.
Outgoing call: `write_offer(local, abilities)`, then `accept(read_sdp(body), local, abilities)`.
The same for re-INVITEs; `Local.version` goes up by one whenever our description changes.
A `ProtocolError` with code ``not_acceptable`` is SIP's 488, ``bad_sdp`` its 400.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from apps.core.audio import FRAME_MS
from apps.core.errors import ProtocolError
from apps.voice.rtp.sdp import (
    Address,
    Description,
    Direction,
    Format,
    Media,
    direction_of,
)
from apps.voice.rtp.srtp import SUITES, Crypto, write_crypto

CODECS = ("OPUS", "G722", "PCMA", "PCMU")
"""What can be spoken, the best first."""
EVENTS = "TELEPHONE-EVENT"
_CLOCKS_HZ = {"OPUS": 48_000, "G722": 8000, "PCMA": 8000, "PCMU": 8000}
_OUR_TYPES = {"OPUS": 107, "G722": 9, "PCMA": 8, "PCMU": 0}
_OUR_EVENT_TYPES = {8000: 101, 48_000: 110}
_PROTOCOLS = ("RTP/AVP", "RTP/AVPF", "RTP/SAVP", "RTP/SAVPF")
# Nobody's audio is below; other services are, which a caller shall not have us send to.
_FIRST_PORT = 1024
# Speech of more than 8 kHz would only be thrown away here.
_OPUS_PARAMETERS = "maxplaybackrate=16000;sprop-maxcapturerate=16000;stereo=0;useinbandfec=0"


@dataclass(frozen=True, slots=True)
class Abilities:
    """What we take part in.

    Attributes:
        codecs: Names from `CODECS`, the preferred one first.
        srtp: ``off``, ``offered`` (where the peer wants it) or ``required``.
    """

    codecs: tuple[str, ...] = CODECS
    srtp: str = "offered"


@dataclass(frozen=True, slots=True)
class Local:
    """Our side of a call's media.

    Attributes:
        host: The IP address that the peer is to send to.
        port: `RtpSession.local_port`.
        key: SRTP master key and salt of this call, `srtp.KEY_BYTES` random bytes.
        session_id: The same for the whole call; 1 to 2**62.
        version: One more whenever our description changes.
    """

    host: str
    port: int
    key: bytes
    session_id: int = 1
    version: int = 1


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of a call's two ways."""

    sending: Crypto
    receiving: Crypto


@dataclass(frozen=True, slots=True)
class Negotiated:
    """What a call's media are: give it to `RtpSession.connect`.

    Attributes:
        index: Which `m=` section of the peer's description carries the call.
        codec: What is spoken both ways; its payload type is the one that we send.
        receive_type: The payload type that the peer sends.
        event_types: Payload types of key presses that may come, with their clocks in Hz.
        remote: Where the peer wants to be sent to; None when it does not say, or on hold.
        rtcp_remote: The same for RTCP.
        rtcp_mux: RTCP shares the port.
        sends: Whether we may send now; False while we are on hold.
        hears: Whether the peer sends now.
        keys: For SRTP; None for plain RTP.
    """

    index: int
    codec: Format
    receive_type: int
    event_types: tuple[tuple[int, int], ...]
    remote: Address | None
    rtcp_remote: Address | None
    rtcp_mux: bool
    sends: bool
    hears: bool
    keys: Keys | None

    @property
    def direction(self) -> Direction:
        """The direction as our own description writes it."""
        return direction_of(sends=self.sends, receives=self.hears)


def negotiate(offer: Description, abilities: Abilities, key: bytes) -> Negotiated:
    """Choose what to answer to an offer: the first audio section that fits, encrypted ones first.

    Raises:
        ProtocolError: With code ``not_acceptable``: no audio section has a codec of ours, or the
            peer and we do not agree about encryption.
    """
    usable = [(i, media) for i, media in enumerate(offer.media) if _usable(media)]
    for index, media in sorted(usable, key=lambda item: not item[1].crypto):
        codec = _best(media.formats, abilities.codecs)
        theirs = _best_crypto(media, abilities)
        if codec is None or (theirs is None and _must_encrypt(media, abilities)):
            continue
        keys = Keys(replace(theirs, key=key), theirs) if theirs else None
        events = _event_types(media.formats, codec.clock_hz)
        return _agreed(index, media, codec, codec.payload_type, events, keys)
    raise ProtocolError(
        "A call offers no audio that is spoken here.",
        hint="Opus, G.722, PCMA and PCMU over RTP, or SRTP with SDES keys, are.",
        code="not_acceptable",
    )


def accept(answer: Description, local: Local, abilities: Abilities) -> Negotiated:
    """Take the answer to our own offer (`write_offer`).

    Raises:
        ProtocolError: With code ``not_acceptable``: it refuses, or takes what was not offered.
    """
    for index, media in enumerate(answer.media[:1]):
        codec = next((f for f in media.formats if _is_ours(f, abilities.codecs)), None)
        if not _usable(media) or codec is None:
            break
        theirs = _best_crypto(media, abilities)
        if theirs is None and _must_encrypt(media, abilities):
            break
        ours = next((c for c in _our_crypto(local) if theirs and c.suite == theirs.suite), None)
        keys = Keys(ours, theirs) if ours and theirs else None
        events = tuple((kind, hz) for hz, kind in _OUR_EVENT_TYPES.items())
        return _agreed(index, media, codec, _OUR_TYPES[codec.name], events, keys)
    raise ProtocolError("The peer's answer takes nothing of the offer.", code="not_acceptable")


def write_answer(offer: Description, negotiated: Negotiated, local: Local) -> bytes:
    """Return our answer; sections that the call does not use are refused."""
    lines = _session_lines(local)
    for index, media in enumerate(offer.media):
        if index != negotiated.index:
            tokens = " ".join(media.tokens) or "0"
            lines.append(f"m={media.kind} 0 {media.protocol} {tokens}")
            continue
        codec = replace(negotiated.codec, payload_type=negotiated.receive_type)
        events = [
            Format(kind, EVENTS, hz) for kind, hz in negotiated.event_types if hz == codec.clock_hz
        ] or [Format(kind, EVENTS, hz) for kind, hz in negotiated.event_types]
        lines += _media_lines(media.protocol, [codec, *events[:1]], local)
        lines.append(f"a={negotiated.direction.value}")
        if negotiated.keys:
            lines.append(f"a=crypto:{write_crypto(negotiated.keys.sending)}")
        if negotiated.rtcp_mux:
            lines.append("a=rtcp-mux")
    return _joined(lines)


def write_offer(
    local: Local, abilities: Abilities, direction: Direction = Direction.SENDRECV
) -> bytes:
    """Return an offer of one audio section with all that we speak.

    Encryption is offered only where `abilities.srtp` requires it: the plain profile and the
    encrypted one do not go together in one section.
    """
    formats = [Format(_OUR_TYPES[name], name, _CLOCKS_HZ[name]) for name in abilities.codecs]
    clocks = dict.fromkeys(format_.clock_hz for format_ in formats)
    formats += [Format(_OUR_EVENT_TYPES[hz], EVENTS, hz) for hz in clocks]
    secure = abilities.srtp == "required"
    lines = _session_lines(local)
    lines += _media_lines("RTP/SAVP" if secure else "RTP/AVP", formats, local)
    lines.append(f"a={direction.value}")
    if secure:
        lines += [f"a=crypto:{write_crypto(crypto)}" for crypto in _our_crypto(local)]
    lines.append("a=rtcp-mux")
    return _joined(lines)


def _usable(media: Media) -> bool:
    return media.kind == "audio" and media.port > 0 and media.protocol in _PROTOCOLS


def _is_ours(format_: Format, codecs: Sequence[str]) -> bool:
    return format_.name in codecs and format_.clock_hz == _CLOCKS_HZ.get(format_.name)


def _best(formats: Sequence[Format], codecs: Sequence[str]) -> Format | None:
    """Return the format that we like best, of those the peer has too."""
    ours = [format_ for format_ in formats if _is_ours(format_, codecs)]
    return min(ours, key=lambda format_: codecs.index(format_.name), default=None)


def _best_crypto(media: Media, abilities: Abilities) -> Crypto | None:
    if abilities.srtp == "off":
        return None
    # RFC 4568: the writer's order is the writer's preference.
    return media.crypto[0] if media.crypto else None


def _must_encrypt(media: Media, abilities: Abilities) -> bool:
    return abilities.srtp == "required" or "SAVP" in media.protocol


def _event_types(formats: Iterable[Format], clock_hz: int) -> tuple[tuple[int, int], ...]:
    """Return the payload types of key presses, those of the codec's clock first."""
    found = [(f.payload_type, f.clock_hz) for f in formats if f.name == EVENTS]
    return tuple(sorted(found, key=lambda event: event[1] != clock_hz))


def _agreed(
    index: int,
    media: Media,
    codec: Format,
    receive_type: int,
    events: tuple[tuple[int, int], ...],
    keys: Keys | None,
) -> Negotiated:
    reachable = bool(media.host) and not media.on_hold and media.port >= _FIRST_PORT
    rtcp_port = media.port if media.rtcp_mux else media.rtcp_port or media.port + 1
    return Negotiated(
        index=index,
        codec=codec,
        receive_type=receive_type,
        event_types=events,
        remote=(media.host, media.port) if reachable else None,
        rtcp_remote=(media.host, rtcp_port) if reachable and rtcp_port <= 65_535 else None,
        rtcp_mux=media.rtcp_mux,
        sends=not media.on_hold,
        hears=media.direction.sends,
        keys=keys,
    )


def _our_crypto(local: Local) -> list[Crypto]:
    return [Crypto(tag, suite, local.key) for tag, suite in enumerate(SUITES, 1)]


def _session_lines(local: Local) -> list[str]:
    family = "IP6" if ":" in local.host else "IP4"
    return [
        "v=0",
        f"o=tom {local.session_id} {local.version} IN {family} {local.host}",
        "s=-",
        f"c=IN {family} {local.host}",
        "t=0 0",
    ]


def _media_lines(protocol: str, formats: Sequence[Format], local: Local) -> list[str]:
    tokens = " ".join(str(format_.payload_type) for format_ in formats)
    lines = [f"m=audio {local.port} {protocol} {tokens}"]
    for format_ in formats:
        kind, clock = format_.payload_type, f"{format_.clock_hz}"
        match format_.name:
            case "OPUS":
                lines += [f"a=rtpmap:{kind} opus/{clock}/2", f"a=fmtp:{kind} {_OPUS_PARAMETERS}"]
            case "TELEPHONE-EVENT":
                lines += [f"a=rtpmap:{kind} telephone-event/{clock}", f"a=fmtp:{kind} 0-15"]
            case name:
                lines.append(f"a=rtpmap:{kind} {name}/{clock}")
    return [*lines, f"a=ptime:{FRAME_MS}"]


def _joined(lines: list[str]) -> bytes:
    return "".join(f"{line}\r\n" for line in lines).encode()


__all__ = [
    "CODECS",
    "Abilities",
    "Keys",
    "Local",
    "Negotiated",
    "accept",
    "negotiate",
    "write_answer",
    "write_offer",
]
