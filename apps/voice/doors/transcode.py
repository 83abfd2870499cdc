"""From a peer's audio format to 16 kHz PCM and back, frame by frame."""

from __future__ import annotations

from apps.core.audio import SAMPLE_RATE_HZ, pcm_to_samples, samples_to_pcm
from apps.voice.g711 import ulaw_decode, ulaw_encode
from apps.voice.resample import Resampler


class Transcoder:
    """Both directions of one call's audio.

    Args:
        encoding: ``pcm_s16le`` or ``mulaw``.
        rate_hz: The peer's sample rate.
    """

    def __init__(self, encoding: str, rate_hz: int) -> None:
        self._mulaw = encoding == "mulaw"
        self._rate_hz = rate_hz
        self._in = Resampler(rate_hz, SAMPLE_RATE_HZ)
        self._out = Resampler(SAMPLE_RATE_HZ, rate_hz)

    def incoming(self, data: bytes) -> bytes:
        """Return a peer's audio as 16 kHz PCM; a resampler may hold a few milliseconds back."""
        samples = ulaw_decode(data) if self._mulaw else pcm_to_samples(data)
        return samples_to_pcm(self._in.push(samples))

    def outgoing(self, pcm: bytes) -> bytes:
        """Return 16 kHz PCM in the peer's format."""
        samples = self._out.push(pcm_to_samples(pcm))
        return ulaw_encode(samples) if self._mulaw else samples_to_pcm(samples)

    def reset_outgoing(self) -> None:
        """Forget what the outgoing resampler holds back, after a flush."""
        self._out = Resampler(SAMPLE_RATE_HZ, self._rate_hz)
