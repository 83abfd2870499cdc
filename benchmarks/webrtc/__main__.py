"""How late speech is in both directions of the WebRTC door, before, on, and after a bad network.

One caller (aiortc's connection, sending packets that were encoded before) and one peer of the door
talk over loopback, through the proxy that loses, delays and reorders. To the server, the delay is
from a packet's leaving the caller until its audio is handed to the call; to the caller, from
`play` until the packet arrives, the caller's own jitter buffer not counted.

    python -m benchmarks.webrtc --seconds 10
"""

from __future__ import annotations

import argparse
import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import aioice.ice
import av
import numpy as np
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from apps.core.audio import duration_ms
from apps.core.clock import loop_ms
from apps.core.resources import resource
from apps.voice.audiofile import read_audio
from apps.voice.doors.base import CallerAudio
from apps.voice.doors.webrtc.incoming import PacketReceiver
from apps.voice.doors.webrtc.peer import Peer
from apps.voice.rtp.opus import OpusEncoder
from benchmarks.network.trouble import BAD, GOOD, Network
from benchmarks.network.udp_proxy import UdpProxy

FRAME_BYTES = 640


@dataclass
class Delays:
    """When, and how late, audio came: milliseconds of the loop's time."""

    at_ms: list[float] = field(default_factory=list)
    late_ms: list[float] = field(default_factory=list)

    def note(self, late_ms: float) -> None:
        """Note what came now."""
        self.at_ms.append(loop_ms())
        self.late_ms.append(late_ms)

    def between(self, start_ms: float, end_ms: float) -> list[float]:
        """Return how late what came within a time was."""
        pairs = zip(self.at_ms, self.late_ms, strict=True)
        return [late for at, late in pairs if start_ms <= at < end_ms]


class Speaker(MediaStreamTrack):
    """Sends encoded speech, and knows when each packet left."""

    kind = "audio"

    def __init__(self, frames: Sequence[bytes]) -> None:
        super().__init__()
        encoder = OpusEncoder()
        self._payloads = [encoder.encode(frame) for frame in frames]
        self._number = 0
        self.began_ms = 0.0

    async def recv(self) -> av.Packet[Any]:
        """Return the next packet on an absolute schedule."""
        self.began_ms = self.began_ms or loop_ms()
        due_ms = self.began_ms + self._number * 20.0
        await asyncio.sleep(max(0.0, due_ms - loop_ms()) / 1000)
        packet = av.Packet(self._payloads[self._number % len(self._payloads)])
        packet.pts, packet.time_base = self._number * 960, Fraction(1, 48_000)
        self._number += 1
        return packet


def speech() -> list[bytes]:
    """Return the demonstration's question in frames of 20 ms."""
    pcm = read_audio(resource("demo", "slt", "question.flac")).tobytes()
    return [pcm[at : at + FRAME_BYTES] for at in range(0, len(pcm) - FRAME_BYTES, FRAME_BYTES)]


def without_candidates(sdp: str) -> str:
    """Return a description that leaves the way open: who sends first is found."""
    lines = [x for x in sdp.splitlines() if not x.startswith(("a=candidate", "a=end-of"))]
    return "\r\n".join(lines) + "\r\n"


async def hear(peer: Peer, speaker: Speaker, delays: Delays) -> None:
    """Note how late the caller's audio is: its end left the caller with its packet."""
    heard_ms = 0.0
    async for event in peer.events():
        if isinstance(event, CallerAudio):
            heard_ms += duration_ms(event.pcm)
            delays.note(loop_ms() - (speaker.began_ms + heard_ms - 20.0))


async def speak(peer: Peer, frames: Sequence[bytes], words: Words) -> None:
    """Say something short again and again, at any moment between two packets."""
    dice = random.Random(1)
    while True:
        words.said_ms = loop_ms()
        for frame in frames[20:25]:
            peer.play(frame)
        await asyncio.sleep(dice.uniform(0.3, 0.5))


class Words:
    """Notes how late the first packet of what is said comes to the caller.

    Args:
        delays: Where.
    """

    def __init__(self, delays: Delays) -> None:
        self._delays = delays
        self.said_ms: float | None = None

    def take(
        self, payload_type: int, seq: int, timestamp: int, payload: bytes, marker: bool
    ) -> None:
        """Take one packet of the server's; those of silence hold next to nothing."""
        if self.said_ms is not None and len(payload) > 20:
            self._delays.note(loop_ms() - self.said_ms)
            self.said_ms = None


async def measure(phases: Sequence[tuple[str, Network, float]], seed: int) -> None:
    """Talk through every phase and print what was seen."""
    frames, up, down = speech(), Delays(), Delays()
    words = Words(down)
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    speaker = Speaker(frames)
    connection.addTrack(speaker)
    connection.createDataChannel("events")
    await connection.setLocalDescription(await connection.createOffer())
    PacketReceiver(1, words.take).replace(connection.getTransceivers()[0])
    peer = await Peer.answer(without_candidates(connection.localDescription.sdp), label="events")
    port = int(next(x for x in peer.answer_sdp.splitlines() if "typ host" in x).split()[5])
    async with UdpProxy(("127.0.0.1", port), seed=seed, network=GOOD) as proxy:
        answer = peer.answer_sdp.replace(f" {port} typ", f" {proxy.address[1]} typ")
        await connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        assert await peer.connected()
        tasks = [
            asyncio.create_task(hear(peer, speaker, up)),
            asyncio.create_task(speak(peer, frames, words)),
        ]
        await asyncio.sleep(2)
        for name, network, seconds in phases:
            proxy.network, start_ms = network, loop_ms()
            await asyncio.sleep(seconds)
            told(f"{name}: to the server", up.between(start_ms, loop_ms()))
            told(f"{name}: to the caller", down.between(start_ms, loop_ms()))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    print(f"packets: {peer.statistics}")
    await connection.close()
    await peer.close()


def told(name: str, late_ms: Sequence[float]) -> None:
    """Print one phase's delay."""
    low, middle, high = np.percentile(late_ms, (5, 50, 95))
    print(f"{name:44} median {middle:6.1f} ms   5 % {low:6.1f}   95 % {high:6.1f}")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=10.0, help="of the good and the bad")
    parser.add_argument("--seed", type=int, default=4)
    arguments = parser.parse_args()
    # Neither side uses loopback by itself, and the measurement needs no other network.
    aioice.ice.get_host_addresses = lambda **_: ["127.0.0.1"]
    seconds = arguments.seconds
    phases = (
        ("good", GOOD, seconds),
        ("bad: 5 % lost, jitter 40 ms", BAD, seconds),
        ("good again, first 3 s", GOOD, 3.0),
        ("good again, later", GOOD, seconds),
    )
    asyncio.run(measure(phases, arguments.seed))


if __name__ == "__main__":
    main()
