"""RTCP as far as a call uses it: reports of what arrived, and goodbye (RFC 3550, 6)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from apps.core.errors import ProtocolError
from apps.voice.rtp.packet import MAX_PACKET_BYTES, RtpPacket, sequence_distance

_SENDER, _RECEIVER, _SOURCE, _BYE = 200, 201, 202, 203
_NAME = 1
_HEADER = struct.Struct("!BBH")
_SENDER_INFO = struct.Struct("!IIIII")
_BLOCK = struct.Struct("!IIIIII")
_NTP_EPOCH_S = 2_208_988_800  # from 1900 to 1970


@dataclass(frozen=True, slots=True)
class ReportBlock:
    """What one side received of a stream.

    Attributes:
        ssrc: Whose stream.
        fraction_lost: Of the packets since the last report, 0 to 1.
        lost: Packets since the beginning; negative when some came twice.
        highest: The highest sequence number received, 32 bits with its turns.
        jitter: Interarrival jitter in ticks of the stream's clock.
        last_sender_report: The middle 32 bits of the NTP time of the stream's last report.
        delay: Since that report came, in 1/65536 s.
    """

    ssrc: int
    fraction_lost: float
    lost: int
    highest: int
    jitter: int
    last_sender_report: int = 0
    delay: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """A sender's or a receiver's report.

    Attributes:
        ssrc: Who reports.
        ntp: The middle 32 bits of the sender's NTP time; 0 from a mere receiver.
        blocks: What they received.
    """

    ssrc: int
    ntp: int
    blocks: tuple[ReportBlock, ...]


@dataclass(frozen=True, slots=True)
class Bye:
    """A stream has ended."""

    ssrc: int


@dataclass(frozen=True, slots=True)
class Sent:
    """What a sender says of itself: the wall clock in seconds, its timestamp, its totals."""

    utc_s: float
    timestamp: int
    packets: int
    payload_bytes: int


def ntp_middle(utc_s: float) -> int:
    """Return the middle 32 bits of the NTP time: 1/65536 s, wrapping every 18 hours."""
    return int((utc_s + _NTP_EPOCH_S) * 65_536) & 0xFFFFFFFF


def read_rtcp(data: bytes) -> list[Report | Bye]:
    """Read a compound packet; kinds that are not used are passed over.

    Raises:
        ProtocolError: With code ``bad_rtcp``: lengths that do not fit.
    """
    if not 8 <= len(data) <= MAX_PACKET_BYTES:
        raise ProtocolError("An RTCP packet has no possible length.", code="bad_rtcp")
    found: list[Report | Bye] = []
    at = 0
    while at < len(data):
        if at + 4 > len(data) or data[at] >> 6 != 2:
            raise ProtocolError("An RTCP packet is not right.", code="bad_rtcp")
        first, kind, words = _HEADER.unpack_from(data, at)
        end = at + 4 + 4 * words
        if end > len(data):
            raise ProtocolError("An RTCP packet ends within a part.", code="bad_rtcp")
        found += _part(kind, first & 0x1F, data[at + 4 : end])
        at = end
    return found


def _part(kind: int, count: int, body: bytes) -> list[Report | Bye]:
    if kind == _BYE:
        return [
            Bye(ssrc) for (ssrc,) in struct.iter_unpack("!I", body[: min(4 * count, _whole(body))])
        ]
    if kind not in (_SENDER, _RECEIVER):
        return []
    start = 24 if kind == _SENDER else 4
    if len(body) < start + _BLOCK.size * count:
        raise ProtocolError("An RTCP report is too short.", code="bad_rtcp")
    ntp = int.from_bytes(body[6:10], "big") if kind == _SENDER else 0
    blocks = [_block(body, start + _BLOCK.size * i) for i in range(count)]
    return [Report(int.from_bytes(body[:4], "big"), ntp, tuple(blocks))]


def _whole(body: bytes) -> int:
    return len(body) // 4 * 4


def _block(body: bytes, at: int) -> ReportBlock:
    ssrc, loss, highest, jitter, last, delay = _BLOCK.unpack_from(body, at)
    lost = loss & 0xFFFFFF
    lost -= 0x1000000 if lost >= 0x800000 else 0
    return ReportBlock(ssrc, (loss >> 24) / 256, lost, highest, jitter, last, delay)


def build_report(ssrc: int, name: str, sent: Sent | None, block: ReportBlock | None) -> bytes:
    """Return a sender's report, or a receiver's when nothing was sent, with our name behind it."""
    blocks = b"" if block is None else _built(block)
    count = 0x80 | (block is not None)
    body = ssrc.to_bytes(4, "big")
    if sent is not None:
        ntp = int((sent.utc_s + _NTP_EPOCH_S) * 2**32)
        body += _SENDER_INFO.pack(
            ntp >> 32 & 0xFFFFFFFF,
            ntp & 0xFFFFFFFF,
            sent.timestamp & 0xFFFFFFFF,
            sent.packets & 0xFFFFFFFF,
            sent.payload_bytes & 0xFFFFFFFF,
        )
    report = _with_header(count, _RECEIVER if sent is None else _SENDER, body + blocks)
    text = name.encode()[:64]
    item = ssrc.to_bytes(4, "big") + bytes((_NAME, len(text))) + text
    return report + _with_header(0x81, _SOURCE, item + bytes(4 - len(item) % 4))


def build_bye(ssrc: int, name: str) -> bytes:
    """Return the end of a stream."""
    return build_report(ssrc, name, None, None) + _with_header(0x81, _BYE, ssrc.to_bytes(4, "big"))


def _with_header(first: int, kind: int, body: bytes) -> bytes:
    return _HEADER.pack(first, kind, len(body) // 4) + body


def _built(block: ReportBlock) -> bytes:
    fraction = max(0, min(255, int(block.fraction_lost * 256)))
    lost = max(-0x800000, min(0x7FFFFF, block.lost)) & 0xFFFFFF
    return _BLOCK.pack(
        block.ssrc,
        fraction << 24 | lost,
        block.highest & 0xFFFFFFFF,
        block.jitter & 0xFFFFFFFF,
        block.last_sender_report,
        block.delay & 0xFFFFFFFF,
    )


class Reception:
    """What was received of one stream, counted as RFC 3550, A.3 and A.8 do.

    Args:
        first: The stream's first packet.
        clock_hz: Of its timestamps.
    """

    def __init__(self, first: RtpPacket, clock_hz: int) -> None:
        self.ssrc = first.ssrc
        self._ticks_per_ms = clock_hz / 1000
        self._first = self._highest = first.sequence
        self._received = self._reported_expected = self._reported_received = 0
        self._transit: float | None = None
        self._timestamp = first.timestamp
        self.jitter_ms = 0.0

    def observe(self, packet: RtpPacket, now_ms: float) -> None:
        """Count one packet as it comes."""
        self._received += 1
        ahead = sequence_distance(packet.sequence, self._highest & 0xFFFF)
        if ahead > 0:
            self._highest += ahead
        transit = now_ms - packet.timestamp / self._ticks_per_ms
        if self._transit is not None and packet.timestamp != self._timestamp:
            moved = abs(transit - self._transit)
            if moved < 1000:  # a timestamp that turned or began anew says nothing of the network
                self.jitter_ms += (moved - self.jitter_ms) / 16
        self._transit, self._timestamp = transit, packet.timestamp

    @property
    def expected(self) -> int:
        """Packets that the peer has sent, as far as that can be seen."""
        return self._highest - self._first + 1

    def block(self, last_sender_report: int = 0, delay: int = 0) -> ReportBlock:
        """Return the report on what came since the last one."""
        expected = self.expected - self._reported_expected
        received = self._received - self._reported_received
        self._reported_expected, self._reported_received = self.expected, self._received
        fraction = max(0.0, (expected - received) / expected) if expected > 0 else 0.0
        return ReportBlock(
            self.ssrc,
            fraction,
            self.expected - self._received,
            self._highest,
            int(self.jitter_ms * self._ticks_per_ms),
            last_sender_report,
            delay,
        )
