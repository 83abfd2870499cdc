"""espeak-ng, the embedded synthesiser: German and English, nothing to download."""

from __future__ import annotations

from collections.abc import Mapping

from apps.voice.tts.base import SpeechStyle
from apps.voice.tts.worker import WorkerTextToSpeech
from apps.voice.workers.host import OnRestart, WorkerPool
from apps.voice.workers.spec import WorkerSpec

DEFAULT_VOICES: Mapping[str, str] = {"de": "de", "en": "en-us"}


class EspeakTts(WorkerTextToSpeech):
    """espeak-ng in worker processes; about five hundred times faster than it is heard.

    Args:
        voices: The default voice of each language, named as espeak-ng does.
        workers: How many processes; one serves many calls.
        nice: Added to their niceness.
        on_restart: Called with ``espeak`` at each restart, for the metrics.
    """

    def __init__(
        self,
        *,
        voices: Mapping[str, str] = DEFAULT_VOICES,
        workers: int = 1,
        nice: int = 0,
        on_restart: OnRestart | None = None,
    ) -> None:
        spec = WorkerSpec(
            name="espeak",
            module="apps.voice.workers.espeak_worker",
            args=tuple(voices.values()),
            nice=nice,
            stall_s=10.0,
        )

        def choose_voice(style: SpeechStyle) -> str:
            return style.voice or voices[style.language]

        pool = WorkerPool(spec, workers, on_restart=on_restart)
        super().__init__("espeak", frozenset(voices), pool, choose_voice)
