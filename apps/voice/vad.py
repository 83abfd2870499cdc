"""Voice activity: how likely each 32 ms window of a call's audio holds speech.

``SileroVad`` runs Silero's network over one stream; the calls of a server share it through
`vad_pool.py`. ``EnergyVad`` is its deterministic stand-in for tests, gated by loudness alone. What
a probability means for the call (an onset, an end of turn, a barge-in) is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from apps.core.audio import SAMPLE_BYTES, SAMPLE_RATE_HZ, level_dbfs
from apps.voice.silero import WINDOW_SAMPLES, SileroNetwork, SileroStream

WINDOW_MS = WINDOW_SAMPLES * 1000 // SAMPLE_RATE_HZ
WINDOW_BYTES = WINDOW_SAMPLES * SAMPLE_BYTES

Tell = Callable[[bytes, list[float]], None]
"""Takes a frame, and the probabilities of the windows that it completed; must not raise."""


class VoiceActivity(Protocol):
    """The voice activity of one stream of audio; each call has its own."""

    def hear(self, frame: bytes, tell: Tell) -> None:
        """Add 16 kHz PCM of any whole number of samples.

        Args:
            frame: The audio.
            tell: Called once for it, frame by frame in order: at once, or before the event loop
                waits again. It is given one probability of speech, in [0, 1], for each 32 ms
                window that is now complete; what is left over waits for the next frame.
        """
        ...


class Windows:
    """Cuts a stream of PCM into whole windows and keeps the rest."""

    def __init__(self) -> None:
        self._rest = b""

    def push(self, pcm: bytes) -> list[bytes]:
        """Add PCM and return the windows that are now complete."""
        data = self._rest + pcm
        end = len(data) - len(data) % WINDOW_BYTES
        self._rest = data[end:]
        return [data[i : i + WINDOW_BYTES] for i in range(0, end, WINDOW_BYTES)]


class SileroVad:
    """Silero's network over one stream of audio by itself.

    Args:
        network: See `silero_network`.
    """

    def __init__(self, network: SileroNetwork) -> None:
        self._network = network
        self.reset()

    def reset(self) -> None:
        """Forget everything heard so far, as if the stream began anew."""
        self._windows, self._stream = Windows(), SileroStream()

    def push(self, pcm: bytes) -> list[float]:
        """Add 16 kHz PCM; return the probability of speech of each window now complete."""
        return [
            SileroStream.advance(self._network, [self._stream], [window])[0]
            for window in self._windows.push(pcm)
        ]

    def hear(self, frame: bytes, tell: Tell) -> None:
        """Add a frame and tell at once."""
        tell(frame, self.push(frame))


class EnergyVad:
    """A voice activity detector that takes anything loud for speech; for tests and benchmarks.

    Args:
        threshold_dbfs: A window at least this loud has probability 1.0, any other 0.0.
    """

    def __init__(self, threshold_dbfs: float = -40.0) -> None:
        self._threshold_dbfs = threshold_dbfs
        self.reset()

    def reset(self) -> None:
        """Forget everything heard so far, as if the stream began anew."""
        self._windows = Windows()

    def push(self, pcm: bytes) -> list[float]:
        """Add 16 kHz PCM; return 1.0 for each loud window now complete, 0.0 for each other."""
        return [
            float(level_dbfs(window) >= self._threshold_dbfs) for window in self._windows.push(pcm)
        ]

    def hear(self, frame: bytes, tell: Tell) -> None:
        """Add a frame and tell at once."""
        tell(frame, self.push(frame))
