"""A Realtime session's audio to and from 16 kHz PCM, and what of it the client has played."""

from __future__ import annotations

from dataclasses import dataclass

from apps.core.audio import FRAME_MS, pcm_to_samples, samples_to_pcm
from apps.voice.doors.realtime.messages import Refused
from apps.voice.doors.realtime.session import Format
from apps.voice.g711 import alaw_decode, alaw_encode, ulaw_decode, ulaw_encode
from apps.voice.halfband import DownTo8k, UpTo16k
from apps.voice.resample import Resampler

PCM_RATE_HZ = 24_000
MAX_DELAY_MS = 1000.0
"""A client that says it is later than this has cut the answer by choice."""


class Listening:
    """The caller's audio on its way in.

    Args:
        kind: The session's input format.
    """

    def __init__(self, kind: Format) -> None:
        self.kind = kind
        self._up = UpTo16k() if kind != "audio/pcm" else Resampler(PCM_RATE_HZ)

    def length_ms(self, audio: bytes) -> float:
        """Return how long audio in this format lasts."""
        bytes_per_ms = PCM_RATE_HZ * 2 / 1000 if self.kind == "audio/pcm" else 8.0
        return len(audio) / bytes_per_ms

    def decode(self, audio: bytes) -> bytes:
        """Return audio in this format as 16 kHz PCM.

        Raises:
            Refused: It is not a whole number of samples.
        """
        if self.kind == "audio/pcm" and len(audio) % 2:
            message = f"{len(audio)} bytes are not a whole number of 16-bit samples."
            raise Refused(message, code="invalid_audio", param="audio")
        match self.kind:
            case "audio/pcm":
                samples = pcm_to_samples(audio)
            case "audio/pcmu":
                samples = ulaw_decode(audio)
            case "audio/pcma":
                samples = alaw_decode(audio)
        return samples_to_pcm(self._up.push(samples))


class Speaking:
    """The assistant's audio on its way out.

    Args:
        kind: The session's output format.
    """

    def __init__(self, kind: Format) -> None:
        self.kind = kind
        self._down = (
            DownTo8k() if kind != "audio/pcm" else Resampler(from_hz=16_000, to_hz=PCM_RATE_HZ)
        )

    def encode(self, pcm: bytes) -> bytes:
        """Return 16 kHz PCM in this format; a resampler holds about a millisecond back."""
        samples = self._down.push(pcm_to_samples(pcm))
        match self.kind:
            case "audio/pcmu":
                return ulaw_encode(samples)
            case "audio/pcma":
                return alaw_encode(samples)
        return samples_to_pcm(samples)


@dataclass(slots=True)
class Playback:
    """What of the audio that was sent the client has played, as far as that is known.

    A client says how much it has played only when it truncates an answer; how late it was then is
    how late it is taken to be from then on.

    Attributes:
        sent_ms: Audio sent of the newest answer.
        until_ms: When all that was sent would be played if it were at once, in loop time.
        delay_ms: How much later the client plays.
    """

    sent_ms: float = 0.0
    until_ms: float = 0.0
    delay_ms: float = 0.0

    def sent(self, now_ms: float) -> None:
        """Count a frame that was sent."""
        self.until_ms = max(self.until_ms, now_ms) + FRAME_MS
        self.sent_ms += FRAME_MS

    def dropped(self, now_ms: float) -> None:
        """Note that the client was told to drop what it has not played."""
        self.sent_ms -= max(0.0, self.until_ms - now_ms)
        self.until_ms = 0.0

    def truncated(self, audio_end_ms: float, now_ms: float) -> None:
        """Learn from how much of the newest answer the client has played."""
        at_once_ms = self.sent_ms - max(0.0, self.until_ms - now_ms)
        late_ms = max(0.0, at_once_ms - audio_end_ms)
        if late_ms <= MAX_DELAY_MS:
            self.delay_ms = late_ms

    def unplayed_ms(self, now_ms: float) -> float:
        """Return how much of what was sent has not been played."""
        return max(0.0, self.until_ms + self.delay_ms - now_ms)
