"""A caller over WebRTC for tests: aiortc's client, and a microphone that says what it is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import av
import numpy as np
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError
from numpy.typing import NDArray

PATIENCE_S = 30.0
RATE_HZ = 48_000
SAMPLES = RATE_HZ // 50

Pcm = NDArray[np.int16]


class Microphone(MediaStreamTrack):
    """Gives 20 ms every 20 ms: what is to be said, then silence."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self.to_say: Pcm = np.zeros(0, np.int16)
        self._began_s: float | None = None
        self._frames = 0

    async def recv(self) -> av.AudioFrame:
        now_s = asyncio.get_running_loop().time()
        if self._began_s is None:
            self._began_s = now_s
        await asyncio.sleep(max(0.0, self._began_s + self._frames * 0.02 - now_s))
        said, self.to_say = self.to_say[:SAMPLES], self.to_say[SAMPLES:]
        both = np.pad(said, (0, SAMPLES - len(said))).repeat(2).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(both, format="s16", layout="stereo")
        frame.sample_rate, frame.time_base = RATE_HZ, Fraction(1, RATE_HZ)
        frame.pts = self._frames * SAMPLES
        self._frames += 1
        return frame


class Caller:
    """One call's client end.

    Attributes:
        heard: The assistant's audio as decoded, 48 kHz mono, 20 ms each.
        messages: What came over the data channel.
    """

    def __init__(self, label: str = "events") -> None:
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.microphone = Microphone()
        self.connection.addTrack(self.microphone)
        self.channel = self.connection.createDataChannel(label)
        self.channel.on("message", self._take)
        self.channel.on("close", self._close)
        self.connection.on("track", self._listen)
        self.heard: list[Pcm] = []
        self.on_heard: Callable[[Pcm], None] = lambda pcm: None
        self.messages: list[dict[str, Any]] = []
        self.over = False
        self._changed = asyncio.Event()
        self._listening: asyncio.Task[None] | None = None

    async def offer(self) -> str:
        """Return the offer, with all candidates."""
        await self.connection.setLocalDescription(await self.connection.createOffer())
        return str(self.connection.localDescription.sdp)

    async def accept(self, answer: str) -> None:
        """Take the answer and begin to connect."""
        await self.connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))

    def send(self, **message: Any) -> None:
        """Send a message over the data channel."""
        self.channel.send(json.dumps(message))

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Return the messages of one type."""
        return [m for m in self.messages if m["type"] == kind]

    @property
    def state(self) -> str:
        """Where the call stands."""
        states = self.of("state")
        return str(states[-1]["state"]) if states else ""

    @property
    def loudness(self) -> float:
        """The RMS of what was heard so far."""
        heard = np.concatenate(self.heard) if self.heard else np.zeros(1)
        return float(np.sqrt(np.mean(heard.astype(np.float64) ** 2)))

    async def until(self, condition: Callable[[Caller], object]) -> None:
        """Wait until something holds."""
        async with asyncio.timeout(PATIENCE_S):
            while not condition(self):
                assert not self.over, f"the call is over: {self.messages[-3:]}"
                self._changed.clear()
                await self._changed.wait()

    async def ends(self) -> None:
        """Wait until the server has closed the connection."""
        async with asyncio.timeout(PATIENCE_S):
            while not self.over:
                self._changed.clear()
                await self._changed.wait()

    async def close(self) -> None:
        """Leave."""
        await self.connection.close()
        if self._listening is not None:
            await self._listening

    def _take(self, message: str) -> None:
        self.messages.append(json.loads(message))
        self._changed.set()

    def _close(self) -> None:
        self.over = True
        self._changed.set()

    def _listen(self, track: MediaStreamTrack) -> None:
        self._listening = asyncio.create_task(self._hear(track))

    async def _hear(self, track: MediaStreamTrack) -> None:
        try:
            while True:
                frame = await track.recv()
                self.heard.append(frame.to_ndarray().reshape(-1)[::2].copy())
                self.on_heard(self.heard[-1])
                self._changed.set()
        except MediaStreamError:
            return
