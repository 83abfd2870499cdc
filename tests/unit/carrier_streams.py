"""What the unit tests of carriers' doors share: a carrier's end of a stream, and audio for it."""

import json

import numpy as np

from apps.core.audio import FRAME_BYTES, FRAME_SAMPLES, samples_to_pcm
from tests.scripted_socket import ScriptedSocket

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


class Stream(ScriptedSocket):
    """A carrier's end of a stream; texts are kept as they are, for not every carrier's are JSON."""

    def read(self, text):
        return text

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
