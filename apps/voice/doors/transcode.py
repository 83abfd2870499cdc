"""From a peer's audio format to 16 kHz PCM and back, frame by frame."""

from __future__ import annotations

from collections.abc import Callable

from apps.core.audio import SAMPLE_RATE_HZ, Samples, pcm_to_samples, samples_to_pcm
from apps.voice.g711 import alaw_decode, alaw_encode, ulaw_decode, ulaw_encode
from apps.voice.halfband import DownTo8k, UpTo16k
from apps.voice.resample import Resampler

_CODECS: dict[str, tuple[Callable[[bytes], Samples], Callable[[Samples], bytes]]] = {
    "pcm_s16le": (pcm_to_samples, samples_to_pcm),
    "mulaw": (ulaw_decode, ulaw_encode),
    "alaw": (alaw_decode, alaw_encode),
}


class Decoder:
    """A peer's audio as 16 kHz PCM.

    Args:
        encoding: ``pcm_s16le``, ``mulaw`` or ``alaw``.
        rate_hz: The peer's sample rate.
    """

    def __init__(self, encoding: str, rate_hz: int) -> None:
        self._decode = _CODECS[encoding][0]
        # The telephone's rate has a filter of its own, many times cheaper than any other pair's.
        self._up = UpTo16k() if rate_hz == 8000 else Resampler(rate_hz, SAMPLE_RATE_HZ)

    def push(self, data: bytes) -> bytes:
        """Return what is ready; a resampler may hold a few milliseconds back."""
        return samples_to_pcm(self._up.push(self._decode(data)))


class Encoder:
    """16 kHz PCM as a peer's audio.

    Args:
        encoding: ``pcm_s16le``, ``mulaw`` or ``alaw``.
        rate_hz: The peer's sample rate.
    """

    def __init__(self, encoding: str, rate_hz: int) -> None:
        self._encode = _CODECS[encoding][1]
        self._rate_hz = rate_hz
        self.reset()

    def push(self, pcm: bytes) -> bytes:
        """Return what is ready; a resampler may hold a few milliseconds back."""
        return self._encode(self._down.push(pcm_to_samples(pcm)))

    def reset(self) -> None:
        """Forget what the resampler holds back, after a flush."""
        telephone = self._rate_hz == 8000
        self._down = DownTo8k() if telephone else Resampler(SAMPLE_RATE_HZ, self._rate_hz)


class Transcoder:
    """Both directions of one call's audio, in one format.

    Args:
        encoding: ``pcm_s16le``, ``mulaw`` or ``alaw``.
        rate_hz: The peer's sample rate.
    """

    def __init__(self, encoding: str, rate_hz: int) -> None:
        self._in, self._out = Decoder(encoding, rate_hz), Encoder(encoding, rate_hz)

    def incoming(self, data: bytes) -> bytes:
        """Return a peer's audio as 16 kHz PCM."""
        return self._in.push(data)

    def outgoing(self, pcm: bytes) -> bytes:
        """Return 16 kHz PCM in the peer's format."""
        return self._out.push(pcm)

    def reset_outgoing(self) -> None:
        """Forget what the outgoing resampler holds back, after a flush."""
        self._out.reset()
