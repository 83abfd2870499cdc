"""G.711: the telephone network's µ-law and A-law, by tables, exact to ITU-T G.711 (11/88).

Encoding follows the reference implementation's rounding (ITU-T G.191), which works on the upper
14 bits (µ-law) or 13 bits (A-law) of a 16-bit sample, negative ones by their ones' complement.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from apps.core.audio import Samples

_BIAS = 33  # added to the 14-bit magnitude, so that every µ-law segment doubles the one before
_MAX_BIASED = 0x1FFF
_A_EVEN_BITS = 0x55  # A-law inverts every other bit on the line
_ALL_SAMPLES = np.arange(-32768, 32768)
_ALL_BYTES = np.arange(256)


def _ulaw_decoder() -> Samples:
    bits = ~_ALL_BYTES & 0xFF
    magnitude = ((((bits & 0x0F) << 1) + _BIAS) << (bits >> 4 & 7)) - _BIAS
    return np.where(bits & 0x80, -magnitude, magnitude).astype(np.int16) << 2


def _ulaw_encoder() -> NDArray[np.uint8]:
    magnitude = np.where(_ALL_SAMPLES < 0, ~_ALL_SAMPLES, _ALL_SAMPLES) >> 2
    biased = np.minimum(magnitude + _BIAS, _MAX_BIASED)
    segment = np.floor(np.log2(biased)).astype(np.int64) - 5
    mantissa = biased >> (segment + 1) & 0x0F
    sign = np.where(_ALL_SAMPLES < 0, 0x80, 0)
    return np.asarray(~(sign | segment << 4 | mantissa) & 0xFF, np.uint8)


def _alaw_decoder() -> Samples:
    bits = _ALL_BYTES ^ _A_EVEN_BITS
    segment = bits >> 4 & 7
    magnitude = ((bits & 0x0F) << 4) + 8
    magnitude = np.where(segment, (magnitude + 0x100) << np.maximum(segment - 1, 0), magnitude)
    return np.where(bits & 0x80, magnitude, -magnitude).astype(np.int16)


def _alaw_encoder() -> NDArray[np.uint8]:
    magnitude = np.where(_ALL_SAMPLES < 0, ~_ALL_SAMPLES, _ALL_SAMPLES) >> 4
    segment = np.maximum(np.floor(np.log2(np.maximum(magnitude, 1))).astype(np.int64) - 3, 0)
    mantissa = magnitude >> np.maximum(segment - 1, 0) & 0x0F
    sign = np.where(_ALL_SAMPLES < 0, 0, 0x80)
    return np.asarray((sign | segment << 4 | mantissa) ^ _A_EVEN_BITS, np.uint8)


_ULAW_DECODER = _ulaw_decoder()
_ULAW_ENCODER = _ulaw_encoder()
_ALAW_DECODER = _alaw_decoder()
_ALAW_ENCODER = _alaw_encoder()


def ulaw_encode(samples: Samples) -> bytes:
    """Return int16 samples, shape (n,), as n bytes of µ-law (PCMU)."""
    return _ULAW_ENCODER[samples.astype(np.int32) + 32768].tobytes()


def ulaw_decode(data: bytes) -> Samples:
    """Return n bytes of µ-law (PCMU) as int16 samples, shape (n,)."""
    return _ULAW_DECODER[np.frombuffer(data, np.uint8)]


def alaw_encode(samples: Samples) -> bytes:
    """Return int16 samples, shape (n,), as n bytes of A-law (PCMA)."""
    return _ALAW_ENCODER[samples.astype(np.int32) + 32768].tobytes()


def alaw_decode(data: bytes) -> Samples:
    """Return n bytes of A-law (PCMA) as int16 samples, shape (n,)."""
    return _ALAW_DECODER[np.frombuffer(data, np.uint8)]
