"""What comes in: datagrams to audio and key presses, in order and without holes. No sockets."""

from __future__ import annotations

from dataclasses import dataclass

from apps.core.audio import FRAME_SAMPLES, SAMPLE_RATE_HZ, duration_ms
from apps.core.errors import ProtocolError
from apps.core.rate import Lead, TokenBucket
from apps.voice.concealment import Concealment
from apps.voice.doors.base import CallerAudio, CallerDigit, DoorEvent
from apps.voice.jitter import JitterBuffer, Lost, Packet, Pause
from apps.voice.rtp.codecs import Codec
from apps.voice.rtp.dtmf import DtmfReceiver
from apps.voice.rtp.latch import Latch
from apps.voice.rtp.negotiation import Negotiated
from apps.voice.rtp.packet import RtpPacket, read_rtp
from apps.voice.rtp.rtcp import Reception
from apps.voice.rtp.sdp import Address
from apps.voice.rtp.srtp import Srtp

# Speech comes 50 times a second, or 100 times; a burst follows a stall of the network.
_PACKETS_PER_MS = 0.25
_PACKET_BURST = 200.0
_AHEAD_MS = 2000.0
_STREAM_PROBATION = 2
_MAX_PAUSE_MS = 2000


class _Flood:
    """What is more than any telephone sends is dropped before it costs anything."""

    def __init__(self) -> None:
        self._packets, self._lead = TokenBucket(_PACKETS_PER_MS, _PACKET_BURST), Lead()

    def admits(self, now_ms: float) -> bool:
        return self._packets.take(now_ms)

    def admits_audio(self, length_ms: float) -> bool:
        """Count the latest packet's audio; False when it comes faster than time passes."""
        now_ms = self._packets.at_ms
        if self._lead.ms(now_ms) > _AHEAD_MS:
            return False
        self._lead.add(length_ms, now_ms)
        return True


@dataclass(slots=True)
class Counts:
    """Packets over the whole call.

    Attributes:
        received: Taken.
        lost: Given up by the jitter buffers of streams that ended.
        foreign: Not the peer's, malformed, or too many.
    """

    received: int = 0
    lost: int = 0
    foreign: int = 0


@dataclass(slots=True)
class _Stream:
    """One SSRC's packets on their way."""

    reception: Reception
    buffer: JitterBuffer
    timestamp: int = 0
    arrived_ms: float = 0.0


class Receiver:
    """The receiving side of one agreed session.

    Args:
        negotiated: What was agreed on.
        codec: Decodes; shared with the sender.
        latch: Says which packets are the peer's.
        srtp: Opens packets, where the session is encrypted.
        counts: Go on over re-INVITEs.
    """

    def __init__(
        self,
        negotiated: Negotiated,
        codec: Codec,
        latch: Latch,
        srtp: Srtp | None,
        counts: Counts,
    ) -> None:
        self.agreed, self.latch = negotiated, latch
        self._codec, self._srtp = codec, srtp
        self.counts = counts
        self._events = dict(negotiated.event_types)
        self._stream: _Stream | None = None
        self._other_ssrc = self._other_count = 0
        self._concealment, self._dtmf = Concealment(), DtmfReceiver()
        self._peer_flood, self._other_flood = _Flood(), _Flood()
        self.heard_ms = 0.0
        """When the peer last gave a sign of life."""

    @property
    def reception(self) -> Reception | None:
        """What RTCP reports of the peer's stream; None before it has begun."""
        return self._stream.reception if self._stream else None

    @property
    def lost(self) -> int:
        """Packets that did not come in time, of the whole call."""
        return self.counts.lost + (self._stream.buffer.statistics.lost if self._stream else 0)

    @property
    def wait_ms(self) -> float:
        """How long a gap waits now."""
        return self._stream.buffer.statistics.wait_ms if self._stream else 0.0

    def packet(self, data: bytes, source: Address, now_ms: float) -> list[DoorEvent]:
        """Take one datagram and return what can be handed on now.

        Raises:
            ProtocolError: With code ``not_the_peer``, ``too_fast``, ``bad_rtp``, ``srtp`` or
                ``unknown_payload``; nothing has changed.
        """
        packet = self._checked(data, source, now_ms)
        self.counts.received += 1
        events: list[DoorEvent] = []
        clock_hz = self._events.get(packet.payload_type)
        if clock_hz is not None and (digit := self._dtmf.push(packet, clock_hz)):
            events.append(CallerDigit(digit))
        if self._follow(packet, now_ms, audio=clock_hz is None):
            self._push(packet, now_ms, audio=clock_hz is None)
        return events + self.due(now_ms)

    def due(self, now_ms: float) -> list[DoorEvent]:
        """Return the audio whose wait is over."""
        if self._stream is None:
            return []
        parts = [self._pcm(item) for item in self._stream.buffer.pop(now_ms)]
        pcm = b"".join(parts)
        if not (self.agreed.hears and self.agreed.sends):
            pcm = bytes(len(pcm))  # on hold: what comes is the other side's music
        return [CallerAudio(pcm)] if pcm else []

    def next_deadline_ms(self) -> float | None:
        """Return when `due` has something even if no packet comes."""
        return self._stream.buffer.next_deadline_ms() if self._stream else None

    def _checked(self, data: bytes, source: Address, now_ms: float) -> RtpPacket:
        if not self.latch.plausible(source):
            raise ProtocolError("A packet is not the peer's.", code="not_the_peer")
        flood = self._peer_flood if source == self.latch.source else self._other_flood
        if not flood.admits(now_ms):
            raise ProtocolError("Packets come too fast.", code="too_fast")
        packet = read_rtp(self._srtp.unprotect(data) if self._srtp else data)
        if source == self.latch.source:
            self.heard_ms = now_ms  # comfort noise, too, is a sign of life
        if packet.payload_type != self.agreed.receive_type:
            if packet.payload_type not in self._events:
                raise ProtocolError("A payload type was not agreed on.", code="unknown_payload")
        elif not self._codec.ticks(packet.payload):
            raise ProtocolError("A packet holds no audio that can be.", code="bad_frame")
        if not self.latch.admits(source, packet, now_ms):
            raise ProtocolError("A packet is not the peer's.", code="not_the_peer")
        return packet

    def _follow(self, packet: RtpPacket, now_ms: float, *, audio: bool) -> bool:
        """Return whether a packet belongs to the audio's stream; a new one has to show itself."""
        if self._stream is not None and packet.ssrc == self._stream.reception.ssrc:
            self._other_count = 0
            return True
        if not audio:  # some gateways send key presses as a stream of their own
            return False
        self._other_count = self._other_count + 1 if packet.ssrc == self._other_ssrc else 1
        self._other_ssrc = packet.ssrc
        if self._stream is not None and self._other_count < _STREAM_PROBATION:
            return False
        self.counts.lost = self.lost
        codec = self._codec
        self._stream = _Stream(
            Reception(packet, codec.clock_hz), JitterBuffer(codec.clock_hz, codec.ticks)
        )
        self._other_count = 0
        return True

    def _push(self, packet: RtpPacket, now_ms: float, *, audio: bool) -> None:
        """Hand a packet to the jitter buffer; a key press only keeps its place there."""
        assert self._stream is not None
        stream = self._stream
        if audio:
            stream.reception.observe(packet, now_ms)
            stream.timestamp, stream.arrived_ms = packet.timestamp, now_ms
            stream.buffer.push(packet.sequence, packet.timestamp, packet.payload, now_ms)
            return
        # A press's packets all have its beginning's time, which would look like a slow network.
        passed = round((now_ms - stream.arrived_ms) * self._codec.clock_hz / 1000)
        timestamp = stream.timestamp + passed & 0xFFFFFFFF
        stream.buffer.push(packet.sequence, timestamp, b"", now_ms)

    def _pcm(self, item: Packet | Lost | Pause) -> bytes:
        match item:
            case Packet(payload=b""):
                return b""
            case Packet(payload=payload):
                try:
                    pcm = self._codec.decode(payload)
                except ProtocolError:
                    return self._concealment.lost(FRAME_SAMPLES)
                if not self._peer_flood.admits_audio(duration_ms(pcm)):
                    return b""
                return self._concealment.good(pcm)
            case Lost(duration=duration):
                return self._concealment.lost(self._samples(duration))
            case Pause(duration=duration):
                return self._concealment.lost(self._samples(duration))

    def _samples(self, ticks: int) -> int:
        longest = self._codec.clock_hz * _MAX_PAUSE_MS // 1000
        return min(ticks, longest) * SAMPLE_RATE_HZ // self._codec.clock_hz
