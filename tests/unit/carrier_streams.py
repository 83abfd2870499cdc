"""A carrier's end of a stream for unit tests: it plays a script, and keeps what it is sent."""

import asyncio
import json

import numpy as np

from apps.core.audio import FRAME_BYTES, FRAME_SAMPLES, samples_to_pcm

SILENCE = b"\0" * FRAME_BYTES
TONE_HZ = 440


def tone(rate_hz, seconds=1.0):
    """A tone as int16 samples."""
    at = np.arange(round(rate_hz * seconds)) / rate_hz
    return (8000 * np.sin(2 * np.pi * TONE_HZ * at)).astype(np.int16)


def frames():
    """A second of the tone as the mouth sends it."""
    samples = tone(16_000)
    return [
        samples_to_pcm(samples[i : i + FRAME_SAMPLES])
        for i in range(0, len(samples), FRAME_SAMPLES)
    ]


def loudest_hz(samples, rate_hz):
    spectrum = np.abs(np.fft.rfft(samples.astype(np.float64)))
    return round(spectrum.argmax() * rate_hz / len(samples))


class Stream:
    """Plays a script of messages; a number is a pause in seconds; then the peer goes."""

    def __init__(self, *script):
        self.script = list(script)
        self.sent = []
        self.closed = None

    async def receive(self):
        while self.script and self.closed is None:
            item = self.script.pop(0)
            if isinstance(item, int | float):
                await asyncio.sleep(item)
                continue
            return json.dumps(item) if isinstance(item, dict) else item
        return None

    async def send_text(self, text):
        self.sent.append(text)

    async def send_bytes(self, data):
        self.sent.append(data)

    async def close(self, code, reason):
        self.closed = self.closed or code

    @property
    def texts(self):
        return [x for x in self.sent if isinstance(x, str)]

    @property
    def messages(self):
        return [json.loads(x) for x in self.texts]

    @property
    def audio(self):
        return [x for x in self.sent if isinstance(x, bytes)]


async def listen(door, stream, *script):
    """Let the peer play a script; returns the events."""
    stream.script = list(script)
    return [event async for event in door.events()]
