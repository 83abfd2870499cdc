"""What speech travels as: one codec object a call, since every one of them has a state.

Measured for 20 ms on one core of a development machine: docs/doors/rtp.md.
"""

from __future__ import annotations

from typing import Literal, Protocol

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext

from apps.core.audio import (
    FRAME_BYTES,
    FRAME_MS,
    FRAME_SAMPLES,
    SAMPLE_RATE_HZ,
    pcm_to_samples,
    samples_to_pcm,
)
from apps.core.errors import ProtocolError
from apps.voice.g711 import alaw_decode, alaw_encode, ulaw_decode, ulaw_encode
from apps.voice.halfband import DownTo8k, UpTo16k
from apps.voice.rtp.opus import OpusDecoder, OpusEncoder, opus_ticks

MAX_PAYLOAD_MS = 120
"""No packet of speech lasts longer (RFC 7587; what telephones send lasts 10 to 60 ms)."""


SILENCE = bytes(FRAME_BYTES)
"""What is encoded where there is nothing to say: this very object, which costs least."""


class Codec(Protocol):
    """Speech in 20 ms frames of 16 kHz PCM to payloads and back."""

    clock_hz: int

    def encode(self, frame: bytes) -> bytes:
        """Return the payload of one 20 ms frame."""
        ...

    def decode(self, payload: bytes) -> bytes:
        """Return the 16 kHz PCM of a payload.

        Raises:
            ProtocolError: With code ``bad_frame``: it is not this codec's.
        """
        ...

    def ticks(self, payload: bytes) -> int:
        """Return how long a payload lasts in ticks of the clock; 0 when that cannot be."""
        ...


class _G711:
    """PCMU and PCMA: 8 kHz, a byte a sample; 1.4 ms late each way."""

    clock_hz = 8000

    def __init__(self, law: str) -> None:
        ulaw = law == "PCMU"
        self._to_law, self._from_law = (
            (ulaw_encode, ulaw_decode) if ulaw else (alaw_encode, alaw_decode)
        )
        self._up, self._down = UpTo16k(), DownTo8k()
        self._silence = self._to_law(np.zeros(FRAME_SAMPLES // 2, np.int16))
        self._quiet = False  # nothing but silence is left in the filter

    def encode(self, frame: bytes) -> bytes:
        if frame is SILENCE and self._quiet:
            return self._silence
        self._quiet = frame is SILENCE
        return self._to_law(self._down.push(pcm_to_samples(frame)))

    def decode(self, payload: bytes) -> bytes:
        return samples_to_pcm(self._up.push(self._from_law(payload)))

    def ticks(self, payload: bytes) -> int:
        return _bounded(len(payload), self.clock_hz)


class _G722:
    """G.722 at 64 kbit/s: 16 kHz, half a byte a sample; 1.4 ms late both ways together."""

    clock_hz = 8000  # RFC 3551, 4.5.2: half of what it is, for ever

    def __init__(self) -> None:
        self._encoder, self._decoder = _context("w"), _context("r")
        self._frame = av.AudioFrame(format="s16", layout="mono", samples=FRAME_SAMPLES)
        self._frame.sample_rate = SAMPLE_RATE_HZ
        self._samples = 0

    def encode(self, frame: bytes) -> bytes:
        self._frame.planes[0].update(frame)
        self._frame.pts = self._samples
        self._samples += FRAME_SAMPLES
        return b"".join(bytes(packet) for packet in self._encoder.encode(self._frame))

    def decode(self, payload: bytes) -> bytes:
        try:
            frames = self._decoder.decode(av.Packet(payload))
        except av.FFmpegError:
            raise ProtocolError("A packet holds no G.722.", code="bad_frame") from None
        return b"".join(bytes(frame.planes[0])[: frame.samples * 2] for frame in frames)

    def ticks(self, payload: bytes) -> int:
        return _bounded(len(payload), self.clock_hz)


class _Opus:
    """Opus, mono, decoded at 48 kHz as it is defined, encoded at 16 kHz."""

    clock_hz = 48_000

    def __init__(self) -> None:
        self._encoder, self._decoder = OpusEncoder(), OpusDecoder()

    def encode(self, frame: bytes) -> bytes:
        return self._encoder.encode(frame)

    def decode(self, payload: bytes) -> bytes:
        return self._decoder.decode(payload)

    def ticks(self, payload: bytes) -> int:
        return opus_ticks(payload)


def codec_named(name: str) -> Codec:
    """Return a fresh codec for a name of `negotiation.CODECS`."""
    match name:
        case "PCMU" | "PCMA":
            return _G711(name)
        case "G722":
            return _G722()
        case "OPUS":
            return _Opus()
    raise ValueError(f"{name} is no codec of ours")


def frame_ticks(codec: Codec) -> int:
    """Return how many ticks of its clock 20 ms are."""
    return codec.clock_hz * FRAME_MS // 1000


def _bounded(ticks: int, clock_hz: int) -> int:
    return ticks if ticks <= clock_hz * MAX_PAYLOAD_MS // 1000 else 0


def _context(mode: Literal["r", "w"]) -> AudioCodecContext:
    context = av.CodecContext.create("g722", mode)
    context.sample_rate, context.layout, context.format = SAMPLE_RATE_HZ, "mono", "s16"
    context.open()
    return context
