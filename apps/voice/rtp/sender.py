"""What goes out: one packet every 20 ms, speech or silence, with unbroken numbers. No sockets."""

from __future__ import annotations

from dataclasses import dataclass

from apps.voice.rtp.codecs import SILENCE, Codec, frame_ticks
from apps.voice.rtp.packet import RtpPacket, build_rtp


@dataclass(slots=True)
class Numbers:
    """Where a stream is; it goes on over re-INVITEs.

    Attributes:
        ssrc: The stream's name, 32 random bits.
        sequence: Of the next packet; the first is random, below 2**15 (RFC 3711, 3.3.1).
        timestamp: Of the next packet; the first is random.
        packets: Sent so far.
        payload_bytes: In these.
    """

    ssrc: int
    sequence: int
    timestamp: int
    packets: int = 0
    payload_bytes: int = 0


class Sender:
    """The sending side of one agreed session.

    Args:
        codec: Encodes; shared with the receiver.
        payload_type: What the peer expects.
        numbers: The stream's.
    """

    def __init__(self, codec: Codec, payload_type: int, numbers: Numbers) -> None:
        self._codec, self._payload_type = codec, payload_type
        self._ticks = frame_ticks(codec)
        self._speaking = False
        self.numbers = numbers

    def frame(self, pcm: bytes | None) -> bytes:
        """Return the packet of the next 20 ms.

        Silence is sent too: gateways hang up on a silent stream, NAT forgets it, and the jitter
        buffers of telephones stay steady. Speech behind silence is marked.
        """
        numbers = self.numbers
        payload = self._codec.encode(pcm or SILENCE)
        marker = pcm is not None and not self._speaking
        self._speaking = pcm is not None
        packet = RtpPacket(
            self._payload_type,
            numbers.sequence,
            numbers.timestamp,
            numbers.ssrc,
            payload,
            marker,
        )
        numbers.sequence = numbers.sequence + 1 & 0xFFFF
        numbers.packets += 1
        numbers.payload_bytes += len(payload)
        self.skip()
        return build_rtp(packet)

    def skip(self) -> None:
        """Let 20 ms pass without a packet."""
        self.numbers.timestamp = self.numbers.timestamp + self._ticks & 0xFFFFFFFF
