"""Voice activity: how likely each 32 ms window of a call's audio holds speech.

``SileroVad`` runs Silero's streaming network from the ONNX file that faster-whisper's wheel
carries; ``EnergyVad`` is its deterministic stand-in for tests, gated by loudness alone. What a
probability means for the call (an onset, an end of turn, a barge-in) is decided elsewhere.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from apps.core.audio import SAMPLE_BYTES, SAMPLE_RATE_HZ, level_dbfs, pcm_to_samples
from apps.core.errors import EngineUnavailable

WINDOW_SAMPLES = 512
WINDOW_MS = WINDOW_SAMPLES * 1000 // SAMPLE_RATE_HZ
WINDOW_BYTES = WINDOW_SAMPLES * SAMPLE_BYTES

_CONTEXT_SAMPLES = 64
_STATE_SHAPE = (1, 1, 128)
_FULL_SCALE = np.float32(1 / 32768.0)
_OUTPUTS = ("speech_probs", "hn", "cn")
_ASSET = ("faster_whisper", "assets/silero_vad_v6.onnx")


class VoiceActivity(Protocol):
    """The voice activity of one stream of audio; each call has its own."""

    def push(self, pcm: bytes) -> list[float]:
        """Add 16 kHz PCM of any whole number of samples.

        Returns:
            One probability of speech, in [0, 1], for each 32 ms window that is now complete;
            what is left over waits for the next call.
        """
        ...

    def reset(self) -> None:
        """Forget everything heard so far, as if the stream began anew."""
        ...


class _Windows:
    """Cuts a stream of PCM into whole windows and keeps the rest."""

    def __init__(self) -> None:
        self._rest = b""

    def push(self, pcm: bytes) -> bytes:
        """Return as many whole windows as there are now, as one piece."""
        data = self._rest + pcm
        end = len(data) - len(data) % WINDOW_BYTES
        self._rest = data[end:]
        return data[:end]

    def clear(self) -> None:
        self._rest = b""


@cache
def silero_session() -> Any:
    """Return the process's one ONNX session of Silero's network, loaded at the first call.

    Running it is thread-safe and keeps no state, so all calls share it.

    Raises:
        EngineUnavailable: faster-whisper's wheel, or the file within, is not installed.
    """
    import onnxruntime

    # faster_whisper itself is not imported: that costs a second and pulls in CTranslate2.
    package, asset = _ASSET
    spec = importlib.util.find_spec(package)
    path = Path(spec.origin).parent / asset if spec is not None and spec.origin else None
    if path is None or not path.is_file():
        raise EngineUnavailable(
            "The voice activity network is missing.",
            hint="It comes with faster-whisper: pip install --force-reinstall faster-whisper.",
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


class SileroVad:
    """Silero's streaming voice activity network (v6) over one stream of audio.

    Args:
        session: The ONNX session, see `silero_session`.
    """

    def __init__(self, session: Any) -> None:
        self._session = session
        self._windows = _Windows()
        self.reset()

    def reset(self) -> None:
        """Forget everything heard so far, as if the stream began anew."""
        self._windows.clear()
        # One row, reused: a window with the 64 samples before it, shape (1, 576).
        self._row: NDArray[np.float32] = np.zeros(
            (1, _CONTEXT_SAMPLES + WINDOW_SAMPLES), np.float32
        )
        self._h: NDArray[np.float32] = np.zeros(_STATE_SHAPE, np.float32)
        self._c: NDArray[np.float32] = np.zeros(_STATE_SHAPE, np.float32)

    def push(self, pcm: bytes) -> list[float]:
        """Add 16 kHz PCM; return the probability of speech of each window now complete."""
        whole = self._windows.push(pcm)
        if not whole:
            return []
        return [
            self._probability(whole[i : i + WINDOW_BYTES])
            for i in range(0, len(whole), WINDOW_BYTES)
        ]

    def _probability(self, window: bytes) -> float:
        row = self._row[0]
        row[:_CONTEXT_SAMPLES] = row[-_CONTEXT_SAMPLES:]
        np.multiply(pcm_to_samples(window), _FULL_SCALE, out=row[_CONTEXT_SAMPLES:])
        probabilities, self._h, self._c = self._session.run(
            _OUTPUTS, {"input": self._row, "h": self._h, "c": self._c}
        )
        return float(probabilities[0])


class EnergyVad:
    """A voice activity detector that takes anything loud for speech; for tests and benchmarks.

    Args:
        threshold_dbfs: A window at least this loud has probability 1.0, any other 0.0.
    """

    def __init__(self, threshold_dbfs: float = -40.0) -> None:
        self._threshold_dbfs = threshold_dbfs
        self._windows = _Windows()

    def reset(self) -> None:
        """Forget everything heard so far, as if the stream began anew."""
        self._windows.clear()

    def push(self, pcm: bytes) -> list[float]:
        """Add 16 kHz PCM; return 1.0 for each loud window now complete, 0.0 for each other."""
        whole = self._windows.push(pcm)
        return [
            float(level_dbfs(whole[i : i + WINDOW_BYTES]) >= self._threshold_dbfs)
            for i in range(0, len(whole), WINDOW_BYTES)
        ]
