"""faster-whisper as a recogniser: Whisper's weights in a worker process that all calls share."""

from __future__ import annotations

from pathlib import Path

from apps.core.errors import EngineUnavailable
from apps.voice.stt.base import ListenOptions, OnPartial
from apps.voice.stt.utterance import WorkerUtterance
from apps.voice.workers.host import OnRestart, WorkerPool
from apps.voice.workers.spec import WorkerSpec

_MODULE = "apps.voice.workers.whisper_worker"
_BACKLOG_BYTES = 640_000  # 20 s: Whisper listens between its decodes, which take seconds


class WhisperStt:
    """faster-whisper behind the `SpeechToText` Protocol.

    Args:
        folder: A Whisper model in CTranslate2's format; nothing is ever downloaded.
        workers: Processes; each holds the weights once and serves any number of calls in turn.
        device: ``auto`` takes the first CUDA device where there is one; ``cpu`` or ``cuda``.
        compute_type: CTranslate2's name of the arithmetic; ``auto`` takes int8 on a CPU.
        threads: CPU threads of each process; 0 lets it choose.
        nice: Added to the processes' niceness.
        on_restart: Called with the engine's name when a process is restarted.

    Attributes:
        languages: What the weights can hear; empty before `start`.
    """

    name = "faster-whisper"

    def __init__(
        self,
        folder: Path,
        *,
        workers: int = 1,
        device: str = "auto",
        compute_type: str = "auto",
        threads: int = 0,
        nice: int = 5,
        on_restart: OnRestart | None = None,
    ) -> None:
        self.languages: frozenset[str] = frozenset()
        args = (str(folder), "--device", device, "--compute-type", compute_type)
        self._pool = WorkerPool(
            WorkerSpec(
                self.name,
                _MODULE,
                (*args, "--threads", str(threads)),
                nice=nice,
                env={"HF_HUB_OFFLINE": "1"},
                ready_timeout_s=180.0,
                stall_s=60.0,
                backlog_bytes=_BACKLOG_BYTES,
            ),
            workers,
            on_restart=on_restart,
        )

    @property
    def ready(self) -> bool:
        """Whether it can take an utterance now; False while its worker is being restarted."""
        return self._pool.ready

    async def start(self) -> None:
        """Load the weights and warm them.

        Raises:
            EngineUnavailable: The folder holds no model that can be loaded.
        """
        await self._pool.start()
        self.languages = frozenset(self._pool.infos[0].loaded["languages"])

    def listen(
        self, options: ListenOptions, on_partial: OnPartial | None = None
    ) -> WorkerUtterance:
        """Open one utterance.

        Partial transcripts hold the words that two successive hypotheses agree on, so they only
        ever grow.

        Raises:
            EngineUnavailable: The weights do not know the language.
            EngineDied: No worker runs now; it is being restarted.
        """
        if options.language not in self.languages:
            raise EngineUnavailable(
                f"This Whisper model does not hear {options.language!r}.",
                hint="Models whose names end in .en are English only; pull one without it.",
            )
        header = {"language": options.language, "bias_words": list(options.bias_words)}
        return WorkerUtterance(
            lambda on_reply: self._pool.open(header, on_reply=on_reply), on_partial
        )

    async def wait_ready(self) -> None:
        """Wait until some worker takes utterances again; bound it with a timeout."""
        await self._pool.wait_ready()

    async def close(self) -> None:
        """Stop the processes."""
        await self._pool.close()
