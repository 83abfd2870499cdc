"""What a WebRTC peer may ask for: its offer and its trickled candidates, checked. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from aiortc import RTCIceCandidate
from aiortc.sdp import MediaDescription, SessionDescription, candidate_from_sdp

from apps.core.errors import ProtocolError

MAX_SDP_CHARS = 64 * 1024
MAX_CANDIDATES = 64


@dataclass(frozen=True, slots=True)
class Offer:
    """An offer that can be answered.

    Attributes:
        sdp: The whole of it.
        key_type: The payload type of its telephone events, or None.
        key_clock_hz: Their clock.
        mid: The name of its first section, which the others are bundled with.
        ufrag: Its ICE user name.
    """

    sdp: str
    key_type: int | None
    key_clock_hz: int
    mid: str
    ufrag: str


@dataclass(frozen=True, slots=True)
class Trickled:
    """Candidates that came after the offer.

    Attributes:
        candidates: What there is, each with its mid.
        complete: No more will come.
    """

    candidates: tuple[RTCIceCandidate, ...]
    complete: bool


def read_offer(text: str) -> Offer:
    """Check an offer.

    Raises:
        ProtocolError: With code ``bad_sdp``.
    """
    if len(text) > MAX_SDP_CHARS or "\0" in text:
        raise _bad("The offer is too long.")
    try:
        description = SessionDescription.parse(text)
    except Exception:  # the parser raises whatever its first surprise is
        raise _bad("The offer is no session description.") from None
    sections = description.media
    audio = [section for section in sections if section.kind == "audio"]
    others = [section for section in sections if section.kind not in ("audio", "application")]
    if len(audio) != 1 or others or len(sections) > 2:
        raise _bad("The offer must hold one audio section, at most a data channel, and no video.")
    for section in sections:
        _check_transport(section)
    mids = [section.rtp.muxId for section in sections]
    bundled = [mid for g in description.group if g.semantic == "BUNDLE" for mid in g.items]
    if len(set(mids)) < len(mids) or set(bundled) - set(mids):
        raise _bad("The offer's sections have no names of their own, or bundle what is not there.")
    if sum(len(section.ice_candidates) for section in sections) > MAX_CANDIDATES:
        raise _bad("The offer holds too many candidates.")
    if audio[0].direction not in ("sendrecv", "sendonly", "recvonly"):
        raise _bad("The offer's audio goes neither way.")
    if not any(_is(codec, "audio/opus") for codec in audio[0].rtp.codecs):
        raise _bad("The offer's audio has no Opus.")
    keys = [codec for codec in audio[0].rtp.codecs if _is(codec, "audio/telephone-event")]
    best = max(keys, key=lambda codec: codec.clockRate, default=None)
    return Offer(
        text,
        best.payloadType if best else None,
        best.clockRate if best else 0,
        sections[0].rtp.muxId,
        (sections[0].ice and sections[0].ice.usernameFragment) or "",
    )


def _check_transport(section: MediaDescription) -> None:
    if not section.ice or not section.ice.usernameFragment or not section.ice.password:
        raise _bad("The offer has no ICE user name and password.")
    if section.dtls is None or not section.dtls.fingerprints:
        raise _bad("The offer has no DTLS fingerprint.")
    if section.kind == "application" and not (section.sctp_port or section.sctpmap):
        raise _bad("The offer's data channel has no SCTP port.")
    if section.kind == "audio" and not section.rtcp_mux:
        raise _bad("The offer does not multiplex RTP and RTCP.")


def _is(codec: object, mime_type: str) -> bool:
    return str(getattr(codec, "mimeType", "")).lower() == mime_type


def read_fragment(text: str, mid: str, ufrag: str) -> Trickled:
    """Read a trickle fragment (RFC 8840).

    Args:
        text: Its lines.
        mid: The section that all candidates belong to.
        ufrag: The ICE user name of the offer.

    Raises:
        ProtocolError: With code ``bad_message``: a candidate that cannot be, or an ICE restart.
    """
    candidates, complete = [], False
    for line in text.splitlines()[: 4 * MAX_CANDIDATES]:
        name, _, value = line.strip().partition(":")
        match name:
            case "a=ice-ufrag" if ufrag and value != ufrag:
                raise ProtocolError(
                    "ICE restarts are not supported.",
                    hint="Post a new offer instead.",
                    code="bad_message",
                )
            case "a=candidate":
                candidates.append(_candidate(value, mid))
            case "a=end-of-candidates":
                complete = True
    if len(candidates) > MAX_CANDIDATES:
        raise ProtocolError("Those are too many candidates.", code="bad_message")
    return Trickled(tuple(candidates), complete)


def _candidate(value: str, mid: str) -> RTCIceCandidate:
    try:
        candidate = candidate_from_sdp(value)
    except Exception:  # the parser raises whatever its first surprise is
        raise ProtocolError(
            "A candidate cannot be read.",
            hint="Send the lines that the browser gives out.",
            code="bad_message",
        ) from None
    candidate.sdpMid = mid
    return candidate


def _bad(message: str) -> ProtocolError:
    return ProtocolError(
        message,
        hint="Send an offer with one audio section that has Opus, and perhaps a data channel.",
        code="bad_sdp",
    )
