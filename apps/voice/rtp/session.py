"""One call's audio over RTP: a datagram endpoint, and what it agreed on with the peer.

    session = await RtpSession.open(RtpOptions(host="0.0.0.0", ports=(10000, 10999)), on_event)
    session.local_port                  # for the description that the peer is sent
    session.connect(negotiated, "203.0.113.7")   # again after every re-INVITE
    session.play(frame)                 # 20 ms of 16 kHz PCM; leaves on a 20 ms clock
    session.flush()                     # drops what has not left yet
    session.unsent_ms                   # how much that is
    session.statistics                  # how the call's media did
    session.close()

`on_event` is called with `CallerAudio`, `CallerDigit`, and with `CallerHungUp(failed=True)` once
when nothing came for `RtpOptions.silent_timeout_s` (not while the peer has put the call on hold,
when the caller's side is silence). It must return at once and not raise. The events are a door's
own, so a door can put them into its queue.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import asdict

import structlog

from apps.core.audio import FRAME_BYTES, FRAME_MS
from apps.core.clock import loop_ms
from apps.core.errors import ProtocolError
from apps.voice.doors.base import CallerHungUp, DoorEvent
from apps.voice.rtp.codecs import codec_named
from apps.voice.rtp.latch import Latch
from apps.voice.rtp.negotiation import Negotiated
from apps.voice.rtp.options import RtpOptions, RtpStatistics
from apps.voice.rtp.packet import is_rtcp
from apps.voice.rtp.ports import Endpoint, open_pair
from apps.voice.rtp.receiver import Counts, Receiver
from apps.voice.rtp.reports import Reports
from apps.voice.rtp.sdp import Address
from apps.voice.rtp.sender import Numbers, Sender
from apps.voice.rtp.srtp import Srtp

log = structlog.get_logger(__name__)

__all__ = ["MAX_QUEUED_FRAMES", "RtpOptions", "RtpSession", "RtpStatistics"]

MAX_QUEUED_FRAMES = 1000 // FRAME_MS
# After a stall of this machine speech is made up for; silence is not.
_MADE_UP_MS = 2 * FRAME_MS


class RtpSession:
    """One call's audio; see the module's docstring."""

    def __init__(self, options: RtpOptions, on_event: Callable[[DoorEvent], None]) -> None:
        self._options, self._on_event = options, on_event
        self._queue: deque[bytes] = deque(maxlen=MAX_QUEUED_FRAMES)
        self._numbers = Numbers(secrets.randbits(32), secrets.randbits(15), secrets.randbits(32))
        self._counts, self._reports = Counts(), Reports(self._numbers)
        self._agreed: Negotiated | None = None
        self._signalled_from = ""
        self._receiver: Receiver | None = None
        self._sender: Sender | None = None
        self._srtp: Srtp | None = None
        self._next_ms = 0.0
        self._clock: asyncio.TimerHandle | None = None
        self._gap: asyncio.TimerHandle | None = None
        self._closed = self._gone = False
        self.answers_only = False
        """Send to nobody but where packets come from: nobody has shown yet to want any."""
        self._rtp: Endpoint
        self._rtcp: Endpoint
        self.local_port = 0

    @classmethod
    async def open(cls, options: RtpOptions, on_event: Callable[[DoorEvent], None]) -> RtpSession:
        """Bind a free pair of ports.

        Raises:
            AtCapacity: With code ``no_ports``: the range has no free one.
        """
        session = cls(options, on_event)
        session._rtp, session._rtcp, session.local_port = open_pair(
            options.host, options.ports, session._take, session._take_report
        )
        return session

    def connect(self, negotiated: Negotiated, signalled_from: str = "") -> None:
        """Begin, or go on with what a re-INVITE has changed.

        Args:
            negotiated: What was agreed on.
            signalled_from: The IP address that the peer's signalling comes from: a telephone
                behind NAT sends its media from there too.
        """
        if self._closed:
            return
        before, self._agreed = self._agreed, negotiated
        latch = self._latch(before, signalled_from)
        if self._receiver is None or before is None or _spoken(before) != _spoken(negotiated):
            if before is None or before.keys != negotiated.keys:
                keys = negotiated.keys
                self._srtp = Srtp(keys.sending, keys.receiving, self._srtp) if keys else None
            codec = codec_named(negotiated.codec.name)
            if self._receiver is not None:
                self._counts.lost = self._receiver.lost
            self._receiver = Receiver(negotiated, codec, latch, self._srtp, self._counts)
            self._sender = Sender(codec, negotiated.codec.payload_type, self._numbers)
        self._receiver.agreed, self._receiver.latch = negotiated, latch
        self._receiver.heard_ms = loop_ms()
        if self._clock is None:
            self._next_ms = loop_ms()
            self._tick()

    def play(self, frame: bytes) -> None:
        """Queue one 20 ms frame of 16 kHz PCM; never waits. The oldest of too many are dropped.

        Raises:
            ValueError: It is no whole frame.
        """
        if len(frame) != FRAME_BYTES:
            raise ValueError(f"a frame has {FRAME_BYTES} bytes, not {len(frame)}")
        self._queue.append(frame)

    def flush(self) -> None:
        """Drop what has not left yet."""
        self._queue.clear()

    @property
    def unsent_ms(self) -> float:
        """How much audio is queued."""
        return float(len(self._queue) * FRAME_MS)

    @property
    def statistics(self) -> RtpStatistics:
        """How the media did so far."""
        receiver = self._receiver
        reception = receiver.reception if receiver else None
        trip_ms = self._reports.round_trip_ms
        return RtpStatistics(
            sent=self._numbers.packets,
            received=self._counts.received,
            lost=receiver.lost if receiver else 0,
            foreign=self._counts.foreign,
            jitter_ms=round(reception.jitter_ms, 1) if reception else 0.0,
            wait_ms=round(receiver.wait_ms, 1) if receiver else 0.0,
            remote_loss=round(self._reports.remote_loss, 3),
            round_trip_ms=None if trip_ms is None else round(trip_ms, 1),
        )

    def close(self) -> None:
        """End it; a second time does nothing."""
        if self._closed:
            return
        self._closed = True
        for timer in (self._clock, self._gap):
            if timer is not None:
                timer.cancel()
        if self._agreed is not None and self._numbers.packets:
            self._send_report(self._reports.bye())
            log.info("rtp_ended", codec=self._agreed.codec.name, **asdict(self.statistics))
        self._rtp.close()
        self._rtcp.close()

    def _latch(self, before: Negotiated | None, signalled_from: str) -> Latch:
        """Return the old latch while nothing was said of another address, otherwise a new one."""
        assert self._agreed is not None
        agreed = self._agreed
        same_host = signalled_from in ("", self._signalled_from)
        if before is not None and self._receiver is not None and same_host:
            same_keys = before.keys == agreed.keys
            if same_keys and agreed.remote in (None, before.remote, self._receiver.latch.described):
                return self._receiver.latch
        self._signalled_from = signalled_from or self._signalled_from
        reachable = agreed.remote and (":" in agreed.remote[0]) == (":" in self._options.host)
        return Latch(
            agreed.remote if reachable else None,
            frozenset({self._signalled_from} - {""}),
            any_source=self._options.any_source,
            signed=agreed.keys is not None,
        )

    def _take(self, data: bytes, source: Address) -> None:
        """Take a datagram from the RTP port."""
        if self._receiver is None or self._closed:
            return
        if is_rtcp(data):
            self._take_report(data, source)
            return
        try:
            events = self._receiver.packet(data, source, loop_ms())
        except ProtocolError:
            self._counts.foreign += 1
            return
        self._tell(events)
        self._wait_for_gap(self._receiver)

    def _tell(self, events: Iterable[DoorEvent]) -> None:
        for event in events:
            self._on_event(event)

    def _wait_for_gap(self, receiver: Receiver) -> None:
        """Look again when a gap's wait is over, where that is before the clock's next tick."""
        if self._gap is not None:
            self._gap.cancel()
            self._gap = None
        deadline_ms = receiver.next_deadline_ms()
        if deadline_ms is not None and deadline_ms < self._next_ms and not self._closed:
            loop = asyncio.get_running_loop()
            self._gap = loop.call_at(deadline_ms / 1000, self._end_gap)

    def _end_gap(self) -> None:
        self._gap = None
        if self._receiver is not None:
            self._tell(self._receiver.due(loop_ms()))
            self._wait_for_gap(self._receiver)

    def _tick(self) -> None:
        """Do what is due every 20 ms, by absolute times."""
        now_ms = loop_ms()
        while self._next_ms <= now_ms:
            self._send_next(now_ms - self._next_ms)
            self._next_ms += FRAME_MS
        loop = asyncio.get_running_loop()
        self._clock = loop.call_at(self._next_ms / 1000, self._tick)
        if self._receiver is not None:
            if self._reports.due(now_ms):
                self._send_report(self._reports.build(time.time(), self._receiver.reception))
            self._tell(self._receiver.due(now_ms))
            self._watch(self._receiver, now_ms)

    def _send_next(self, late_ms: float) -> None:
        """Send the next 20 ms, or let them pass."""
        assert self._sender is not None
        assert self._agreed is not None
        assert self._receiver is not None
        pcm = self._queue.popleft() if self._queue else None
        target = self._target(self._receiver.latch)
        if target is None or not self._agreed.sends or (pcm is None and late_ms > _MADE_UP_MS):
            self._sender.skip()
            return
        packet = self._sender.frame(pcm)
        self._rtp.sendto(self._srtp.protect(packet) if self._srtp else packet, target)

    def _target(self, latch: Latch) -> Address | None:
        return latch.source if self.answers_only else latch.target

    def _watch(self, receiver: Receiver, now_ms: float) -> None:
        """Tell once when the peer is gone."""
        if not receiver.agreed.sends:
            receiver.heard_ms = now_ms  # on hold
        elif now_ms - receiver.heard_ms > self._options.silent_timeout_s * 1000 and not self._gone:
            self._gone = True
            self._on_event(CallerHungUp(failed=True))

    def _take_report(self, data: bytes, source: Address) -> None:
        """Take a datagram from the RTCP port, or RTCP from the other one."""
        target = self._receiver.latch.target if self._receiver else None
        try:
            if target is None or source[0] != target[0]:
                raise ProtocolError("A report is not the peer's.", code="not_the_peer")
            opened = self._srtp.unprotect_rtcp(data) if self._srtp else data
            self._reports.take(opened, time.time())
            if self._receiver is not None:
                self._receiver.heard_ms = loop_ms()
        except ProtocolError:
            self._counts.foreign += 1

    def _send_report(self, report: bytes) -> None:
        assert self._agreed is not None
        assert self._receiver is not None
        latch = self._receiver.latch
        target = self._target(latch)
        if target is None or not self._agreed.sends:
            return
        data = self._srtp.protect_rtcp(report) if self._srtp else report
        if self._agreed.rtcp_mux:
            self._rtp.sendto(data, target)
        elif target == latch.described and self._agreed.rtcp_remote is not None:
            self._rtcp.sendto(data, self._agreed.rtcp_remote)
        elif target[1] < 65_535:
            self._rtcp.sendto(data, (target[0], target[1] + 1))


def _spoken(negotiated: Negotiated) -> tuple[object, ...]:
    """Return what the two sides of a session depend on."""
    return (
        negotiated.codec,
        negotiated.receive_type,
        negotiated.event_types,
        negotiated.keys,
    )
