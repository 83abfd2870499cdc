"""A WebRTC peer's speech: RTP packets out of aiortc before its jitter buffer, PCM in order.

aiortc's own receiver holds 80 ms, loses 280 ms for good after one lost packet, and decodes in a
thread a call. This one takes its place at the DTLS transport and hands every packet on.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from typing import Any, Protocol

from aiortc import RTCRtpReceiver, RTCRtpTransceiver
from aiortc.rtcrtpreceiver import StreamStatistics
from aiortc.rtp import RtcpReceiverInfo, RtcpRrPacket, RtcpSrPacket

from apps.core.audio import FRAME_SAMPLES, SAMPLE_BYTES, SAMPLE_RATE_HZ, duration_ms
from apps.core.errors import ProtocolError
from apps.core.rate import Lead
from apps.voice.concealment import Concealment
from apps.voice.jitter import JitterBuffer, JitterStatistics, Lost, Packet, Pause
from apps.voice.rtp.opus import CLOCK_HZ, OpusDecoder, opus_ticks

_TICKS_PER_SAMPLE = CLOCK_HZ // SAMPLE_RATE_HZ
# Further ahead of real time than any network's bursts: what comes then is thrown away unread.
MAX_AHEAD_MS = 3000.0


class OpusStream:
    """One Opus stream's packets to 16 kHz PCM, holes concealed. Pure but for the decoder's state.

    Attributes:
        dropped: Packets that came faster than real time.
    """

    def __init__(self) -> None:
        self._jitter = JitterBuffer(CLOCK_HZ, opus_ticks)
        self._decoder = OpusDecoder()
        self._concealment = Concealment()
        self._lead = Lead()
        self.dropped = 0

    @property
    def statistics(self) -> JitterStatistics:
        """What became of the packets."""
        return self._jitter.statistics

    @property
    def next_deadline_ms(self) -> float | None:
        """When `pop` has something again though no packet comes."""
        return self._jitter.next_deadline_ms()

    def push(self, seq: int, timestamp: int, payload: bytes, now_ms: float) -> bytes:
        """Take a packet and return the PCM that is ready; often none, or more than its own.

        An empty payload keeps the place of a packet that is no speech.
        """
        if self._lead.ms(now_ms) > MAX_AHEAD_MS:
            self.dropped += 1
            return b""
        self._jitter.push(seq, timestamp, payload, now_ms)
        return self.pop(now_ms)

    def pop(self, now_ms: float) -> bytes:
        """Return the PCM that is ready now."""
        pcm = b"".join(self._render(item) for item in self._jitter.pop(now_ms))
        self._lead.add(duration_ms(pcm), now_ms)
        return pcm

    def _render(self, item: Packet | Lost | Pause) -> bytes:
        match item:
            case Packet(payload=payload):
                return self._decode(payload) if opus_ticks(payload) else b""
            case Lost(duration=ticks):
                return self._concealment.lost(ticks // _TICKS_PER_SAMPLE)
            case Pause(duration=ticks):
                return self._concealment.good(bytes(ticks // _TICKS_PER_SAMPLE * SAMPLE_BYTES))

    def _decode(self, payload: bytes) -> bytes:
        try:
            return self._concealment.good(self._decoder.decode(payload))
        except ProtocolError:
            return self._concealment.lost(FRAME_SAMPLES)


class RtpSink(Protocol):
    """Takes a peer's RTP packets; must return at once."""

    def __call__(
        self, payload_type: int, seq: int, timestamp: int, payload: bytes, marker: bool
    ) -> None:
        """Take one packet."""
        ...


class PacketReceiver:
    """Stands where aiortc's RTCRtpReceiver would, and reports to the sender what arrives (RTCP).

    Args:
        ssrc: Of our own stream, which the reports go out under.
        sink: Takes the packets.
    """

    def __init__(self, ssrc: int, sink: RtpSink) -> None:
        self._ssrc, self._sink = ssrc, sink
        self._clocks: dict[int, int] = {}
        self._statistics: dict[int, StreamStatistics] = {}
        self._sender_reports: dict[int, tuple[int, float]] = {}
        self._transport: Any = None
        self._reporting: asyncio.Task[None] | None = None

    def replace(self, transceiver: RTCRtpTransceiver) -> None:
        """Take the place of a transceiver's receiver before the connection stands."""
        receiver = transceiver.receiver

        async def receive(parameters: Any) -> None:
            self._start(receiver, parameters)

        receiver.receive = receive  # type: ignore[method-assign]
        receiver.stop = self.stop  # type: ignore[method-assign]

    def _start(self, receiver: RTCRtpReceiver, parameters: Any) -> None:
        if self._reporting is None:
            self._transport = receiver.transport
            self._clocks = {c.payloadType: c.clockRate for c in parameters.codecs}
            self._transport._register_rtp_receiver(self, parameters)
            self._reporting = asyncio.create_task(self._report(), name="rtcp")

    async def stop(self) -> None:
        """Take no more."""
        if self._reporting is not None:
            self._transport._unregister_rtp_receiver(self)
            self._reporting.cancel()
            await asyncio.wait([self._reporting])

    # --- called by aiortc's DTLS transport

    def _handle_disconnect(self) -> None:
        """The connection's own state tells of its end."""

    async def _handle_rtcp_packet(self, packet: object) -> None:
        if isinstance(packet, RtcpSrPacket):
            middle = packet.sender_info.ntp_timestamp >> 16 & 0xFFFFFFFF
            self._sender_reports[packet.ssrc] = middle, time.monotonic()

    async def _handle_rtp_packet(self, packet: Any, arrival_time_ms: int) -> None:
        clock_hz = self._clocks.get(packet.payload_type)
        if clock_hz is None:
            return
        if packet.ssrc not in self._statistics:
            self._statistics = {packet.ssrc: StreamStatistics(clock_hz)}  # one stream at a time
        self._statistics[packet.ssrc].add(packet)
        self._sink(
            packet.payload_type,
            packet.sequence_number,
            packet.timestamp,
            packet.payload,
            bool(packet.marker),
        )

    async def _report(self) -> None:
        """Send receiver reports, at random intervals about a second apart (RFC 3550, 6.2)."""
        while True:
            await asyncio.sleep(random.uniform(0.5, 1.5))  # noqa: S311 - no secret
            reports = [self._reported(ssrc) for ssrc in self._statistics]
            if reports:
                try:
                    await self._transport._send_rtp(bytes(RtcpRrPacket(self._ssrc, reports)))
                except ConnectionError:
                    return

    def _reported(self, ssrc: int) -> RtcpReceiverInfo:
        stream = self._statistics[ssrc]
        last, at_s = self._sender_reports.get(ssrc, (0, 0.0))
        since = int((time.monotonic() - at_s) * 65536) if last else 0
        return RtcpReceiverInfo(
            ssrc=ssrc,
            fraction_lost=stream.fraction_lost,
            packets_lost=stream.packets_lost,
            highest_sequence=(stream.cycles + (stream.max_seq or 0)) & 0xFFFFFFFF,
            jitter=stream.jitter,
            lsr=last,
            dlsr=min(since, 0xFFFFFFFF),
        )


class Deadline:
    """Calls back at a time that moves, with few timers: one that fires early is set again.

    Args:
        due_ms: Tells the loop time at which to call, or None for not at all.
        call: What to call.
    """

    def __init__(self, due_ms: Callable[[], float | None], call: Callable[[], None]) -> None:
        self._due_ms, self._call = due_ms, call
        self._timer: asyncio.TimerHandle | None = None

    def moved(self) -> None:
        """Note that the time may be another now."""
        due_ms = self._due_ms()
        if due_ms is None or (self._timer is not None and self._timer.when() * 1000 <= due_ms):
            return
        self.cancel()
        loop = asyncio.get_running_loop()
        # A millisecond at least: a clock that rounds below the deadline must not be asked for ever.
        self._timer = loop.call_at(max(due_ms / 1000, loop.time() + 0.001), self._fire)

    def cancel(self) -> None:
        """Do not call."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fire(self) -> None:
        self._timer = None
        due_ms = self._due_ms()
        if due_ms is not None and due_ms <= asyncio.get_running_loop().time() * 1000 + 0.5:
            self._call()
        self.moved()
