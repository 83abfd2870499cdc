"""The reports that the two sides of a call send each other every few seconds. No sockets."""

from __future__ import annotations

from apps.voice.rtp.packet import timestamp_distance
from apps.voice.rtp.rtcp import (
    Reception,
    Report,
    Sent,
    build_bye,
    build_report,
    ntp_middle,
    read_rtcp,
)
from apps.voice.rtp.sender import Numbers

INTERVAL_MS = 5000.0
_NAME = "tom"
_TICKS_PER_MS = 65.536
_MAX_ROUND_TRIP_MS = 10_000.0


class Reports:
    """One call's reports.

    Args:
        numbers: Our own stream.
    """

    def __init__(self, numbers: Numbers) -> None:
        self._numbers = numbers
        self._last_ntp, self._last_at_s = 0, 0.0
        self._due_ms = 0.0
        self.remote_loss = 0.0
        self.round_trip_ms: float | None = None

    def due(self, now_ms: float) -> bool:
        """Return whether it is time for a report of ours, and begin to wait for the next."""
        if now_ms < self._due_ms:
            return False
        first, self._due_ms = self._due_ms == 0.0, now_ms + INTERVAL_MS
        return not first

    def build(self, utc_s: float, reception: Reception | None) -> bytes:
        """Return our report.

        Args:
            utc_s: The wall clock.
            reception: What came from the peer; None when nothing did.
        """
        numbers = self._numbers
        sent = Sent(utc_s, numbers.timestamp, numbers.packets, numbers.payload_bytes)
        delay = int((utc_s - self._last_at_s) * 65_536) if self._last_ntp else 0
        block = None if reception is None else reception.block(self._last_ntp, max(0, delay))
        return build_report(numbers.ssrc, _NAME, sent if numbers.packets else None, block)

    def bye(self) -> bytes:
        """Return the end of our stream."""
        return build_bye(self._numbers.ssrc, _NAME)

    def take(self, data: bytes, utc_s: float) -> None:
        """Learn from a report of the peer.

        Raises:
            ProtocolError: With code ``bad_rtcp``.
        """
        for part in read_rtcp(data):
            if not isinstance(part, Report):
                continue
            if part.ntp:
                self._last_ntp, self._last_at_s = part.ntp, utc_s
            for block in part.blocks:
                if block.ssrc == self._numbers.ssrc:
                    self.remote_loss = block.fraction_lost
                    if block.last_sender_report:
                        self._note_round_trip(block.last_sender_report, block.delay, utc_s)

    def _note_round_trip(self, sent_ntp: int, delay: int, utc_s: float) -> None:
        ticks = timestamp_distance(ntp_middle(utc_s), sent_ntp) - delay
        if 0 <= ticks <= _MAX_ROUND_TRIP_MS * _TICKS_PER_MS:
            self.round_trip_ms = ticks / _TICKS_PER_MS
