"""Piper: neural voices from files, in worker processes. Needs the ``piper`` extra."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from pathlib import Path

from apps.core.errors import EngineUnavailable
from apps.voice.models import find_piper
from apps.voice.tts.base import SpeechStyle
from apps.voice.tts.worker import WorkerTextToSpeech
from apps.voice.workers.host import OnRestart, WorkerPool
from apps.voice.workers.spec import WorkerSpec

MODULE = "apps.voice.workers.piper_worker"

_VOICE_NAME = re.compile(r"[A-Za-z0-9_-]+")


def piper_installed() -> bool:
    """Return whether the ``piper`` extra is installed, without importing it."""
    return importlib.util.find_spec("piper") is not None


class PiperTts(WorkerTextToSpeech):
    """Piper in worker processes. It speaks the languages whose default voice is present.

    Args:
        models_dir: Voices lie in its folder ``piper``.
        voices: The default voice of each language: its name there, e.g.
            ``{"de": "de_DE-thorsten-medium"}``, or the path of an ONNX file.
        workers: How many processes; a sentence keeps one busy while it is made.
        nice: Added to their niceness.
        on_restart: Called with ``piper`` at each restart, for the metrics.
        module: The worker program.
    """

    def __init__(
        self,
        models_dir: Path,
        voices: Mapping[str, str],
        *,
        workers: int = 1,
        nice: int = 0,
        on_restart: OnRestart | None = None,
        module: str = MODULE,
    ) -> None:
        self._models_dir = models_dir
        self._voices = voices
        self._module = module
        paths = {language: find_piper(models_dir, voice) for language, voice in voices.items()}
        self._paths = {language: str(path) for language, path in paths.items() if path}
        spec = WorkerSpec(name="piper", module=module, args=tuple(self._paths.values()), nice=nice)
        pool = WorkerPool(spec, workers, on_restart=on_restart)
        super().__init__("piper", frozenset(self._paths), pool, self._voice_of)

    async def start(self) -> None:
        """Load and warm the voices.

        Raises:
            EngineUnavailable: No voice is there, one is broken, or piper-tts is not installed.
        """
        if not self._paths:
            raise EngineUnavailable(
                f"No Piper voice is in {self._models_dir / 'piper'}.",
                hint=f"tom models pull fetches {' and '.join(self._voices.values())}.",
            )
        if self._module == MODULE and not piper_installed():
            raise EngineUnavailable(
                "piper-tts is not installed.", hint="pip install 'tom-voice[piper]'"
            )
        await super().start()

    def _voice_of(self, style: SpeechStyle) -> str:
        if not style.voice:
            return self._paths[style.language]
        named = _VOICE_NAME.fullmatch(style.voice)  # never a path: styles come with a call
        path = find_piper(self._models_dir, style.voice) if named else None
        if path is None:
            raise EngineUnavailable(
                f"There is no Piper voice {style.voice!r}.", hint="tom models pull fetches one."
            )
        return str(path)
