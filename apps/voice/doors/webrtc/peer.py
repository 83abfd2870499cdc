"""One WebRTC connection: speech both ways at 16 kHz, keys, and text over one data channel.

It knows no message format, so any door over WebRTC can be built on it:

    peer = await Peer.answer(offer_sdp, ice_servers, label="events")
    peer.answer_sdp                       # goes back to the caller
    if await peer.connected(): ...        # False: it was given up
    async for event in peer.events(): ... # CallerAudio, CallerDigit, ChannelText, CallerHungUp
    peer.play(frame); peer.flush(); peer.send(text)
    await peer.close()
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

import structlog
from aiortc import (
    RTCBundlePolicy,
    RTCConfiguration,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpCodecParameters,
    RTCRtpTransceiver,
    RTCSessionDescription,
)

from apps.core.clock import loop_ms
from apps.core.errors import ProtocolError
from apps.voice.doors.base import CallerAudio, CallerDigit, CallerHungUp
from apps.voice.doors.webrtc.channel import TextChannel, bound_pieces, end_quietly
from apps.voice.doors.webrtc.ice import IceServer, gather_within
from apps.voice.doors.webrtc.incoming import Deadline, OpusStream, PacketReceiver
from apps.voice.doors.webrtc.offers import MAX_CANDIDATES, Offer, read_fragment, read_offer
from apps.voice.doors.webrtc.outgoing import SpeechTrack
from apps.voice.jitter import JitterStatistics
from apps.voice.rtp.dtmf import DtmfReceiver
from apps.voice.rtp.packet import RtpPacket

log = structlog.get_logger(__name__)

CONNECT_TIMEOUT_S = 20.0
# A STUN or TURN server that does not answer keeps no caller waiting longer; aiortc would 5 s.
GATHER_TIMEOUT_S = 1.5
SILENT_TIMEOUT_S = 10.0
# The last words lie in the caller's buffer still, and the last message may be sent again.
LINGER_S = 0.5
MAX_EVENTS = 1000

# What we ask of the peer's encoder: no more band than is heard here, and no pauses in its packets.
_OPUS_WANTED = {"maxplaybackrate": 16000, "stereo": 0, "usedtx": 0, "useinbandfec": 0}


@dataclass(frozen=True, slots=True)
class ChannelText:
    """A text message that came over the data channel."""

    text: str


PeerEvent = CallerAudio | CallerDigit | ChannelText | CallerHungUp


class Peer:
    """One caller's connection. Make it by `answer`.

    Attributes:
        answer_sdp: The answer to the caller's offer, with all of our candidates.
    """

    def __init__(self, offer: Offer, ice_servers: Sequence[IceServer], label: str) -> None:
        servers = [
            RTCIceServer(list(s.urls), s.username or None, s.credential or None)
            for s in ice_servers
        ]
        self._connection = RTCPeerConnection(
            RTCConfiguration(iceServers=servers, bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)
        )
        self._offer = offer
        self._track = SpeechTrack()
        self._stream = OpusStream()
        self._opus_type: int | None = None
        self._trickled = 0
        self._keys = DtmfReceiver()
        self._due = Deadline(lambda: self._stream.next_deadline_ms, self._pop)
        self._events: asyncio.Queue[PeerEvent] = asyncio.Queue(MAX_EVENTS)
        self._channel = TextChannel(label, self._take_text)
        self._changed = asyncio.Event()
        self._heard_ms = loop_ms()
        self._closing: asyncio.Task[None] | None = None
        self.answer_sdp = ""

    @classmethod
    async def answer(
        cls, offer_sdp: str, ice_servers: Sequence[IceServer] = (), *, label: str
    ) -> Peer:
        """Answer an offer.

        Args:
            offer_sdp: The caller's session description.
            ice_servers: STUN and TURN servers; without any, only our own addresses are candidates.
            label: Of the data channel that the caller makes; others are ignored.

        Raises:
            ProtocolError: With code ``bad_sdp``.
        """
        peer = cls(read_offer(offer_sdp), ice_servers, label)
        try:
            await peer._negotiate()
        except BaseException as error:
            await peer.close()
            if isinstance(error, Exception):  # whatever aiortc did not like of the offer
                log.debug("offer_refused", error=repr(error))
                raise ProtocolError(
                    "The offer cannot be answered.",
                    hint="docs/doors/webrtc.md says what is needed.",
                    code="bad_sdp",
                ) from None
            raise
        return peer

    async def _negotiate(self) -> None:
        connection = self._connection
        connection.on("connectionstatechange", self._changed.set)
        connection.on("datachannel", self._channel.open)
        sender = connection.addTrack(self._track)
        await connection.setRemoteDescription(RTCSessionDescription(self._offer.sdp, "offer"))
        (transceiver,) = connection.getTransceivers()
        if connection.sctp is not None:
            end_quietly(connection.sctp)
            bound_pieces(connection.sctp)
        self._narrow(transceiver)
        PacketReceiver(sender._ssrc, self._take_packet).replace(transceiver)
        gather_within(transceiver.receiver.transport.transport.iceGatherer, GATHER_TIMEOUT_S)
        await connection.setLocalDescription(await connection.createAnswer())
        self.answer_sdp = connection.localDescription.sdp

    def _narrow(self, transceiver: RTCRtpTransceiver) -> None:
        """Agree on Opus, as we want it, and on keys."""
        codecs = [c for c in transceiver._codecs if c.mimeType.lower() == "audio/opus"][:1]
        codecs[0].parameters = dict(_OPUS_WANTED)
        self._opus_type = codecs[0].payloadType
        if self._offer.key_type is not None:
            keys = RTCRtpCodecParameters(
                "audio/telephone-event", self._offer.key_clock_hz, 1, self._offer.key_type
            )
            keys.parameters = {"0-15": None}
            codecs.append(keys)
        transceiver._codecs = codecs

    async def add_candidates(self, fragment: str) -> None:
        """Take candidates that the caller found after the offer (a trickle-ice-sdpfrag).

        Raises:
            ProtocolError: With code ``bad_message``.
        """
        trickled = read_fragment(fragment, self._offer.mid, self._offer.ufrag)
        self._trickled += len(trickled.candidates)
        if self._trickled > MAX_CANDIDATES:
            raise ProtocolError("Those are too many candidates.", code="bad_message")
        for candidate in trickled.candidates:
            await self._connection.addIceCandidate(candidate)
        if trickled.complete:
            await self._connection.addIceCandidate(None)

    # --- life

    @property
    def is_open(self) -> bool:
        """Whether the connection stands."""
        return self._closing is None and self._connection.connectionState == "connected"

    async def connected(self) -> bool:
        """Wait until the connection stands; False when it failed, or took too long."""
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                while self._connection.connectionState in ("new", "connecting"):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return False
        self._heard_ms = loop_ms()
        return self.is_open

    async def events(self) -> AsyncGenerator[PeerEvent, None]:
        """Yield what comes from the caller; ends with `CallerHungUp`."""
        while True:
            silent_at_ms = self._heard_ms + SILENT_TIMEOUT_S * 1000
            try:
                async with asyncio.timeout_at(silent_at_ms / 1000):
                    event = await self._next()
            except TimeoutError:
                if loop_ms() - self._heard_ms < SILENT_TIMEOUT_S * 1000:
                    continue
                yield CallerHungUp(failed=True)
                return
            yield event
            if isinstance(event, CallerHungUp):
                return

    async def _next(self) -> PeerEvent:
        """Return the next event, or the end when the connection ended and nothing is left."""
        while self._events.empty():
            if not self.is_open:
                return CallerHungUp(failed=self._connection.connectionState == "failed")
            self._changed.clear()
            await self._changed.wait()
        return self._events.get_nowait()

    async def close(self) -> None:
        """Close the connection; a second time waits for the first."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(), name="peer_close")
        await asyncio.shield(self._closing)

    async def linger(self) -> None:
        """Wait until what was played and sent has reached the caller, or the caller has gone."""
        try:
            async with asyncio.timeout(LINGER_S):
                while self.is_open:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            pass

    async def _close(self) -> None:
        self._due.cancel()
        self._track.stop()
        media = self.statistics
        if media.received:
            log.info("media", received=media.received, lost=media.lost, late=media.late)
        try:
            await self._connection.close()
        except Exception:  # a defect there must not keep the call's own end from coming
            log.exception("peer_not_closed")
        self._changed.set()

    # --- to the caller

    @property
    def unsent_ms(self) -> float:
        """How much speech has not left."""
        return self._track.queued_ms

    def play(self, frame: bytes) -> None:
        """Queue one 20 ms frame of 16 kHz PCM; at most 60 ms ahead of its time is right."""
        self._track.play(frame)

    def flush(self) -> None:
        """Drop the speech that has not left."""
        self._track.flush()

    def send(self, text: str) -> None:
        """Send text over the data channel, or keep it until the channel is open."""
        self._channel.send(text)

    # --- from the caller

    @property
    def statistics(self) -> JitterStatistics:
        """What became of the caller's packets."""
        return self._stream.statistics

    def _put(self, event: PeerEvent) -> None:
        """Queue an event; one that comes while nobody has listened for long is dropped."""
        if not self._events.full():
            self._events.put_nowait(event)
            self._changed.set()

    def _take_packet(
        self, payload_type: int, seq: int, timestamp: int, payload: bytes, marker: bool
    ) -> None:
        now_ms = self._heard_ms = loop_ms()
        if payload_type != self._opus_type:
            self._take_key(RtpPacket(payload_type, seq, timestamp, 0, payload, marker))
            payload = b""
        self._put_audio(self._stream.push(seq, timestamp, payload, now_ms))
        self._due.moved()

    def _take_key(self, packet: RtpPacket) -> None:
        if digit := self._keys.push(packet, self._offer.key_clock_hz):
            self._put(CallerDigit(digit))

    def _pop(self) -> None:
        self._put_audio(self._stream.pop(loop_ms()))

    def _put_audio(self, pcm: bytes) -> None:
        if pcm:
            self._put(CallerAudio(pcm))

    def _take_text(self, text: str) -> None:
        self._heard_ms = loop_ms()
        self._put(ChannelText(text))
