"""RTP packets, read and built (RFC 3550); what comes from the network may hold anything."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from apps.core.errors import ProtocolError

MAX_PACKET_BYTES = 1500
_HEADER = struct.Struct("!BBHII")
_VERSION = 2
_PADDING, _EXTENSION, _CSRC_COUNT = 0x20, 0x10, 0x0F
_MARKER = 0x80
# RFC 5761: where RTP and RTCP share a port, these second bytes are RTCP's.
_RTCP_TYPES = range(192, 224)


@dataclass(frozen=True, slots=True)
class RtpPacket:
    """One RTP packet.

    Attributes:
        payload_type: 0 to 127; what the session's description says it means.
        sequence: 16 bits, one more for every packet.
        timestamp: 32 bits in units of the payload's clock.
        ssrc: 32 bits that name the stream.
        payload: Without padding; may be empty.
        marker: The first packet of a talkspurt.
    """

    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes
    marker: bool = False


def is_rtcp(data: bytes) -> bool:
    """Return whether a datagram of a shared port is RTCP rather than RTP."""
    return len(data) >= 2 and data[1] in _RTCP_TYPES


def read_rtp(data: bytes) -> RtpPacket:
    """Read one packet; CSRCs, the extension and padding are skipped.

    Raises:
        ProtocolError: With code ``bad_rtp``: too short, too long, or lengths that do not fit.
    """
    if not _HEADER.size <= len(data) <= MAX_PACKET_BYTES:
        raise ProtocolError("An RTP packet has no possible length.", code="bad_rtp")
    first, second, sequence, timestamp, ssrc = _HEADER.unpack_from(data)
    if first >> 6 != _VERSION:
        raise ProtocolError("A packet is not RTP version 2.", code="bad_rtp")
    start, end = _HEADER.size, len(data)
    if first & 0x3F:
        start, end = _payload_bounds(data, first)
    return RtpPacket(
        second & 0x7F, sequence, timestamp, ssrc, data[start:end], bool(second & _MARKER)
    )


def _payload_bounds(data: bytes, first: int) -> tuple[int, int]:
    start, end = _HEADER.size + 4 * (first & _CSRC_COUNT), len(data)
    if first & _EXTENSION:
        if start + 4 > end:
            raise ProtocolError("An RTP packet ends within its header.", code="bad_rtp")
        start += 4 + 4 * int.from_bytes(data[start + 2 : start + 4], "big")
    if start > end:
        raise ProtocolError("An RTP packet ends within its header.", code="bad_rtp")
    if first & _PADDING:
        padding = data[-1]
        if not 0 < padding <= end - start:
            raise ProtocolError("An RTP packet's padding does not fit.", code="bad_rtp")
        end -= padding
    return start, end


def build_rtp(packet: RtpPacket) -> bytes:
    """Return the packet as it goes over the network, without CSRCs, extension or padding."""
    second = packet.payload_type | (_MARKER if packet.marker else 0)
    header = _HEADER.pack(_VERSION << 6, second, packet.sequence, packet.timestamp, packet.ssrc)
    return header + packet.payload


def sequence_distance(later: int, earlier: int) -> int:
    """Return how far a 16-bit sequence number is behind another, -32768 to 32767."""
    return ((later - earlier + 0x8000) & 0xFFFF) - 0x8000


def timestamp_distance(later: int, earlier: int) -> int:
    """Return how far a 32-bit timestamp is behind another, -2**31 to 2**31 - 1."""
    return ((later - earlier + 0x80000000) & 0xFFFFFFFF) - 0x80000000
