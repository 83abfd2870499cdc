"""Key presses in RTP (RFC 4733): one event a press, whatever of its packets comes, and how often.

Pure. A press is told at the first of its packets that comes, so lost beginnings and lost ends do
no harm.
"""

from __future__ import annotations

from dataclasses import dataclass

from apps.voice.rtp.packet import RtpPacket, timestamp_distance

_KEYS = "0123456789*#"
_LONGEST_SEGMENT = 0xFFFF  # ticks: a longer press goes on as a new event right behind
# Some gateways move the timestamp with every packet of one press. Two presses of a key are further
# apart: 40 ms of tone and 40 ms of pause at the least.
_MOVED_MS = 50


@dataclass(frozen=True, slots=True)
class _Press:
    event: int
    timestamp: int
    duration: int
    ended: bool


class DtmfReceiver:
    """The key presses of one stream."""

    def __init__(self) -> None:
        self._press: _Press | None = None

    def push(self, packet: RtpPacket, clock_hz: int) -> str:
        """Take a telephone-event packet.

        Args:
            packet: As it came; its order does not matter.
            clock_hz: Of its timestamps.

        Returns:
            The key when this packet is the first of its press, otherwise nothing.
        """
        if len(packet.payload) < 4:
            return ""
        event, flags, high, low = packet.payload[:4]
        press = _Press(event, packet.timestamp, high << 8 | low, bool(flags & 0x80))
        last = self._press
        if last is not None:
            later = timestamp_distance(press.timestamp, last.timestamp)
            if later < 0:
                return ""
            if later == 0:
                ended = last.ended or press.ended
                longest = max(last.duration, press.duration)
                self._press = _Press(last.event, last.timestamp, longest, ended)
                return ""
            if _goes_on(last, press, later, packet.marker, clock_hz):
                self._press = press
                return ""
        self._press = press
        return _KEYS[event] if event < len(_KEYS) else ""


def _goes_on(last: _Press, press: _Press, later: int, marker: bool, clock_hz: int) -> bool:
    """Return whether a packet with a later timestamp still belongs to the last press."""
    if marker or last.ended or press.event != last.event:
        return False
    if later == _LONGEST_SEGMENT:
        return True
    return later <= _MOVED_MS * clock_hz // 1000 and press.duration > last.duration
