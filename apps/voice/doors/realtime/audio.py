"""A Realtime session's audio to and from 16 kHz PCM, and what of it the client has played."""

from __future__ import annotations

from dataclasses import dataclass

from apps.core.audio import FRAME_MS
from apps.voice.doors.realtime.messages import Refused
from apps.voice.doors.realtime.session import Format
from apps.voice.doors.transcode import Decoder, Encoder

PCM_RATE_HZ = 24_000
_FORMATS = {
    "audio/pcm": ("pcm_s16le", PCM_RATE_HZ),
    "audio/pcmu": ("mulaw", 8000),
    "audio/pcma": ("alaw", 8000),
}
MAX_DELAY_MS = 1000.0
"""A client that says it is later than this has cut the answer by choice."""


class Listening:
    """The caller's audio on its way in.

    Args:
        kind: The session's input format.
    """

    def __init__(self, kind: Format) -> None:
        self.kind = kind
        self._decoder = Decoder(*_FORMATS[kind])

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
        return self._decoder.push(audio)


class Speaking:
    """The assistant's audio on its way out.

    Args:
        kind: The session's output format.
    """

    def __init__(self, kind: Format) -> None:
        self.kind = kind
        self._encoder = Encoder(*_FORMATS[kind])

    def encode(self, pcm: bytes) -> bytes:
        """Return 16 kHz PCM in this format; a resampler holds about a millisecond back."""
        return self._encoder.push(pcm)

    def reset(self) -> None:
        """Forget what the resampler holds back, after a flush."""
        self._encoder.reset()


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
