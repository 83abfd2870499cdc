"""Whose packets are the peer's: symmetric RTP that a stranger cannot turn to himself. Pure.

A telephone behind NAT sends from another address than its description says, so we answer to where
its packets come from. The rules:

- The address of the description is right whenever packets come from it.
- Any other port of a host that the description or the signalling came from is taken once two
  packets of one stream came from it. Other hosts are never taken, unless `any_source` allows it:
  then five packets are needed, and only while nobody else was taken.
- Once a source is taken, only its packets count. Another one takes over when its packets are signed
  with the call's key, or when the first one has been silent for a second and the new one goes on
  with its stream: a stranger does not know the stream's 32-bit name and sequence numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

from apps.voice.rtp.packet import RtpPacket, sequence_distance
from apps.voice.rtp.sdp import Address

SILENT_MS = 1000.0
_IN_A_ROW = 2
_IN_A_ROW_ANYWHERE = 5
_MAX_SKIPPED = 10  # packets that the network may have lost between two of one stream
_MAX_CONTINUED = 3000  # RFC 3550's MAX_DROPOUT: a minute of speech


@dataclass(slots=True)
class _Candidate:
    source: Address
    ssrc: int
    sequence: int
    count: int = 1


class Latch:
    """Decides for one call which datagrams are the peer's.

    Args:
        described: Where the peer's description says that it is; None when it does not.
        hosts: The hosts that may send besides: those of the description and the signalling.
        any_source: Whether others may, while the right one is not known.
        signed: Every packet is signed with the call's key, so it may come from anywhere.
    """

    def __init__(
        self,
        described: Address | None,
        hosts: frozenset[str],
        *,
        any_source: bool = False,
        signed: bool = False,
    ) -> None:
        self.described = described
        self._hosts = hosts | ({described[0]} if described else set())
        self._any_source, self._signed = any_source, signed
        self._candidate: _Candidate | None = None
        self._ssrc = self._sequence = 0
        self._heard_ms = 0.0
        self.source: Address | None = None

    @property
    def target(self) -> Address | None:
        """Where to send: to the source, or to the described address until there is one."""
        return self.source or self.described

    def plausible(self, source: Address) -> bool:
        """Return whether it is worth looking into a datagram."""
        known = source == self.source or source[0] in self._hosts
        return known or self._any_source or self._signed

    def admits(self, source: Address, packet: RtpPacket, now_ms: float) -> bool:
        """Return whether a packet of a payload type of the call is the peer's.

        Args:
            source: Where it came from.
            packet: The packet; where packets are signed, its signature is right.
            now_ms: When it came.
        """
        if source != self.source:
            if not self.plausible(source) or not self._taken(source, packet, now_ms):
                return False
            self.source, self._candidate = source, None
        self._ssrc, self._sequence, self._heard_ms = packet.ssrc, packet.sequence, now_ms
        return True

    def _taken(self, source: Address, packet: RtpPacket, now_ms: float) -> bool:
        if source == self.described:
            return True
        if self._signed:
            return self.source is None or self._newer(packet)
        if self.source is not None:
            silent = now_ms - self._heard_ms >= SILENT_MS
            known_host = source[0] in self._hosts or source[0] == self.source[0]
            return silent and known_host and self._continues(packet) and self._again(source, packet)
        return self._again(source, packet)

    def _newer(self, packet: RtpPacket) -> bool:
        return packet.ssrc != self._ssrc or sequence_distance(packet.sequence, self._sequence) > 0

    def _continues(self, packet: RtpPacket) -> bool:
        ahead = sequence_distance(packet.sequence, self._sequence)
        return packet.ssrc == self._ssrc and 0 < ahead <= _MAX_CONTINUED

    def _again(self, source: Address, packet: RtpPacket) -> bool:
        """Count packets of one stream from one source; True once they are enough."""
        candidate = self._candidate
        if candidate is None or (candidate.source, candidate.ssrc) != (source, packet.ssrc):
            self._candidate = _Candidate(source, packet.ssrc, packet.sequence)
            return False
        if not 0 < sequence_distance(packet.sequence, candidate.sequence) <= _MAX_SKIPPED:
            self._candidate = _Candidate(source, packet.ssrc, packet.sequence)
            return False
        candidate.sequence = packet.sequence
        candidate.count += 1
        return candidate.count >= (_IN_A_ROW if source[0] in self._hosts else _IN_A_ROW_ANYWHERE)
