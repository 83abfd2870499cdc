"""A WebRTC caller that costs little: packets encoded before, and taken as they arrive.

aiortc's connection, without its encoder, its jitter buffer and its decoding thread.
"""

from __future__ import annotations

import asyncio
import re
import struct
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import aioice.ice
import av
import httpx
import numpy as np
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError

from apps.core.audio import Samples
from apps.core.clock import loop_ms
from apps.voice.doors.webrtc.incoming import PacketReceiver
from apps.voice.rtp.opus import CLOCK_HZ, OpusEncoder
from benchmarks.doors.wires import Listener, Ports, frames
from benchmarks.network.udp_proxy import Address, UdpProxy

MakeProxy = Callable[[Address], UdpProxy]

PATIENCE_S = 20.0
HEADER_BYTES = 12
_FRAME_TICKS = CLOCK_HZ // 50


def use_loopback() -> None:
    """Have WebRTC connections of this process use loopback, which they do not by themselves."""
    aioice.ice.get_host_addresses = lambda **_: ["127.0.0.1"]


class _Mute(MediaStreamTrack):
    """Keeps aiortc's sender waiting: packets go to its transport straight."""

    kind = "audio"

    async def recv(self) -> av.Packet[Any]:
        await asyncio.Event().wait()
        raise MediaStreamError


class WebRtcWire:
    """A caller by WHIP.

    Args:
        make_proxy: Makes a proxy to the server's port, if packets are not to go straight.
    """

    rate_hz = 16_000
    streams = True

    def __init__(self, make_proxy: MakeProxy | None = None) -> None:
        self._make_proxy = make_proxy
        self._opened = AsyncExitStack()
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._connected = asyncio.Event()
        self._transport: Any = None
        self._head = bytearray(HEADER_BYTES)
        self._sequence, self._timestamp = 0, 0
        self._decoder = av.CodecContext.create("libopus", "r")
        self._decoder.sample_rate, self._decoder.layout = CLOCK_HZ, "mono"
        self._decoder.open()

    def encode(self, samples: Samples) -> list[bytes]:
        """Return Opus."""
        encoder = OpusEncoder()
        return [encoder.encode(f.astype("<i2").tobytes()) for f in frames(samples, self.rate_hz)]

    async def open(self, ports: Ports, listener: Listener) -> None:
        """Call, and wait until the connection stands."""
        connection = self._connection
        connection.on("connectionstatechange", self._changed)
        sender = connection.addTrack(_Mute())
        connection.createDataChannel("events")
        await connection.setLocalDescription(await connection.createOffer())

        async def hear(packet: bytes, arrival_time_ms: int) -> None:
            listener.heard(loop_ms(), self._decode(payload_of(packet)))

        (transceiver,) = connection.getTransceivers()
        PacketReceiver(1, _ignore).replace(transceiver)
        self._transport = transceiver.receiver.transport
        self._transport._handle_rtp_data = hear
        offer = connection.localDescription.sdp
        if self._make_proxy is not None:
            offer = _without_candidates(offer)
        answer = await _post(f"http://127.0.0.1:{ports.http}/whip?language=en", offer)
        if self._make_proxy is not None:
            answer = await self._through(self._make_proxy, answer)
        await connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        async with asyncio.timeout(PATIENCE_S):
            await self._connected.wait()
        self._head[:] = struct.pack("!BBHII", 0x80, _opus_type(answer), 0, 0, sender._ssrc)

    async def send(self, payload: bytes) -> None:
        """Send one packet."""
        struct.pack_into("!HI", self._head, 2, self._sequence, self._timestamp)
        self._sequence = self._sequence + 1 & 0xFFFF
        self._timestamp = self._timestamp + _FRAME_TICKS & 0xFFFFFFFF
        await self._transport._send_rtp(bytes(self._head) + payload)

    async def close(self) -> None:
        """Hang up."""
        await self._connection.close()
        await self._opened.aclose()

    def _changed(self) -> None:
        if self._connection.connectionState == "connected":
            self._connected.set()

    def _decode(self, payload: bytes) -> Samples:
        """Return a packet's audio at 16 kHz, every third sample of what the decoder makes."""
        parts = [
            np.frombuffer(bytes(frame.planes[0]), np.int16)[: frame.samples : 3]
            for frame in self._decoder.decode(av.Packet(payload))
        ]
        return np.concatenate(parts) if parts else np.zeros(0, np.int16)

    async def _through(self, make_proxy: MakeProxy, answer: str) -> str:
        """Open a proxy, and return the server's answer as if the proxy were the server."""
        candidate = next(line for line in answer.splitlines() if "typ host" in line)
        port = candidate.split()[5]
        proxy = await self._opened.enter_async_context(make_proxy(("127.0.0.1", int(port))))
        return answer.replace(f" {port} typ", f" {proxy.address[1]} typ")


def payload_of(packet: bytes) -> bytes:
    """Return what an RTP packet carries, behind its header and the header's extension."""
    start = HEADER_BYTES + 4 * (packet[0] & 0x0F)
    if packet[0] & 0x10:
        start += 4 + 4 * int.from_bytes(packet[start + 2 : start + 4], "big")
    return packet[start:]


def _ignore(payload_type: int, seq: int, timestamp: int, payload: bytes, marker: bool) -> None: ...


def _opus_type(sdp: str) -> int:
    """Return the payload type of Opus in a description."""
    found = re.search(r"^a=rtpmap:(\d+) opus/48000", sdp, re.MULTILINE | re.IGNORECASE)
    assert found is not None
    return int(found[1])


def _without_candidates(sdp: str) -> str:
    """Return a description that leaves the way open: the server finds who sends first."""
    lines = [x for x in sdp.splitlines() if not x.startswith(("a=candidate", "a=end-of"))]
    return "\r\n".join(lines) + "\r\n"


async def _post(url: str, offer: str) -> str:
    async with httpx.AsyncClient(timeout=PATIENCE_S, verify=False) as client:
        response = await client.post(
            url, content=offer, headers={"Content-Type": "application/sdp"}
        )
    response.raise_for_status()
    return response.text
