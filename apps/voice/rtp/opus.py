"""Opus for a telephone call: FFmpeg's libopus, mono, 16 kHz on our side (RFC 6716, RFC 7587)."""

from __future__ import annotations

import av
import numpy as np
from numpy.typing import NDArray

from apps.core.audio import FRAME_SAMPLES, SAMPLE_RATE_HZ, Samples, samples_to_pcm
from apps.core.errors import ProtocolError

CLOCK_HZ = 48_000
_BIT_RATE = 32_000
# CELT alone is half SILK's work and has 2.5 ms of look-ahead in place of 6.5.
_OPTIONS = {"application": "lowdelay", "frame_duration": "20", "compression_level": "5"}
_MAX_TICKS = CLOCK_HZ * 120 // 1000
_SILK_TICKS = (480, 960, 1920, 2880)
_HYBRID_TICKS = (480, 960)
_CELT_TICKS = (120, 240, 480, 960)


def opus_ticks(payload: bytes) -> int:
    """Return how many samples at 48 kHz a packet lasts (RFC 6716, 3.1); 0 when it is malformed."""
    if not payload:
        return 0
    config, code = payload[0] >> 3, payload[0] & 3
    if config < 12:
        frame = _SILK_TICKS[config & 3]
    else:
        frame = _HYBRID_TICKS[config & 1] if config < 16 else _CELT_TICKS[config & 3]
    frames = (1, 2, 2, payload[1] & 0x3F if len(payload) > 1 else 0)[code]
    ticks = frame * frames
    return ticks if ticks <= _MAX_TICKS else 0


class OpusEncoder:
    """20 ms frames of 16 kHz PCM to packets."""

    def __init__(self) -> None:
        context = av.CodecContext.create("libopus", "w")
        context.sample_rate, context.layout, context.format = SAMPLE_RATE_HZ, "mono", "s16"
        context.bit_rate, context.options = _BIT_RATE, dict(_OPTIONS)
        context.open()
        self._context = context
        self._frame = av.AudioFrame(format="s16", layout="mono", samples=FRAME_SAMPLES)
        self._frame.sample_rate = SAMPLE_RATE_HZ
        self._samples = 0

    def encode(self, frame: bytes) -> bytes:
        """Return one frame's packet."""
        self._frame.planes[0].update(frame)
        self._frame.pts = self._samples
        self._samples += FRAME_SAMPLES
        return b"".join(bytes(packet) for packet in self._context.encode(self._frame))


class OpusDecoder:
    """Packets to 16 kHz PCM; 0.7 ms late."""

    def __init__(self) -> None:
        context = av.CodecContext.create("libopus", "r")
        context.sample_rate, context.layout = CLOCK_HZ, "mono"
        context.open()
        self._context = context
        self._down = DownTo16k()

    def decode(self, payload: bytes) -> bytes:
        """Return a packet's PCM.

        Raises:
            ProtocolError: With code ``bad_frame``: it holds no Opus.
        """
        try:
            frames = self._context.decode(av.Packet(payload))
        except av.FFmpegError:
            raise ProtocolError("A packet holds no Opus.", code="bad_frame") from None
        parts = [
            self._down.push(np.frombuffer(bytes(frame.planes[0]), np.int16)[: frame.samples])
            for frame in frames
        ]
        return b"".join(samples_to_pcm(part) for part in parts)


_TAPS = 72
_KAISER_BETA = 5.65  # 60 dB
_CUTOFF = 7800 / (CLOCK_HZ / 2)


def _low_pass() -> NDArray[np.float32]:
    """Return taps that sum to 1, shape (72,)."""
    at = np.arange(_TAPS) - (_TAPS - 1) / 2
    taps = np.sinc(at * _CUTOFF) * np.kaiser(_TAPS, _KAISER_BETA)
    return np.asarray(taps / taps.sum(), np.float32)


_LOW_PASS = _low_pass()
_PHASES = [np.ascontiguousarray(_LOW_PASS[phase::3]) for phase in range(3)]


class DownTo16k:
    """Brings a stream from 48 to 16 kHz, flat to 6.8 kHz, 60 dB down from 9 kHz; 0.7 ms late."""

    def __init__(self) -> None:
        self._past: NDArray[np.float32] = np.zeros(_TAPS - 3, np.float32)

    def push(self, samples: Samples) -> Samples:
        """Take int16 samples, shape (3n,), and return the next n at 16 kHz."""
        if not len(samples):
            return samples
        stream = np.concatenate((self._past, samples), dtype=np.float32)
        self._past = stream[len(samples) :]
        total = np.zeros(len(samples) // 3, np.float32)
        for phase, taps in enumerate(_PHASES):
            total += np.correlate(stream[phase::3], taps, "valid")
        rounded: Samples = np.clip(np.rint(total), -32768, 32767).astype(np.int16)
        return rounded
