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


class Transcoder:
    """Both directions of one call's audio.

    Args:
        encoding: ``pcm_s16le``, ``mulaw`` or ``alaw``.
        rate_hz: The peer's sample rate.
    """

    def __init__(self, encoding: str, rate_hz: int) -> None:
        self._decode, self._encode = _CODECS[encoding]
        self._rate_hz = rate_hz
        self._in = UpTo16k() if rate_hz == 8000 else Resampler(rate_hz, SAMPLE_RATE_HZ)
        self._out = self._new_out()

    def incoming(self, data: bytes) -> bytes:
        """Return a peer's audio as 16 kHz PCM; a resampler may hold a few milliseconds back."""
        return samples_to_pcm(self._in.push(self._decode(data)))

    def outgoing(self, pcm: bytes) -> bytes:
        """Return 16 kHz PCM in the peer's format."""
        return self._encode(self._out.push(pcm_to_samples(pcm)))

    def reset_outgoing(self) -> None:
        """Forget what the outgoing resampler holds back, after a flush."""
        self._out = self._new_out()

    def _new_out(self) -> DownTo8k | Resampler:
        # The telephone's rate has a filter of its own, many times cheaper than any other pair's.
        return DownTo8k() if self._rate_hz == 8000 else Resampler(SAMPLE_RATE_HZ, self._rate_hz)
